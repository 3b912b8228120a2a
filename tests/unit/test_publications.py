"""A range of the log comes to the same as numbering it in the log's order."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import TaskCompleted
from streams.numbering import Place, Publication, assign
from streams.publications import Publications, Settled

NOW = datetime(2026, 1, 1, tzinfo=UTC)
# Partition, the log's time, task, learner: few of each, so that they meet.
MESSAGES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 6), st.integers(0, 1)),
    max_size=40,
)


def completed(task: int, user: int) -> TaskCompleted:
    return TaskCompleted(
        task_id=f"task-{task}", user_id=f"user-{user}", topic="t", difficulty="easy",
        completed_at=NOW, is_correct=True, actual_time_seconds=3.0,
    )  # fmt: skip


def settled(messages: list[tuple[int, int, int, int]], batch: int) -> Settled:
    found = Publications()
    for first in range(0, len(messages), batch):
        part = messages[first : first + batch]
        found.add((partition, at, completed(task, user)) for partition, at, task, user in part)
    return found.settle()


@given(MESSAGES, st.integers(1, 7))
def test_it_is_numberings_rule(messages: list[tuple[int, int, int, int]], batch: int) -> None:
    latest: dict[int, int] = {}
    keys = []
    for row, (partition, at, _, _) in enumerate(messages):
        latest[partition] = max(latest.get(partition, 0), at)
        keys.append((latest[partition], partition, row))
    order = [row for _, _, row in sorted(keys)]
    publications = [
        Publication(completed(*messages[row][2:]), Place(messages[row][0], row)) for row in order
    ]
    wanted = assign(0, publications, {})
    found = settled(messages, batch)
    assert found.first.tolist() == [p.place.offset for _, p in wanted.fresh]
    assert found.conflicts == Counter(p.place.partition for p in wanted.conflicts)
    assert sum(found.duplicates.values()) == wanted.duplicates


@given(MESSAGES)
def test_it_does_not_depend_on_how_partitions_are_read(
    messages: list[tuple[int, int, int, int]],
) -> None:
    """Each partition in its order, one after the other in another order."""
    by_partition = {p: [m for m in messages if m[0] == p] for p in range(3)}
    woven = [message for p in (2, 0, 1) for message in by_partition[p]]
    ours, theirs = settled(messages, 3), settled(woven, 5)
    assert [messages[row] for row in ours.first] == [woven[row] for row in theirs.first]
    assert (ours.duplicates, ours.conflicts) == (theirs.duplicates, theirs.conflicts)
