"""How good predictions are, and the topic × difficulty means that every model must beat.

Pure: imports numpy and the schemas only. Every figure is None where it is undefined.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.history import History

Z_80 = 1.2816
SHRINKAGE = 4.0
CLOSE_TO_CERTAIN = 1e-7

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Metrics = dict[str, float | int | None]


def log_loss(correct: Bools, p: Floats) -> float:
    """Mean negative log-likelihood in nats; p is kept 1e-7 away from 0 and 1."""
    p = np.clip(p, CLOSE_TO_CERTAIN, 1 - CLOSE_TO_CERTAIN)
    return float(-np.mean(np.where(correct, np.log(p), np.log1p(-p))))


def auc(correct: Bools, p: Floats) -> float | None:
    """Area under the ROC curve as the Mann-Whitney statistic, ties counted half."""
    hits = int(correct.sum())
    misses = len(correct) - hits
    if not hits or not misses:
        return None
    _, place, counts = np.unique(p, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((ranks[correct].sum() - hits * (hits + 1) / 2) / (hits * misses))


def ece(correct: Bools, p: Floats, bins: int = 15) -> float:
    """Expected calibration error over bins of equal width (Guo et al. 2017)."""
    inside = np.minimum((p * bins).astype(np.int64), bins - 1)
    gap = np.bincount(inside, weights=correct - p, minlength=bins)
    return float(np.abs(gap).sum() / len(p))


def score(
    correct: Bools, p: Floats, seconds: Floats, predicted: Floats, low: Floats, high: Floats
) -> Metrics:
    """Columns of equal length; times in seconds, before any clip of serving."""
    rows = len(correct)
    if not rows:
        names = ("log_loss", "auc", "accuracy", "brier", "ece")
        times = ("mae_seconds", "log_rmse", "coverage_80")
        return {"rows": 0} | dict.fromkeys(names + times)
    log_error = np.log(predicted) - np.log(seconds)
    return {
        "rows": rows,
        "log_loss": log_loss(correct, p),
        "auc": auc(correct, p),
        "accuracy": float(np.mean((p >= 0.5) == correct)),
        "brier": float(np.mean((p - correct) ** 2)),
        "ece": ece(correct, p),
        "mae_seconds": float(np.mean(np.abs(predicted - seconds))),
        "log_rmse": float(np.sqrt(np.mean(log_error**2))),
        "coverage_80": float(np.mean((low <= seconds) & (seconds <= high))),
    }


def score_log_normal(
    correct: Bools, p: Floats, seconds: Floats, median: Floats, sigma: float
) -> Metrics:
    """``score`` with the 80 % interval of a log-normal around the median."""
    spread = np.exp(Z_80 * sigma)
    return score(correct, p, seconds, median, median / spread, median * spread)


def topic_difficulty(history: History, learned: Bools, scored: Bools) -> Metrics:
    """Cell means of outcome and log seconds over the learned rows, shrunk to their overall means
    with the weight of four rows, scored on others."""
    _, cell = np.unique(_cells(history), return_inverse=True)
    target = history.is_correct.astype(np.float64), np.log(history.seconds)
    p, log_seconds = (_shrunk_means(cell, values, learned) for values in target)
    sigma = float(np.sqrt(np.mean((target[1] - log_seconds)[learned] ** 2)))
    return score_log_normal(
        history.is_correct[scored],
        p[scored],
        history.seconds[scored],
        np.exp(log_seconds[scored]),
        sigma,
    )


def _cells(history: History) -> NDArray[Any]:
    topics, difficulties = history.topics.astype(str), history.difficulties.astype(str)
    _, topic = np.unique(topics, return_inverse=True)
    names, difficulty = np.unique(difficulties, return_inverse=True)
    return np.asarray(topic * len(names) + difficulty)


def _shrunk_means(cell: NDArray[Any], values: Floats, learned: Bools) -> Floats:
    overall = values[learned].mean()
    sums = np.bincount(cell[learned], weights=values[learned], minlength=int(cell.max()) + 1)
    rows = np.bincount(cell[learned], minlength=int(cell.max()) + 1)
    means = (sums + SHRINKAGE * overall) / (rows + SHRINKAGE)
    return np.asarray(means[cell], dtype=np.float64)
