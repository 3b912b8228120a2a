"""PURE: which publications of a batch are new completions, and which number each gets.

The store runs this rule inside one transaction that holds the counter's row, so numbers are
1 … N without a gap however often and in whatever order publications arrive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from schemas.events import TaskCompleted


@dataclass(frozen=True)
class Place:
    """Where in the log a publication stands."""

    partition: int
    offset: int


@dataclass(frozen=True)
class Publication:
    """One delivery of a completion."""

    task: TaskCompleted
    place: Place


@dataclass(frozen=True)
class Recorded:
    """A completion that has its number, and the publication that won it."""

    number: int
    completed_at: datetime
    claim: tuple[object, ...]
    place: Place


@dataclass
class Numbered:
    """What a batch comes to.

    ``fresh`` get new numbers, in order; ``again`` were recorded from this very place before and
    pass their numbers on once more; ``conflicts`` contradict the first publication;
    ``duplicates`` counts publications that repeat it at another place.
    """

    fresh: list[tuple[int, Publication]] = field(default_factory=list)
    again: list[Recorded] = field(default_factory=list)
    conflicts: list[Publication] = field(default_factory=list)
    duplicates: int = 0


def claim(task: TaskCompleted) -> tuple[object, ...]:
    """What two publications of one task must agree on."""
    return (
        task.user_id,
        task.topic,
        task.difficulty,
        task.is_correct,
        task.actual_time_seconds,
    )


def assign(last: int, batch: Iterable[Publication], known: Mapping[str, Recorded]) -> Numbered:
    """Number a batch after ``last``; ``known`` holds what is recorded of its task ids."""
    outcome = Numbered()
    seen = dict(known)
    for publication in batch:
        task = publication.task
        first = seen.get(task.task_id)
        if first is None:
            last += 1
            outcome.fresh.append((last, publication))
            seen[task.task_id] = Recorded(last, task.completed_at, claim(task), publication.place)
        elif first.claim != claim(task):
            outcome.conflicts.append(publication)
        elif first.place == publication.place and task.task_id in known:
            outcome.again.append(first)
        else:
            outcome.duplicates += 1
    return outcome
