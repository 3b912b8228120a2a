"""Requests and windows follow from the numbers alone, whatever happens on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Completions, NumberedCompletion
from streams import counting
from streams.counting import Cadence, Counter, Intervals, count, is_due, portions
from streams.windows import Rule, Windows

START = datetime(2026, 1, 1, tzinfo=UTC)
RULE = Rule(60, 300, 3600)
numbers = st.lists(st.integers(1, 60), max_size=80)


def batch(of: list[int], generation: int = 1, spacing: int = 7) -> Completions:
    items = tuple(
        NumberedCompletion(number=n, completed_at=START + timedelta(seconds=n * spacing))
        for n in of
    )
    return Completions(generation=generation, items=items)


@given(numbers)
def test_intervals_are_the_set(seen: list[int]) -> None:
    intervals = Intervals()
    for number in seen:
        intervals = intervals.add([number])
    assert intervals == Intervals().add(seen)
    assert len(intervals) == len(set(seen))
    assert all((n in intervals) == (n in seen) for n in range(1, 62))
    gaps = {n for first, last in intervals.gaps(60) for n in range(first, last + 1)}
    assert gaps == set(range(1, 61)) - set(seen)
    assert all(a[1] + 1 < b[0] for a, b in zip(intervals.spans, intervals.spans[1:], strict=False))


@given(
    st.permutations(list(range(1, 41))),
    st.lists(st.integers(1, 40), max_size=40),
    st.integers(1, 9),
)
def test_any_order_duplication_and_split_counts_the_same(
    order: list[int], duplicates: list[int], size: int
) -> None:
    deliveries = order + duplicates
    counter, due = Counter(), set()
    for at in range(0, len(deliveries), size):
        counter, fresh = count(counter, batch(deliveries[at : at + size]), RULE)
        due |= {n for n in fresh if is_due(n, [Cadence(1, 5)])}
    assert due == {5, 10, 15, 20, 25, 30, 35, 40}
    assert counter.seen.spans == ((1, 40),)
    assert counter.windows.total == 40
    straight, _ = count(Counter(), batch(list(range(1, 41))), RULE)
    assert counter.windows.counts == straight.windows.counts


def test_the_state_survives_as_bytes() -> None:
    counter, _ = count(Counter(), batch([1, 2, 3, 9]), RULE)
    assert counting.load(counting.dump(counter)) == counter
    assert counting.load(b"") == Counter()


def test_version_0_3_and_this_one_read_each_others_state() -> None:
    known = {"seconds", "counts", "dropped", "expired", "late", "watermark"}
    counter = Counter(1, windows=Windows(60, ((0, 3), (60, 1)), late=2, late_counts=((0, 2),)))
    state = json.loads(counting.dump(counter))
    assert set(state["windows"]) == known
    del state["late_counts"]
    older = counting.load(json.dumps(state).encode())
    assert older == replace(counter, windows=replace(counter.windows, late_counts=()))


def test_an_old_state_is_caught_up_by_what_it_has_not_seen() -> None:
    old, _ = count(Counter(), batch([1, 2, 3]), RULE)
    newer, _ = count(old, batch([4, 5, 6]), RULE)
    assert old.seen.gaps(6) == ((4, 6),)
    healed, fresh = count(old, batch([4, 5, 6]), RULE)
    assert (healed, fresh) == (newer, [4, 5, 6])


def test_a_newer_generation_begins_afresh_and_an_older_one_is_ignored() -> None:
    counter, _ = count(Counter(), batch([1, 2], generation=5), RULE)
    same, fresh = count(counter, batch([3], generation=4), RULE)
    assert (same, fresh) == (counter, [])
    rebuilt, fresh = count(counter, batch([1], generation=6), RULE)
    assert (rebuilt.generation, len(rebuilt.seen), rebuilt.windows.total) == (6, 1, 1)


def test_a_changed_cadence_holds_from_the_next_number_on() -> None:
    cadences = [Cadence(1, 5), Cadence(13, 4)]
    assert [n for n in range(1, 25) if is_due(n, cadences)] == [5, 10, 16, 20, 24]
    assert not is_due(5, [])


def test_a_counter_is_ahead_by_its_generation_or_by_a_number() -> None:
    counter, _ = count(Counter(), batch([1, 2, 7], generation=5), RULE)
    assert counting.is_ahead(counter, 4, 9)
    assert counting.is_ahead(counter, 5, 6)
    assert not counting.is_ahead(counter, 5, 7)
    assert not counting.is_ahead(counter, 6, 0)
    assert not counting.is_ahead(Counter(), 0, 0)


@given(
    st.sets(st.integers(1, 200)).map(lambda numbers: Intervals().add(numbers)),
    st.integers(1, 30),
    st.integers(1, 6),
)
def test_portions_are_the_first_numbers_in_order(held: Intervals, size: int, most: int) -> None:
    found = portions(held.spans, size, most)
    numbers = [[n for first, last in spans for n in range(first, last + 1)] for spans in found]
    wanted = [n for first, last in held.spans for n in range(first, last + 1)][: size * most]
    assert [n for portion in numbers for n in portion] == wanted
    assert all(len(portion) == size for portion in numbers[:-1])
    assert all(0 < len(portion) <= size for portion in numbers)


def test_many_small_gaps_take_few_portions() -> None:
    gaps = Intervals().add(range(1, 20_000, 2)).gaps(20_000)
    assert [len(spans) for spans in portions(gaps, 1000, 100)] == [1000] * 10
