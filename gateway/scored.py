"""PURE: predictions beside what happened, as columns, and what is told of them.

Only the first prediction of a task and arm is here, and only if it was made before the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.events import CALIBRATION_BINS as BINS
from training import metrics
from training.metrics import Bools, Floats, Ints

Names = NDArray[np.object_]
ARMS = ("champion", "challenger")


@dataclass(frozen=True)
class Scored:
    """n rows, newest first. ``p`` the chance told of a right answer, ``expected``, ``low``,
    ``high`` and ``seconds`` in seconds, ``at`` the completion in seconds since 1970, ``version`` 0
    where none served."""

    task: Names
    user: Names
    topic: Names
    arm: Names
    source: Names
    version: Ints
    p: Floats
    expected: Floats
    low: Floats
    high: Floats
    correct: Bools
    seconds: Floats
    at: Floats

    @classmethod
    def of(cls, rows: Iterable[Sequence[Any]]) -> Scored:
        """From tuples in this order."""
        columns = list(zip(*rows, strict=True)) or [()] * len(TYPES)
        return cls(*(np.array(c, dtype=t) for c, t in zip(columns, TYPES, strict=True)))

    def __len__(self) -> int:
        return len(self.p)

    def take(self, which: Bools | Ints | slice) -> Scored:
        """These rows."""
        return Scored(*(getattr(self, each.name)[which] for each in fields(self)))

    def of_arm(self, arm: str) -> Scored:
        """The rows of one arm."""
        return self.take(self.arm == arm)


TYPES: tuple[type[Any], ...] = (object,) * 5 + (np.int64,) + (float,) * 4 + (bool, float, float)


@dataclass(frozen=True)
class Score:
    """How good an arm's predictions by a source were in a step of time; ``version`` None: those of
    all versions, weighted by their tasks. Loss in nats; both None where undefined."""

    at: datetime
    version: int | None
    source: str
    arm: str
    tasks: int
    log_loss: float | None
    auc: float | None


@dataclass(frozen=True)
class Bin:
    """Predictions of a chance in the ``place``-th tenth: ``mean_p`` is the mean of what was told,
    ``observed`` the share that was right."""

    place: int
    tasks: int
    mean_p: float
    observed: float

    @property
    def ends(self) -> tuple[float, float]:
        return self.place / BINS, (self.place + 1) / BINS


Bins = Mapping[str, Sequence[Bin]]  # of each arm that has any


def reliability(rows: Scored) -> Bins:
    """The bins of a reliability diagram, without the empty ones."""
    place = metrics.bin_of(rows.p, BINS)
    keys = sorted(set(zip(rows.arm, place.tolist(), strict=True)))
    inside = {key: rows.take((rows.arm == key[0]) & (place == key[1])) for key in keys}
    return of_sums(
        (*key, len(of), float(of.p.sum()), int(of.correct.sum())) for key, of in inside.items()
    )


def of_sums(sums: Iterable[tuple[str, int, int, float, int]]) -> Bins:
    """Bins by arm, from: arm, place, tasks, the sum of what was told, how many were right."""
    found: dict[str, list[Bin]] = {arm: [] for arm in ARMS}
    for arm, place, tasks, told, right in sums:
        found[arm].append(Bin(place, tasks, told / tasks, right / tasks))
    return {arm: bins for arm, bins in found.items() if bins}


def gap(bins: Sequence[Bin]) -> float:
    """The expected calibration error (Guo et al. 2017)."""
    tasks = sum(each.tasks for each in bins)
    return sum(each.tasks * abs(each.mean_p - each.observed) for each in bins) / tasks


def wilson(share: float, rows: int) -> tuple[float, float]:
    """The 95 % interval of a share of so many rows (Wilson 1927)."""
    z = 1.96
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * (share * (1 - share) / rows + (z / (2 * rows)) ** 2) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def over_time(rows: Scored, bucket: int) -> list[Score]:
    """Steps of ``bucket`` seconds, oldest first, by source and arm."""
    step = (rows.at // bucket).astype(np.int64)
    keys = sorted(set(zip(step.tolist(), rows.source, rows.arm, strict=True)))
    found = []
    for at, source, arm in keys:
        of = rows.take((step == at) & (rows.source == source) & (rows.arm == arm))
        loss, auc = metrics.log_loss(of.correct, of.p), metrics.auc(of.correct, of.p)
        began = datetime.fromtimestamp(at * bucket, UTC)
        found.append(Score(began, None, source, arm, len(of), loss, auc))
    return found
