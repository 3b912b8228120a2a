"""The gate: what is worse beyond noise does not serve, and what can't be told passes."""

from __future__ import annotations

import numpy as np
import pytest

from training.gate import UNRIVALLED, Rule, Verdict, judged

RULE = Rule(margin=0.005, rows=100)


def drawn(rows: int, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes, and the probabilities that they were drawn with."""
    generator = np.random.default_rng(seed)
    p = generator.uniform(0.2, 0.9, rows)
    return generator.random(rows) < p, p


def test_a_clearly_worse_candidate_is_rejected_and_its_reason_has_the_figures() -> None:
    correct, p = drawn(1000)
    verdict = judged(correct, np.full(1000, 0.5), p, 3, RULE)
    assert (verdict.passes, verdict.best, verdict.against, verdict.rows) == (False, False, 3, 1000)
    assert verdict.low is not None
    assert verdict.low > RULE.margin
    assert "against version 3 on the same 1000 rows" in verdict.words()


def test_a_better_candidate_becomes_the_best() -> None:
    correct, p = drawn(1000)
    verdict = judged(correct, p, np.full(1000, 0.5), 3, RULE)
    assert (verdict.passes, verdict.best) == (True, True)
    assert verdict.high is not None
    assert verdict.high < 0


def test_worse_within_noise_or_margin_passes_but_is_not_the_best() -> None:
    correct, p = drawn(120)
    slightly = np.clip(p + np.where(correct, -0.001, 0.001), 0.01, 0.99)
    verdict = judged(correct, slightly, p, 3, RULE)
    assert verdict.difference is not None
    assert verdict.difference > 0
    assert (verdict.passes, verdict.best) == (True, False)
    strict = judged(correct, slightly, p, 3, Rule(margin=0.0, rows=100))
    assert not strict.passes


def test_too_few_rows_to_tell_pass_and_only_rows_of_its_own_count() -> None:
    correct, p = drawn(1000)
    other = np.where(np.arange(1000) < 99, p, np.nan)
    verdict = judged(correct, np.full(1000, 0.01), other, 3, RULE)
    assert verdict == Verdict(passes=True, best=False, against=3, rows=99)
    other[99] = p[99]
    assert not judged(correct, np.full(1000, 0.01), other, 3, RULE).passes


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_certainty_that_fails_is_a_finite_loss(p: float) -> None:
    correct, other = drawn(200)
    verdict = judged(correct, np.full(200, p), other, 3, RULE)
    assert verdict.difference is not None
    assert np.isfinite(verdict.difference)
    assert not verdict.passes


def test_equal_candidates_pass_the_same_way_every_time() -> None:
    correct, p = drawn(300)
    verdict = judged(correct, p, p, 3, RULE)
    assert (verdict.passes, verdict.best, verdict.difference) == (True, True, 0.0)
    noisy = np.clip(p + 0.05, 0.01, 0.99)
    assert judged(correct, noisy, p, 3, RULE) == judged(correct, noisy, p, 3, RULE)


def test_a_verdict_survives_as_json() -> None:
    correct, p = drawn(300)
    for verdict in (UNRIVALLED, judged(correct, p, np.full(300, 0.5), 3, RULE)):
        assert Verdict.from_dict(verdict.to_dict()) == verdict
