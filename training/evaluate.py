"""A model's predictions beside what happened, as `retrace evaluate` compares them.

A contender goes through a protocol's blocks: it learns, then predicts. Its parameters come only
from ``learn``; that a prediction uses only what its learner had completed before the task's start
is the contender's own duty. Imports numpy, the schemas and the metrics; no Kafka, no TensorFlow.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.errors import TrainingFailed
from schemas.history import History
from training.metrics import Z_80, Floats, Ints, score, take
from training.protocols import Block, Plan

FIRST = 5
SERVED_SECONDS = (5.0, 600.0)

Columns = tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class Predictions:
    """Columns of length n: ``p`` of a right answer, ``mu`` the log of the median seconds, ``sigma``
    the standard deviation of log seconds. ``low`` and ``high``, the 80 % interval in seconds,
    where it isn't log-normal."""

    p: Floats
    mu: Floats
    sigma: Floats
    low: Floats | None = None
    high: Floats | None = None

    def interval(self) -> tuple[Floats, Floats]:
        """The 80 % interval in seconds."""
        low = np.exp(self.mu - Z_80 * self.sigma) if self.low is None else self.low
        high = np.exp(self.mu + Z_80 * self.sigma) if self.high is None else self.high
        return low, high


class Contender(Protocol):
    """A model under evaluation."""

    def learn(self, history: History) -> None:
        """Everything usable so far, ascending numbers; again with a longer history at a refit."""

    def predict(self, history: History, rows: Ints) -> Predictions:
        """Predict the tasks at these positions, each from only what its learner completed before
        its start: ``completed_at`` <= ``started_at`` of that row."""


@dataclass(frozen=True)
class Answers:
    """What was predicted beside what happened: columns of length n.

    ``trial`` counts a learner's tasks by their start from 1; ``fit_seconds`` in ``learn`` in all.
    """

    users: NDArray[np.object_]
    correct: NDArray[np.bool_]
    seconds: Floats
    trial: Ints
    predictions: Predictions
    fit_seconds: float

    def __len__(self) -> int:
        return len(self.correct)


def run(
    plan: Plan,
    make: Callable[[], Contender],
    advance: Callable[[int], None] = lambda predicted: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Answers:
    """Go through a plan. ``advance`` hears how many rows have been predicted."""
    contender, found, fit_seconds, predicted = make(), list[Columns](), 0.0, 0
    for block in plan.blocks:
        contender = make() if block.fresh else contender
        began = clock()
        contender.learn(block.learned)
        fit_seconds += clock() - began
        if len(block.rows):
            found.append(_columns(block, contender.predict(block.seen, block.rows)))
        advance(predicted := predicted + len(block.rows))
    joined = (np.concatenate(parts) for parts in zip(*found, strict=True))
    users, correct, seconds, trial, *columns = joined
    return Answers(users, correct, seconds, trial, Predictions(*columns), fit_seconds)


def _columns(block: Block, predictions: Predictions) -> Columns:
    low, high = predictions.interval()
    columns = (predictions.p, predictions.mu, predictions.sigma, low, high)
    if not all(len(column) == len(block.rows) and np.isfinite(column).all() for column in columns):
        raise TrainingFailed("The model's predictions are not one finite number a row.")
    if np.any((predictions.p < 0) | (predictions.p > 1)):
        raise TrainingFailed("The model's probabilities are not between 0 and 1.")
    truth, trial = take(block.seen, block.rows), trials(block.seen)[block.rows]
    return (truth.users, truth.is_correct, truth.seconds, trial, *columns)


def trials(history: History) -> Ints:
    """Which of its learner's tasks each row is, by start, from 1: [n]."""
    _, learner = np.unique(history.users.astype(str), return_inverse=True)
    order = np.lexsort((history.started_at, learner))
    counts = np.bincount(learner)
    begins = np.repeat(np.cumsum(counts) - counts, counts)
    trial = np.empty(len(history), dtype=np.int64)
    trial[order] = np.arange(len(history)) - begins + 1
    return trial


def figures(answers: Answers) -> dict[str, Any]:
    """The metrics of all rows, and of each learner's first five trials under ``first5``."""
    first = answers.trial <= FIRST
    return {
        **_figures(answers, np.ones(len(answers), dtype=np.bool_)),
        "fit_seconds": answers.fit_seconds,
        "first5": _figures(answers, first),
    }


def _figures(answers: Answers, rows: NDArray[np.bool_]) -> dict[str, Any]:
    low, high = (column[rows] for column in answers.predictions.interval())
    seconds, median = answers.seconds[rows], np.exp(answers.predictions.mu[rows])
    found = score(answers.correct[rows], answers.predictions.p[rows], seconds, median, low, high)
    clipped = np.abs(np.clip(median, *SERVED_SECONDS) - seconds)
    return {
        "n": found.pop("rows"),
        **found,
        "mae_seconds_clipped": float(clipped.mean()) if len(clipped) else None,
    }
