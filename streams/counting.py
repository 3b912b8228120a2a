"""PURE: numbers seen to train-requests due; the state of the windowed global counter.

Every rule follows from a completion's number, so duplicates, reordering and an old state
written over a new one can neither lose a count nor make one twice.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from operator import itemgetter

from schemas.events import Completions, NumberedCompletion
from streams.windows import Rule, Windows

Interval = tuple[int, int]


@dataclass(frozen=True)
class Intervals:
    """A set of positive integers as sorted, disjoint, non-adjacent closed intervals."""

    spans: tuple[Interval, ...] = ()

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.spans)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self.spans, number, key=itemgetter(0)) - 1
        return at >= 0 and number <= self.spans[at][1]

    def add(self, numbers: Iterable[int]) -> Intervals:
        """With these numbers too."""
        spans = sorted([*self.spans, *_runs(numbers)])
        merged: list[Interval] = []
        for first, last in spans:
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        return Intervals(tuple(merged))

    def gaps(self, highest: int) -> tuple[Interval, ...]:
        """What is missing of 1 … ``highest``."""
        edges = [(0, 0), *self.spans, (highest + 1, highest + 1)]
        found = ((left[1] + 1, min(right[0] - 1, highest)) for left, right in pairwise(edges))
        return tuple((first, last) for first, last in found if first <= last)


def _runs(numbers: Iterable[int]) -> Iterator[Interval]:
    first = last = None
    for number in sorted(set(numbers)):
        if last is not None and number == last + 1:
            last = number
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = number
    if first is not None and last is not None:
        yield first, last


def portions(spans: Iterable[Interval], size: int, most: int) -> list[list[Interval]]:
    """The first numbers of these spans, ascending, ``size`` in a portion, in at most ``most``."""
    found: list[list[Interval]] = [[]]
    room = size
    for first, last in spans:
        while first <= last:
            if not room:
                if len(found) == most:
                    return found
                found.append([])
                room = size
            end = min(last, first + room - 1)
            found[-1].append((first, end))
            room -= end - first + 1
            first = end + 1
    return [portion for portion in found if portion]


@dataclass(frozen=True)
class Cadence:
    """From ``first_number`` on, every ``every``-th number is a train-request."""

    first_number: int
    every: int


def is_due(number: int, cadences: Sequence[Cadence]) -> bool:
    """Whether this number is a train-request, by the cadence in force when it was given.

    ``cadences`` ascend by first number; the first begins at 1.
    """
    in_force = [cadence for cadence in cadences if cadence.first_number <= number]
    return bool(in_force) and number % in_force[-1].every == 0


@dataclass(frozen=True)
class Counter:
    """The windowed global counter: numbers seen and completions per window, of one generation."""

    generation: int = 0
    seen: Intervals = Intervals()
    windows: Windows = field(default_factory=Windows)


def count(counter: Counter, batch: Completions, rule: Rule) -> tuple[Counter, list[int]]:
    """The counter after a batch, and the numbers that were new to it, ascending.

    A batch of an older generation changes nothing; one of a newer generation starts afresh.
    """
    if batch.generation < counter.generation:
        return counter, []
    if batch.generation > counter.generation:
        counter = Counter(batch.generation)
    fresh = {item.number: item for item in batch.items if item.number not in counter.seen}
    items: list[NumberedCompletion] = [fresh[number] for number in sorted(fresh)]
    windows = counter.windows.add((item.completed_at for item in items), rule)
    return replace(counter, seen=counter.seen.add(fresh), windows=windows), sorted(fresh)


def is_ahead(counter: Counter, generation: int, last: int) -> bool:
    """Whether the counter has seen what a store of this generation and last number never gave."""
    highest = counter.seen.spans[-1][1] if counter.seen.spans else 0
    return (counter.generation, highest) > (generation, last)


def dump(counter: Counter) -> bytes:
    """The state as the Faust table keeps it.

    What came late per window stands aside, where a worker of version 0.3 does not stumble over it.
    """
    windows = counter.windows.as_dict()
    state = {
        "generation": counter.generation,
        "seen": counter.seen.spans,
        "late_counts": windows.pop("late_counts"),
        "windows": windows,
    }
    return json.dumps(state, separators=(",", ":")).encode()


def load(state: bytes) -> Counter:
    """The counter from a table's value; an empty one where there is none."""
    if not state:
        return Counter()
    values = json.loads(state)
    return Counter(
        int(values["generation"]),
        Intervals(tuple((int(first), int(last)) for first, last in values["seen"])),
        Windows.from_dict({**values["windows"], "late_counts": values.get("late_counts", ())}),
    )
