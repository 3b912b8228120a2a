"""What the pure rules promise of every order, batch split and repetition, against plain models."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec, topics
from schemas.codec import Raw
from schemas.events import Completions, NumberedCompletion, TaskCompleted
from streams import counting
from streams.batches import announcement
from streams.counting import Cadence, Counter, Intervals, count, is_due
from streams.numbering import Outcome, Place, Publication, Recorded, assign, claim
from streams.windows import Rule, Windows

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=400)

moments = st.floats(-3_000, 3_000, allow_nan=False).map(lambda s: START + timedelta(seconds=s))
histories = st.lists(moments, min_size=1, max_size=40)
rules = st.builds(Rule, st.integers(1, 90), st.integers(0, 400), st.integers(400, 900))
cuts = st.lists(st.integers(1, 9), max_size=20)
number_sets = st.lists(st.sets(st.integers(1, 80), max_size=12), max_size=8)


def split(items: Sequence[datetime], sizes: list[int]) -> list[Sequence[datetime]]:
    """The items in batches of these sizes; the rest in one."""
    batches: list[Sequence[datetime]] = []
    for size in [*sizes, len(items) or 1]:
        batches.append(items[:size])
        items = items[size:]
    return batches


def windows_of(items: Sequence[datetime], sizes: list[int], rule: Rule) -> Windows:
    windows = Windows()
    for batch in split(items, sizes):
        windows = windows.add(batch, rule)
    return windows


def one_by_one(items: Sequence[datetime], rule: Rule) -> Windows:
    """Windows said plainly: each arrival judged by the newest time that has come so far."""
    arrivals = [(rule.start(at), max(items[: i + 1]).timestamp()) for i, at in enumerate(items)]
    expired = [start for start, newest in arrivals if rule.is_expired(start, newest)]
    late = [start for start, newest in arrivals if rule.is_final(start, newest)]
    newest = max(items).timestamp()
    tally = Tally(start for start, _ in arrivals)
    kept = {start: n for start, n in tally.items() if not rule.is_expired(start, newest)}
    dropped = len(items) - len(expired) - sum(kept.values())
    counts = tuple(sorted(kept.items()))
    # A window expires no sooner than it is final, so what expired is among what came late.
    came_late = Tally(late) - Tally(expired)
    late_counts = tuple(sorted((start, n) for start, n in came_late.items() if start in kept))
    total = came_late.total()
    return Windows(rule.seconds, counts, dropped, len(expired), total, newest, late_counts)


@given(histories, cuts, rules)
def test_windows_are_those_of_one_by_one_in_any_batches(
    items: list[datetime], sizes: list[int], rule: Rule
) -> None:
    assert windows_of(items, sizes, rule) == one_by_one(items, rule)


@given(st.data(), histories, cuts, rules)
def test_what_of_the_windows_no_order_changes(
    data: st.DataObject, items: list[datetime], sizes: list[int], rule: Rule
) -> None:
    """All but how aged-out ones split into dropped and expired, and how many came late."""
    ordered = windows_of(items, [], rule)
    mixed = windows_of(data.draw(st.permutations(items)), sizes, rule)
    assert (mixed.counts, mixed.watermark) == (ordered.counts, ordered.watermark)
    assert (mixed.total, mixed.open(rule)) == (ordered.total, ordered.open(rule))
    assert mixed.dropped + mixed.expired == ordered.dropped + ordered.expired


@given(histories, cuts, rules)
def test_nothing_is_late_in_order_and_all_that_can_be_is_in_reverse(
    items: list[datetime], sizes: list[int], rule: Rule
) -> None:
    forward = windows_of(sorted(items), sizes, rule)
    backward = windows_of(sorted(items, reverse=True), sizes, rule)
    assert (forward.late, forward.expired) == (0, 0)
    assert (backward.dropped, backward.expired) == (0, forward.dropped)
    assert backward.late + backward.expired == len(items) - backward.open(rule)


@given(st.lists(st.tuples(histories, rules), max_size=6))
def test_a_changed_rule_keeps_every_completion(parts: list[tuple[list[datetime], Rule]]) -> None:
    windows = Windows()
    for items, rule in parts:
        windows = windows.add(items, rule)
        assert windows.seconds == rule.seconds
        assert all(start % rule.seconds == 0 for start, _ in windows.counts)
    assert windows.total == sum(len(items) for items, _ in parts)


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)), rules)
def test_every_time_is_within_its_window(at: datetime, rule: Rule) -> None:
    start = rule.start(at)
    assert start <= at.timestamp() < start + rule.seconds
    assert start % rule.seconds == 0


def as_set(intervals: Intervals) -> set[int]:
    return {n for first, last in intervals.spans for n in range(first, last + 1)}


@given(number_sets, st.integers(0, 100))
def test_intervals_follow_a_set(additions: list[set[int]], highest: int) -> None:
    """Under additions in bulk, gaps asked for below, at and above the highest."""
    intervals, model = Intervals(), set[int]()
    for numbers in additions:
        intervals, model = intervals.add(numbers), model | numbers
        assert (as_set(intervals), len(intervals)) == (model, len(model))
        gaps = Intervals(intervals.gaps(highest))
        assert as_set(gaps) == set(range(1, highest + 1)) - model
        assert gaps == Intervals().add(as_set(gaps))
    assert intervals.add(as_set(intervals)) == intervals


@given(number_sets, number_sets)
def test_intervals_do_not_tell_who_came_first(left: list[set[int]], right: list[set[int]]) -> None:
    one = Intervals().add(set().union(*left, *right))
    other = Intervals()
    for numbers in right + left:
        other = other.add(numbers)
    assert one == other


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 9)), max_size=5),
    st.integers(1, 9),
)
def test_each_number_is_due_by_the_cadence_of_its_time(
    changes: list[tuple[int, int]], first: int
) -> None:
    """Walked number by number, with the cadence changed on the way."""
    changed = {1: first} | dict(sorted(changes))
    cadences = [Cadence(number, every) for number, every in sorted(changed.items())]
    every = first
    for number in range(1, 80):
        every = changed.get(number, every)
        assert is_due(number, cadences) == (number % every == 0)


def numbered(times: list[datetime], generation: int = 1) -> list[Completions]:
    """Each completion's announcement by itself."""
    return [
        Completions(generation=generation, items=(NumberedCompletion(number=n, completed_at=at),))
        for n, at in enumerate(times, 1)
    ]


@given(st.data(), histories, rules)
def test_an_old_state_and_healing_end_in_the_same_counter(
    data: st.DataObject, times: list[datetime], rule: Rule
) -> None:
    """Every number is new once or again after the old state; none is ever missed."""
    whole = numbered(times)
    straight = Counter()
    for batch in whole:
        straight, _ = count(straight, batch, rule)
    states, told = [Counter()], list[int]()
    for batch in data.draw(st.lists(st.sampled_from(whole), max_size=60)):
        counter, fresh = count(data.draw(st.sampled_from(states[-3:])), batch, rule)
        states.append(counting.load(counting.dump(counter)))
        told += fresh
    healed = states[-1]
    for first, last in healed.seen.gaps(len(times)):
        missing = tuple(item for batch in whole[first - 1 : last] for item in batch.items)
        healed, fresh = count(healed, Completions(generation=1, items=missing), rule)
        assert fresh == list(range(first, last + 1))
        told += fresh
    assert set(told) == set(range(1, len(times) + 1))
    assert aged_together(healed) == aged_together(straight)


def aged_together(counter: Counter) -> Counter:
    """Without what depends on the order: lateness, and the split of what aged out."""
    windows = counter.windows
    gone = windows.dropped + windows.expired
    same = replace(windows, dropped=gone, expired=0, late=0, late_counts=())
    return replace(counter, windows=same)


@given(st.lists(st.tuples(st.integers(1, 4), histories), max_size=8), rules)
def test_the_highest_generation_counts_alone(
    batches: list[tuple[int, list[datetime]]], rule: Rule
) -> None:
    """Of whatever arrives, what counts is the highest generation so far, whole."""
    counter, seen = Counter(), dict[int, set[int]]()
    for generation, times in batches:
        for one in numbered(times, generation):
            counter, fresh = count(counter, one, rule)
            newer = generation >= max(seen, default=0)
            known = seen.setdefault(generation, set()) if newer else {one.items[0].number}
            assert fresh == sorted({one.items[0].number} - known)
            known |= set(fresh)
        assert counter.generation == max(seen, default=0)
        assert as_set(counter.seen) == seen[counter.generation]
        assert counting.load(counting.dump(counter)) == counter


publications = st.builds(
    lambda task_id, seconds, at, offset: Publication(
        TaskCompleted(
            task_id=task_id,
            user_id="u",
            topic="t",
            difficulty="d",
            completed_at=at,
            is_correct=True,
            actual_time_seconds=seconds,
        ),
        Place(0, offset),
    ),
    st.integers(0, 12).map("t{}".format),
    st.sampled_from([5.0, 5.0, 6.0]),
    moments,
    st.integers(0, 1000),
)
logs = st.lists(publications, max_size=30, unique_by=lambda publication: publication.place)


@given(logs, st.integers(0, 30))
def test_an_announcement_tells_each_number_of_its_batch_and_no_other(
    log: list[Publication], recorded: int
) -> None:
    """In order, once each, with the time of the publication that won it; and it can be sent."""
    before, batch = log[:recorded], log[recorded:]
    known: dict[str, Recorded] = {}
    for number, publication in assign(0, before, {}).fresh:
        task = publication.task
        known[task.task_id] = Recorded(number, task.completed_at, claim(task), publication.place)
    outcome = Outcome(7, assign(len(known), [*batch, *before], known))
    event = announcement(outcome)
    if event is None:
        assert (outcome.numbered.fresh, outcome.numbered.again) == ([], [])
        return
    won = {r.number: r.completed_at for r in known.values()}
    won |= {number: p.task.completed_at for number, p in outcome.numbered.fresh}
    assert [(item.number, item.completed_at) for item in event.items] == sorted(won.items())
    message = codec.encode(topics.COMPLETIONS, event, "streams")
    raw = Raw(message.topic, 0, 0, message.key, message.value)
    assert codec.decode(Completions, topics.COMPLETIONS.max_bytes, raw, NOW) == event


@pytest.mark.parametrize(
    ("field", "other", "contradicts"),
    [
        ("user_id", "v", True),
        ("topic", "u", True),
        ("difficulty", "e", True),
        ("is_correct", False, True),
        ("actual_time_seconds", 6.0, True),
        ("completed_at", START.replace(year=2025), False),
        ("started_at", START.replace(year=2025), False),
        ("timed_out", True, False),
    ],
)
@given(publications)
def test_what_contradicts_a_publication(
    field: str, other: object, contradicts: bool, first: Publication
) -> None:
    """Five fields are the claim; the first publication's times stand, whatever a later one says."""
    task = first.task.model_copy(update={"actual_time_seconds": 5.0})
    again = Publication(task.model_copy(update={field: other}), Place(1, 0))
    outcome = assign(0, [Publication(task, first.place), again], {})
    assert outcome.conflicts == ([again] if contradicts else [])
    assert outcome.duplicates == (0 if contradicts else 1)


@given(logs)
def test_each_publication_has_one_fate(batch: list[Publication]) -> None:
    """Of each task the first stands; each other repeats or contradicts it, and is told apart."""
    outcome = assign(0, batch, {})
    first = {p.task.task_id: p for p in reversed(batch)}
    assert {p.place for _, p in outcome.fresh} == {p.place for p in first.values()}
    assert [n for n, _ in outcome.fresh] == list(range(1, len(first) + 1))
    against = [p for p in batch if claim(p.task) != claim(first[p.task.task_id].task)]
    assert outcome.conflicts == against
    assert outcome.duplicates == len(batch) - len(first) - len(against)
    assert outcome.again == []
