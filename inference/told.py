"""What is told of one task: numbers within the contract's ranges, where they come from, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from training.metrics import DEFAULT_P, DEFAULT_SECONDS, Z_80

P_RANGE = (0.01, 0.99)
SECONDS_RANGE = (5.0, 600.0)
LOG_RANGE = (0.0, 10.0)  # beyond SECONDS_RANGE, and where exp is finite

Cause = Literal[
    "trained", "learner-unseen", "topic-unknown", "difficulty-unknown", "not-finite",
    "store-away", "no-model", "expired", "challenger", "learner-forgotten",
]  # fmt: skip
Numbers = tuple[float, float, float]


@dataclass(frozen=True)
class Answer:
    """Times in seconds, low ≤ expected ≤ high, the ends of the 80 % interval; ``history_length``
    counts the completed tasks that it is based on; ``cause`` is the reason in a word; ``lnirt`` is
    what LNIRT says: p, mu, sigma."""

    p_correct: float
    expected_seconds: float
    seconds_low: float
    seconds_high: float
    source: str
    reason: str
    history_length: int
    cause: Cause
    lnirt: Numbers | None = None

    def fields(self) -> dict[str, Any]:
        """What every event that tells of an answer has of it."""
        names = ("p_correct", "expected_seconds", "seconds_low", "seconds_high", "source")
        return {name: getattr(self, name) for name in names}


def default(reason: str, cause: Cause) -> Answer:
    return Answer(DEFAULT_P, DEFAULT_SECONDS, *SECONDS_RANGE, "default", reason, 0, cause)


def of_lnirt(answer: Answer, reason: str) -> Answer | None:
    """What LNIRT alone answers; None where no version does."""
    if answer.lnirt is None:
        return None
    return told(answer.lnirt, "lnirt", (reason, "challenger"), answer.history_length)


def told(
    numbers: Numbers, source: str, why: tuple[str, Cause], past: int, lnirt: Numbers | None = None
) -> Answer:
    """p, mu and sigma as an answer within the contract's ranges."""
    if not all(map(math.isfinite, numbers)):
        return default("neither the networks nor LNIRT gave a finite number", "not-finite")
    p, mu, sigma = numbers
    low, middle, high = (_seconds(mu + z * sigma) for z in (-Z_80, 0.0, Z_80))
    return Answer(_within(p, P_RANGE), middle, low, high, source, why[0], past, why[1], lnirt)


def _seconds(log_seconds: float) -> float:
    return _within(math.exp(_within(log_seconds, LOG_RANGE)), SECONDS_RANGE)


def _within(value: float, ends: tuple[float, float]) -> float:
    return float(min(max(value, ends[0]), ends[1]))
