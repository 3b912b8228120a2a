"""Baselines: features from the past alone, answers for what was never seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulated import history, only

from training import contenders, evaluate, protocols
from training.baselines import BestLR, CellMean, Constant, one_hot_columns, one_hots, past_counts
from training.evaluate import Contender

PAST = history(15, 900)
BASELINES = pytest.mark.parametrize("name", sorted({"best-lr", "constant", "topic-difficulty"}))


def fresh(name: str) -> Contender:
    return contenders.maker(name, 1, "residual")()


def test_past_counts_by_hand() -> None:
    past = only(PAST, np.arange(4))
    past.users[:] = "u"
    past.topics[:] = ["t", "t", "t", "s"]
    past.difficulties[:] = ["a", "b", "a", "a"]
    past.started_at[:] = [0, 20, 40, 50]
    past.completed_at[:] = [10, 30, 60, 55]
    past.seconds[:] = np.exp([1, 2, 3, 4])
    past.is_correct[:] = [True, False, True, True]
    log = np.log1p
    assert past_counts(past) == pytest.approx(
        np.array([
            [0, 0, 0, 0, 0, 0, 0, 0, 0],
            [log(1), 0, log(1), 0, 0, 0, log(10), 1, 1],
            [log(1), log(1), log(1), log(1), log(1), 0, log(10), 1, 3],
            # The third task is not completed yet when the last begins.
            [log(1), log(1), 0, 0, 0, 0, 0, 0, 3],
        ])
    )  # fmt: skip


def test_a_completion_at_the_start_counts_but_never_a_tasks_own() -> None:
    past = only(PAST, np.arange(2))
    past.users[:], past.topics[:] = "u", "t"
    past.started_at[:], past.completed_at[:] = [0, 5], [5, 5]
    past.is_correct[:] = True
    assert past_counts(past)[:, 0] == pytest.approx([0, np.log(2)])


def test_one_hots_are_zero_for_unknown_names() -> None:
    known, other = only(PAST, np.arange(20)), only(PAST, np.arange(3))
    other.topics[:], other.difficulties[:] = "new", ["new", "easy", "easy"]
    columns = one_hot_columns(known)
    assert list(one_hots(known, columns).sum(axis=1)) == [3] * 20
    assert list(one_hots(other, columns).sum(axis=1)) == [0, 1, 1]


@BASELINES
def test_a_prediction_depends_on_the_learners_own_past_alone(name: str) -> None:
    contender, rows = fresh(name), np.array([500])
    contender.learn(only(PAST, np.arange(400)))
    before = contender.predict(PAST, rows)
    start = PAST.started_at[500]
    later = (PAST.completed_at > start) | (PAST.users != PAST.users[500])
    changed = replace(
        PAST,
        is_correct=np.where(later, ~PAST.is_correct, PAST.is_correct),
        seconds=np.where(later, 1.0, PAST.seconds),
    )
    after = contender.predict(changed, rows)
    assert (before.p[0], before.mu[0]) == (after.p[0], after.mu[0])


@BASELINES
@pytest.mark.parametrize("rows", [0, 1, 2, 5])
def test_learning_from_almost_nothing_answers_with_care(name: str, rows: int) -> None:
    contender = fresh(name)
    contender.learn(only(replace(PAST, is_correct=np.ones(900, dtype=bool)), np.arange(rows)))
    found = contender.predict(PAST, np.arange(20))
    assert np.all((found.p > 0) & (found.p <= 1))
    assert np.isfinite(found.mu).all()
    assert np.all(found.sigma > 0.05)


@BASELINES
def test_unknown_names_are_answered(name: str) -> None:
    contender = fresh(name)
    contender.learn(PAST)
    strange = only(PAST, np.arange(5))
    strange.users[:], strange.topics[:], strange.difficulties[:] = "who", "what", "how"
    found = contender.predict(strange, np.arange(5))
    assert np.all((found.p > 0.1) & (found.p < 0.99))
    assert np.all(np.abs(found.mu - np.log(PAST.seconds).mean()) < 1)


@BASELINES
def test_the_same_rows_give_the_same_answers(name: str) -> None:
    first, again = fresh(name), fresh(name)
    for contender in (first, again):
        contender.learn(PAST)
    rows = np.arange(100)
    assert np.array_equal(first.predict(PAST, rows).p, again.predict(PAST, rows).p)
    assert np.array_equal(first.predict(PAST, rows).mu, again.predict(PAST, rows).mu)


def test_each_baseline_beats_the_one_below() -> None:
    data = history(40, 3000, seed=4)

    def found(contender: type[Contender]) -> tuple[float, float]:
        figures = evaluate.figures(evaluate.run(protocols.user_disjoint(data, 1), contender))
        return figures["log_loss"], figures["log_rmse"]

    constant, cells, regression = found(Constant), found(CellMean), found(BestLR)
    assert constant[0] > cells[0] > regression[0]
    assert constant[1] > cells[1] > regression[1]
