"""PURE: which of the waiting train-requests are trained, and which are superseded.

A count request yields to a count request for more completions, waiting or already published, and
to nothing else; manual and replay requests are each served. What has ended is only announced
again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from schemas.events import TrainRequest

ENDED = ("published", "superseded", "rejected", "failed")


@dataclass(frozen=True)
class Plan:
    """What to do with the waiting requests, in this order; ``by`` supersedes."""

    again: tuple[TrainRequest, ...]
    superseded: tuple[TrainRequest, ...]
    by: str
    train: tuple[TrainRequest, ...]


def plan(waiting: Iterable[TrainRequest], ended: Collection[str], published: int) -> Plan:
    """Sort the waiting requests.

    ``ended`` holds the ids that have an outcome; ``published`` is the most completions that a
    count request was published for, 0 for none. Each id is handled once.
    """
    unique = {request.request_id: request for request in waiting}
    again = tuple(r for r in unique.values() if r.request_id in ended)
    fresh = [r for r in unique.values() if r.request_id not in ended]
    counts = [r for r in fresh if r.trigger == "count"]
    newest = max(counts, key=lambda r: r.completions, default=None)
    most = max(published, newest.completions if newest else 0)
    superseded = tuple(r for r in counts if r.completions < most)
    gone = {r.request_id for r in superseded}
    train = tuple(r for r in fresh if r.request_id not in gone)
    return Plan(again, superseded, f"count-{most}", train)
