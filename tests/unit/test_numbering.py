"""Numbers are 1 … N without a gap, whatever is published how often, in whatever batches."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import TaskCompleted
from streams.numbering import Place, Publication, Recorded, assign, claim

AT = datetime(2026, 1, 1, tzinfo=UTC)


def task(task_id: str, seconds: float = 5.0) -> TaskCompleted:
    return TaskCompleted(
        task_id=task_id,
        user_id="u",
        topic="t",
        difficulty="d",
        completed_at=AT,
        is_correct=True,
        actual_time_seconds=seconds,
    )


def published(task_id: str, offset: int, seconds: float = 5.0) -> Publication:
    return Publication(task(task_id, seconds), Place(0, offset))


def recorded(number: int, publication: Publication) -> Recorded:
    return Recorded(number, AT, claim(publication.task), publication.place)


def test_new_completions_get_the_next_numbers() -> None:
    outcome = assign(7, [published("a", 0), published("b", 1)], {})
    assert [(number, p.task.task_id) for number, p in outcome.fresh] == [(8, "a"), (9, "b")]


def test_a_redelivery_passes_its_number_on_and_a_duplicate_does_not() -> None:
    first = published("a", 0)
    known = {"a": recorded(3, first)}
    outcome = assign(3, [first, published("a", 9)], known)
    assert [r.number for r in outcome.again] == [3]
    assert (outcome.fresh, outcome.duplicates) == ([], 1)


def test_another_claim_is_a_conflict_within_a_batch_and_across() -> None:
    batch = [published("a", 0), published("a", 1, seconds=6.0)]
    assert assign(0, batch, {}).conflicts == [batch[1]]
    known = {"a": recorded(1, batch[0])}
    assert assign(1, [batch[1]], known).conflicts == [batch[1]]


def test_another_completion_time_alone_is_no_conflict() -> None:
    later = task("a").model_copy(update={"completed_at": AT.replace(day=2)})
    outcome = assign(0, [published("a", 0), Publication(later, Place(0, 1))], {})
    assert (len(outcome.fresh), outcome.duplicates) == (1, 1)


@given(
    st.lists(st.integers(0, 15), max_size=60),
    st.lists(st.integers(1, 60), max_size=10),
    st.lists(st.integers(0, 59), max_size=20),
)
def test_any_split_duplication_and_redelivery(
    ids: list[int], cuts: list[int], redelivered: list[int]
) -> None:
    log = [published(f"t{i}", offset) for offset, i in enumerate(ids)]
    deliveries = log + [log[at] for at in redelivered if at < len(log)]
    known: dict[str, Recorded] = {}
    last, rest = 0, deliveries
    for size in [*cuts, len(deliveries) or 1]:
        batch, rest = rest[:size], rest[size:]
        outcome = assign(last, batch, known)
        for number, publication in outcome.fresh:
            known[publication.task.task_id] = recorded(number, publication)
        last += len(outcome.fresh)
    assert sorted(r.number for r in known.values()) == list(range(1, len(set(ids)) + 1))
    assert last == len(set(ids))
