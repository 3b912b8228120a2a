"""How good predictions are, and the topic × difficulty means that every model must beat.

Pure: imports numpy and the schemas only. Every figure is None where it is undefined.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.history import History

Z_80 = 1.2816
SHRINKAGE = 4.0
CLOSE_TO_CERTAIN = 1e-7
BINS = 15
USUAL_SIGMA = 0.5
DEFAULT_P = 0.5
DEFAULT_SECONDS = 60.0

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Metrics = dict[str, float | int | None]


def take(history: History, rows: Ints | Bools) -> History:
    """These rows of a history, in this order; a row keeps its number."""
    return History(**{name: column[rows] for name, column in vars(history).items()})


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


def bin_of(p: Floats, bins: int = BINS) -> Ints:
    """The bin, 0 … bins - 1, of equal width that each probability falls into."""
    return np.minimum((p * bins).astype(np.int64), bins - 1)


def ece(correct: Bools, p: Floats, bins: int = BINS) -> float:
    """Expected calibration error over bins of equal width (Guo et al. 2017)."""
    gap = np.bincount(bin_of(p, bins), weights=correct - p, minlength=bins)
    return float(np.abs(gap).sum() / len(p))


def reliability(correct: Bools, p: Floats, bins: int = BINS) -> list[Metrics]:
    """A reliability diagram's bins: edges, rows, mean probability and observed share of right
    answers; both None in an empty bin."""
    inside, edges = bin_of(p, bins), np.linspace(0, 1, bins + 1)
    rows, sums, hits = (
        np.bincount(inside, weights=weights, minlength=bins) for weights in (None, p, correct)
    )
    return [
        {
            "from": float(edges[at]),
            "to": float(edges[at + 1]),
            "rows": int(rows[at]),
            "mean_p": float(sums[at] / rows[at]) if rows[at] else None,
            "observed": float(hits[at] / rows[at]) if rows[at] else None,
        }
        for at in range(bins)
    ]


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
    correct: Bools, p: Floats, seconds: Floats, median: Floats, sigma: float | Floats
) -> Metrics:
    """``score`` with the 80 % interval of a log-normal around the median; sigma is the standard
    deviation of log seconds, one for all rows or one a row."""
    spread = np.exp(Z_80 * sigma)
    return score(correct, p, seconds, median, median / spread, median * spread)


def spread_of(residuals: Floats) -> float:
    """Standard deviation of residuals of log seconds, shrunk to a usual one where rows are few."""
    squares = float(np.sum(residuals**2)) + SHRINKAGE * USUAL_SIGMA**2
    return float(np.sqrt(squares / (len(residuals) + SHRINKAGE)))


@dataclass(frozen=True)
class CellMeans:
    """Means by (topic, difficulty), shrunk to the overall mean with the weight of four rows.

    An unknown cell gets the overall mean, and without any row that is ``default``.
    """

    overall: float
    means: dict[tuple[str, str], float]

    @classmethod
    def of(cls, history: History, values: Floats, default: float) -> CellMeans:
        overall = float(values.mean()) if len(values) else default
        index: dict[tuple[str, str], int] = {}
        cell = [index.setdefault(key, len(index)) for key in _cells(history)]
        rows = np.bincount(np.array(cell, dtype=np.int64))
        sums = np.bincount(np.array(cell, dtype=np.int64), weights=values)
        means = (sums + SHRINKAGE * overall) / (rows + SHRINKAGE)
        return cls(overall, dict(zip(index, means.tolist(), strict=True)))

    def at(self, history: History) -> Floats:
        """The mean of each row's cell, [n]."""
        cells = (self.means.get(key, self.overall) for key in _cells(history))
        return np.fromiter(cells, dtype=np.float64, count=len(history))


@dataclass(frozen=True)
class TopicDifficulty:
    """Cell means of outcome and of log seconds, and the spread around the latter."""

    outcome: CellMeans
    log_seconds: CellMeans
    sigma: float

    @classmethod
    def of(cls, history: History) -> TopicDifficulty:
        target = np.log(history.seconds)
        log_seconds = CellMeans.of(history, target, np.log(DEFAULT_SECONDS))
        outcome = CellMeans.of(history, history.is_correct.astype(np.float64), DEFAULT_P)
        return cls(outcome, log_seconds, spread_of(target - log_seconds.at(history)))

    def at(self, history: History) -> tuple[Floats, Floats, Floats]:
        """p, and mean and standard deviation of log seconds, of each row's cell."""
        sigma = np.full(len(history), self.sigma)
        return self.outcome.at(history), self.log_seconds.at(history), sigma


def _cells(history: History) -> Iterator[tuple[str, str]]:
    return zip(history.topics, history.difficulties, strict=True)
