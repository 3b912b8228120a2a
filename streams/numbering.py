"""PURE: which publications of a batch are new completions, and which number each gets.

The store runs this rule inside one transaction that holds the counter's row, so numbers are
1 … N without a gap however often and in whatever order publications arrive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from schemas.events import TaskCompleted


class Place(NamedTuple):
    """Where in the log a publication stands."""

    partition: int
    offset: int


class Publication(NamedTuple):
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


@dataclass(frozen=True)
class Stands:
    """Where recording stands: per partition, where it stood before a batch and stands after, in
    which generation; None where that does not matter."""

    topic_id: str
    topic: str
    before: dict[int, int]
    after: dict[int, int]
    generation: int | None = None


@dataclass
class Outcome:
    """What recording a batch came to. ``advanced``: the position moved in the same transaction.

    Otherwise something is still to be dead-lettered first; then call ``Store.advance``.
    """

    generation: int
    numbered: Numbered = field(default_factory=Numbered)
    refused: list[tuple[Publication, str]] = field(default_factory=list)
    advanced: bool = True


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
    firsts: dict[str, TaskCompleted] = {}
    for publication in batch:
        task = publication.task
        recorded, first = known.get(task.task_id), firsts.get(task.task_id)
        if recorded is not None:
            if recorded.claim != claim(task):
                outcome.conflicts.append(publication)
            elif recorded.place == publication.place:
                outcome.again.append(recorded)
            else:
                outcome.duplicates += 1
        elif first is None:
            last += 1
            outcome.fresh.append((last, publication))
            firsts[task.task_id] = task
        elif claim(first) != claim(task):
            outcome.conflicts.append(publication)
        else:
            outcome.duplicates += 1
    return outcome
