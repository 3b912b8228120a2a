"""How sure an evaluation's figures are: intervals over resampled learners.

A learner's trials are alike, so that rows are no independent draws: whole learners are drawn with
replacement, and the interval is between percentiles (Efron and Tibshirani 1993, chapter 13). Sums
by learner are taken once; only the AUC goes through the rows again. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from training.evaluate import Answers
from training.metrics import BINS, CLOSE_TO_CERTAIN, Floats, Ints, bin_of

LEVEL = 95.0
NAMES = ("auc", "log_loss", "ece", "log_rmse", "coverage_80")


def intervals(
    answers: Answers, resamples: int, seed: int, advance: Callable[[int], None] = lambda done: None
) -> dict[str, list[float] | None]:
    """[low, high] of the 95 % interval by metric; None where it is undefined."""
    found = np.full((resamples, len(NAMES)), np.nan)
    names, learner = np.unique(answers.users.astype(str), return_inverse=True)
    sums, ranked = _sums(answers, learner), _Ranked(answers, learner)
    for at, weights in enumerate(_draws(len(names), resamples, seed)):
        found[at] = [ranked.auc(weights), *_means(weights @ sums)]
        advance(at + 1)
    return {name: _between(found[:, at]) for at, name in enumerate(NAMES)}


def _draws(learners: int, resamples: int, seed: int) -> Iterator[Ints]:
    """How often each learner is drawn, [learners], resample by resample."""
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(generator.integers(0, learners, learners), minlength=learners)


def _sums(answers: Answers, learner: Ints) -> Floats:
    """By learner: rows, losses, squared log errors, rows covered, the bins' gaps: [L, 4 + B]."""
    p, correct, (low, high) = answers.predictions.p, answers.correct, answers.predictions.interval()
    sure = np.clip(np.where(correct, p, 1 - p), CLOSE_TO_CERTAIN, 1 - CLOSE_TO_CERTAIN)
    columns = (
        np.ones(len(p)),
        -np.log(sure),
        (answers.predictions.mu - np.log(answers.seconds)) ** 2,
        (low <= answers.seconds) & (answers.seconds <= high),
    )
    learners = int(learner.max()) + 1
    gaps = np.bincount(learner * BINS + bin_of(p), correct - p, learners * BINS)
    sums = [np.bincount(learner, column, learners) for column in columns]
    return np.column_stack([*sums, gaps.reshape(learners, BINS)])


def _means(sums: Floats) -> list[float]:
    rows, loss, squares, covered, *gaps = sums
    ece = np.abs(gaps).sum() / rows
    return [loss / rows, ece, np.sqrt(squares / rows), covered / rows]


class _Ranked:
    """Rows by probability, once, for AUCs with other weights."""

    def __init__(self, answers: Answers, learner: Ints) -> None:
        values, self._place = np.unique(answers.predictions.p, return_inverse=True)
        self._learner, self._correct, self._values = learner, answers.correct, len(values)

    def auc(self, weights: Ints) -> float:
        """Mann-Whitney with weights [L] by learner, ties counted half; NaN where undefined."""
        rows = weights[self._learner]
        hits = np.bincount(self._place, rows * self._correct, self._values)
        misses = np.bincount(self._place, rows * ~self._correct, self._values)
        pairs = hits.sum() * misses.sum()
        below = np.cumsum(misses) - misses / 2
        return float(hits @ below / pairs) if pairs else np.nan


def _between(values: NDArray[np.float64]) -> list[float] | None:
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None
    tail = (100 - LEVEL) / 2
    return [float(edge) for edge in np.percentile(defined, [tail, 100 - tail])]
