"""PURE: whether a candidate may serve, by what it said of rows before it learned them.

It is held against the best recent version, not only the last, so that quality cannot creep down.
Both have predicted the same rows; the mean difference of their losses is resampled over rows
(paired bootstrap, Efron and Tibshirani 1993), and a candidate that is worse beyond noise is
rejected. With too few rows to tell, it passes: a broken one has been rejected before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.metrics import CLOSE_TO_CERTAIN

RESAMPLES = 1000
TAILS = (2.5, 97.5)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Rule:
    """``margin`` in nats a row: so much worse is no reason yet; below ``rows`` nothing is."""

    margin: float
    rows: int
    seed: int = 1


@dataclass(frozen=True)
class Verdict:
    """``difference``: mean log loss of the candidate minus that of version ``against`` on the same
    ``rows``, nats; ``low`` and ``high`` are its 95 % interval. All None where nothing was compared.
    ``best``: later candidates are held against this one."""

    passes: bool
    best: bool
    against: int | None
    rows: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Verdict:
        return cls(**{name: data[name] for name in cls.__dataclass_fields__})

    def words(self) -> str:
        """Why it was rejected."""
        return (
            f"log loss {self.difference:+.4f} against version {self.against} on the same "
            f"{self.rows} rows before learning, 95 % interval {self.low:+.4f} to {self.high:+.4f}"
        )


UNRIVALLED = Verdict(passes=True, best=True, against=None, rows=0)
UNCOMPARED = Verdict(passes=True, best=False, against=None, rows=0)


def judged(correct: Bools, candidate: Floats, other: Floats, version: int, rule: Rule) -> Verdict:
    """The verdict over n rows: outcomes, the candidate's probabilities, and those of ``version``,
    NaN where it has none of its own. Who can't be compared does not become the best."""
    own = np.isfinite(other)
    rows = int(own.sum())
    if rows < max(rule.rows, 1):
        return Verdict(passes=True, best=False, against=version, rows=rows)
    worse = _losses(correct[own], candidate[own]) - _losses(correct[own], other[own])
    low, high = _interval(worse, rule.seed)
    mean = float(worse.mean())
    return Verdict(low <= rule.margin, mean <= 0, version, rows, mean, low, high)


def _losses(correct: Bools, p: Floats) -> Floats:
    sure = np.clip(np.where(correct, p, 1 - p), CLOSE_TO_CERTAIN, 1)
    return np.asarray(-np.log(sure))


def _interval(values: Floats, seed: int) -> tuple[float, float]:
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(values), (RESAMPLES, len(values)), dtype=np.int32)
    low, high = np.percentile(values[drawn].mean(axis=1), TAILS)
    return float(low), float(high)
