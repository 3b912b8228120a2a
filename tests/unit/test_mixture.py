"""The rules of what is served: expert weights, and intervals that cover."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics import Z_80, log_loss
from training.mixture import WIDTHS, Mixture, mixed, opinions, widths

Drawn = tuple[bool, float, float, float]

probabilities = st.floats(0.0, 1.0)
row = st.tuples(st.booleans(), probabilities, probabilities, probabilities)
rows = st.lists(row, min_size=1, max_size=30)


def columns(drawn: list[Drawn]) -> tuple[np.ndarray, ...]:
    return tuple(np.array(column) for column in zip(*drawn, strict=True))


@given(rows)
def test_weights_sum_to_one_and_probabilities_lie_between_the_experts(
    drawn: list[Drawn],
) -> None:
    p, weights = mixed(*columns(drawn))
    each = opinions(*columns(drawn)[1:])
    assert sum(weights) == pytest.approx(1)
    assert min(weights) >= 0
    assert ((each.min(axis=1) - 1e-12 <= p) & (p <= each.max(axis=1) + 1e-12)).all()


@given(rows)
def test_a_row_s_weights_come_from_the_rows_before_it(
    drawn: list[Drawn],
) -> None:
    correct, *said = columns(drawn)
    p, weights = mixed(correct, *said)
    for until in range(len(drawn)):
        before, then = mixed(correct[:until], *(c[:until] for c in said))
        assert before == pytest.approx(p[:until])
        one = Mixture(then).p(*(c[until : until + 1] for c in said))
        assert one == pytest.approx(p[until : until + 1])
    other = correct.copy()
    other[-1] ^= True
    changed, after = mixed(other, *said)
    assert changed.tolist() == p.tolist()
    if max(c[-1] for c in said) - min(c[-1] for c in said) > 0.01:
        assert after != weights


def test_the_better_expert_wins() -> None:
    random = np.random.default_rng(1)
    truth = random.uniform(0.1, 0.9, 2000)
    correct, guess = random.random(2000) < truth, random.uniform(0.1, 0.9, 2000)
    for expert in range(3):
        said = [guess, guess, guess]
        said[expert] = truth
        p, weights = mixed(correct, *said)
        assert weights[expert] > 0.95
        assert log_loss(correct, p) < log_loss(correct, truth) + 0.005


def test_without_a_prior_the_network_stands_for_it() -> None:
    network, lnirt = np.array([0.3, 0.9]), np.array([0.5, 0.2])
    none = np.full(2, np.nan)
    assert opinions(network, none, lnirt).tolist() == opinions(network, network, lnirt).tolist()


def test_an_expert_that_turns_bad_loses_its_weight() -> None:
    random = np.random.default_rng(2)
    truth = random.uniform(0.1, 0.9, 4000)
    correct = random.random(4000) < truth
    first = np.arange(4000) < 2000
    turned, late = np.where(first, truth, 0.5), np.where(first, 0.5, truth)
    _, weights = mixed(correct, turned, late, np.full(4000, 0.5))
    assert weights[1] > weights[0]


def test_nothing_known_leaves_the_first_weights() -> None:
    none = np.array([])
    p, weights = mixed(none.astype(bool), none, none, none)
    assert len(p) == 0
    assert weights == pytest.approx(Mixture().weights)
    assert widths(none).tolist() == [1.0]


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_widths_come_to_cover_four_of_five(spread: float) -> None:
    z = np.random.default_rng(3).normal(0, spread, 20_000)
    found = widths(z)
    inside = np.abs(z) <= Z_80 * found[:-1]
    assert inside[2000:].mean() == pytest.approx(0.8, abs=0.01)
    assert found[2000:].mean() == pytest.approx(spread, rel=0.05)


def test_a_width_comes_from_the_rows_before_it_and_stays_in_bounds() -> None:
    z = np.random.default_rng(4).normal(0, 1, 300)
    found = widths(z)
    other = z.copy()
    other[-1] = 1e9
    assert widths(other)[:-1].tolist() == found[:-1].tolist()
    assert widths(other)[-1] > widths(np.append(z[:-1], 0.0))[-1]
    for size, end in ((0.0, WIDTHS[0]), (1e300, WIDTHS[1])):
        assert widths(np.full(3000, size))[-1] == pytest.approx(end)


def test_a_mixture_survives_json() -> None:
    mixture = Mixture((0.2, 0.4, 0.1, 0.3), 1.7)
    assert Mixture.from_dict(json.loads(json.dumps(mixture.to_dict()))) == mixture


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"weights": [0.5, 0.5, 0.0, 0.0]},
        {"weights": [0.5, 0.5], "width": 1.0},
        {"weights": [], "width": 1.0},
        {"weights": [0.5, 0.5, 0.5, 0.5], "width": 1.0},
        {"weights": [-0.5, 1.0, 0.5, 0.0], "width": 1.0},
        {"weights": [float("nan"), 0.5, 0.5, 0.0], "width": 1.0},
        {"weights": [0.5, 0.5, float("nan"), 0.0], "width": 1.0},
        {"weights": [1.0, 0.0, 0.0, 0.0], "width": 0.0},
        {"weights": [1.0, 0.0, 0.0, 0.0], "width": -1.0},
        {"weights": [1.0, 0.0, 0.0, 0.0], "width": float("nan")},
        {"weights": [1.0, 0.0, 0.0, 0.0], "width": float("inf")},
        {"weights": [1.0, 0.0, 0.0, 0.0], "width": "wide"},
    ],
)
def test_what_is_no_mixture_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError)):
        Mixture.from_dict(data)
