"""PURE: champion against challenger, with 95 % intervals of the differences.

On the same tasks, where the challenger answers beside the champion (shadow mode): each task is its
own control, and the interval is of the mean paired difference. Else two groups of learners are
compared. A learner's tasks are alike, so the standard errors are robust to clusters of learners
(Liang and Zeger 1986), with Student's t at one less than their number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from gateway.scored import Scored
from training.metrics import CLOSE_TO_CERTAIN, Floats

LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """Means a task, and challenger minus champion with its interval, None with too few learners;
    below zero the challenger is better."""

    metric: str
    unit: str
    champion: float
    challenger: float
    low: float | None
    high: float | None

    @property
    def difference(self) -> float:
        return self.challenger - self.champion

    @property
    def better(self) -> str:
        """The arm that is better beyond noise, or "" where none is."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return ""
        return "challenger" if self.high < 0 else "champion"


@dataclass(frozen=True)
class Comparison:
    """``paired``: on the same tasks."""

    paired: bool
    champion_tasks: int
    challenger_tasks: int
    learners: int
    differences: tuple[Difference, ...]


def compare(rivals: Scored, beside: Scored, champions: Scored) -> Comparison | None:
    """``rivals`` of the challenger; ``beside`` what the champion said of the same tasks, for those
    where it did; ``champions`` of other tasks. None where there is nothing to compare."""
    place = {task: at for at, task in enumerate(rivals.task)}
    if len(beside) * 2 >= len(rivals) > 0:
        return _paired(rivals.take(np.array([place[task] for task in beside.task])), beside)
    if not len(rivals) or not len(champions):
        return None
    begin = max(rivals.at.min(), champions.at.min())  # the span that both cover
    return _unpaired(rivals.take(rivals.at >= begin), champions.take(champions.at >= begin))


def losses(rows: Scored) -> dict[tuple[str, str], Floats]:
    """By metric and unit, a value a row; less is better."""
    sure = np.clip(np.where(rows.correct, rows.p, 1 - rows.p), CLOSE_TO_CERTAIN, 1.0)
    return {
        ("log loss", "nats"): -np.log(sure),
        ("wrong side of 0.5", "share"): ((rows.p >= 0.5) != rows.correct).astype(float),
        ("time error", "s"): np.abs(rows.expected - rows.seconds),
    }


def _paired(rivals: Scored, beside: Scored) -> Comparison:
    mine, theirs = losses(rivals), losses(beside)
    found = []
    for name in mine:
        difference = mine[name] - theirs[name]
        variance, learners = _variance(difference, rivals)
        means = float(theirs[name].mean()), float(mine[name].mean())
        found.append(_difference(name, *means, variance, learners))
    return Comparison(True, len(beside), len(rivals), learners, tuple(found))


def _unpaired(rivals: Scored, champions: Scored) -> Comparison:
    mine, theirs = losses(rivals), losses(champions)
    found = []
    for name in mine:
        (variance, some), (other, others) = (
            _variance(mine[name], rivals), _variance(theirs[name], champions),
        )  # fmt: skip
        means = float(theirs[name].mean()), float(mine[name].mean())
        found.append(_difference(name, *means, variance + other, min(some, others)))
    return Comparison(False, len(champions), len(rivals), some + others, tuple(found))


def _variance(values: Floats, rows: Scored) -> tuple[float, int]:
    """Of the mean, and how many learners it is of."""
    names, learner = np.unique(rows.user.astype(str), return_inverse=True)
    sums, learners = np.bincount(learner, values - values.mean()), len(names)
    small = learners / max(learners - 1, 1)
    return float(small * (sums**2).sum() / len(values) ** 2), learners


def _difference(
    name: tuple[str, str], champion: float, challenger: float, variance: float, learners: int
) -> Difference:
    if learners < 2:
        return Difference(*name, champion, challenger, None, None)
    half = float(stdtrit(learners - 1, (1 + LEVEL) / 2)) * variance**0.5
    middle = challenger - champion
    return Difference(*name, champion, challenger, middle - half, middle + half)
