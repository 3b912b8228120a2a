"""Watches the store while it is hurt: when does the highest number grow, when each partition?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from tests.chaos.journal import Fault

LOOK_SECONDS = 0.1
_LOOK = text(
    "SELECT (SELECT last_number FROM numbering), "
    "(SELECT json_object_agg(log_partition, next_offset) FROM log_positions)"
)


@dataclass(frozen=True)
class Sample:
    """The store's standing at a time of the monotonic clock."""

    at: float
    number: int
    offsets: dict[str, int]


class Progress(threading.Thread):
    """``samples``: one whenever something moved."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(name="progress", daemon=True)
        self.engine = engine
        self.samples: list[Sample] = []
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(LOOK_SECONDS):
            try:
                with self.engine.connect() as connection:
                    number, offsets = connection.execute(_LOOK).one()
            except SQLAlchemyError:
                continue
            sample = Sample(time.monotonic(), number or 0, offsets or {})
            if not self.samples or _moved(self.samples[-1], sample):
                self.samples.append(sample)


def _moved(before: Sample, after: Sample) -> bool:
    return (before.number, before.offsets) != (after.number, after.offsets)


def next_progress(samples: Sequence[Sample], fault: float) -> float | None:
    """Seconds from a fault until the highest number grew; None where it never did."""
    before = [sample for sample in samples if sample.at <= fault]
    number = before[-1].number if before else 0
    grown = (s.at - fault for s in samples if s.at > fault and s.number > number)
    return next(grown, None)


def all_progress(samples: Sequence[Sample], fault: float) -> float | None:
    """Seconds from a fault until every partition had moved."""
    before = [sample for sample in samples if sample.at <= fault]
    offsets = before[-1].offsets if before else {}
    moved = (
        s.at - fault
        for s in samples
        if s.at > fault and all(s.offsets.get(p, 0) > offset for p, offset in offsets.items())
    )
    return next(moved, None)


def alone(
    faults: Sequence[Fault],
    samples: Sequence[Sample],
    chosen: Iterable[Fault],
    recovery: Callable[[Sequence[Sample], float], float | None],
) -> list[float]:
    """Seconds from the end of each chosen fault to recovery, where no other came in between."""
    found: list[float] = []
    for fault in chosen:
        seconds = recovery(samples, fault.ended)
        if seconds is None:
            continue
        others = (one for one in faults if one is not fault)
        back = fault.ended + seconds
        if not any(one.began < back and one.ended > fault.ended for one in others):
            found.append(seconds)
    return found
