"""The whole chain from publications to train-requests and windows, against a plain model.

A state machine publishes, repeats, contradicts and spoils completions, records them in batches
that crash between any two steps, delivers announcements again and in any order, writes old states
over the counter's, changes the cadence, empties the store and restores it from a backup. The rules
under test are the product's own (sort, assign, contradictions, announcement, Count); only
PostgreSQL is a shelf and Kafka a list. Whatever happened: once all is read and healed, the outcome
is the one that follows from what was published.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from schemas import codec, events, topics
from schemas.codec import Message, Raw
from schemas.events import TaskCompleted
from schemas.settings import Settings
from streams import counting
from streams.batches import announcement, contradictions, sort
from streams.consumption import Consumption
from streams.count import Count
from streams.health import Health
from streams.numbering import Place
from streams.patience import Patience
from streams.windows import Rule
from tests.unit.shelf import Shelf

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=1)
SETTINGS = Settings(window_grace_seconds=120, window_kept_seconds=600)
RULE = Rule(60, 120, 600)
GARBAGE = b"garbage"

task_ids = st.integers(0, 30).map("t{}".format)
moments = st.integers(0, 2400).map(lambda s: START + timedelta(seconds=s))
partitions = st.integers(0, 1)
sizes = st.integers(1, 12)
crashes = st.sampled_from(["none", "none", "none", "before burying", "before announcing"])
places = st.integers(0, 10_000)


def completion(task_id: str, at: datetime, seconds: float = 5.0) -> TaskCompleted:
    return TaskCompleted(
        task_id=task_id,
        user_id="u",
        topic="t",
        difficulty="d",
        completed_at=at,
        is_correct=True,
        actual_time_seconds=seconds,
    )


def place(raw: Raw) -> Place:
    return Place(raw.partition, raw.offset)


class Wire:
    """Kafka as far as counting goes: announcements in order, and the train-requests ever sent."""

    def __init__(self) -> None:
        self.announced: list[Raw] = []
        self.requested: set[str] = set()

    def publish(self, messages: Iterable[Message]) -> None:
        for message in messages:
            raw = Raw(message.topic, 0, len(self.announced), message.key, message.value)
            if message.topic == topics.COMPLETIONS.name:
                self.announced.append(raw)
                continue
            request = codec.decode(events.TrainRequest, topics.TRAIN_REQUEST.max_bytes, raw, NOW)
            assert isinstance(request, events.TrainRequest)
            self.requested.add(request.request_id)


class Counting(Count):
    """The count agent's work on the shelf and the wire; its own beginning would make a producer."""

    def __init__(self, shelf: Shelf, wire: Wire) -> None:
        self.settings, self.rule = SETTINGS, RULE
        self.patience = Patience(Health("tests", needs=()), threading.Event())
        self.store, self.publisher = shelf, wire  # type: ignore[assignment]
        self._state, self._standing = (b"", counting.Counter()), (0, 0)
        self._lock = threading.Lock()
        self.consumption = Consumption(SETTINGS, topics.COMPLETIONS, "tests")


class Chain(RuleBasedStateMachine):
    """The product's rules on one side; the log as published, and what follows from it, beside."""

    def __init__(self) -> None:
        super().__init__()
        self.every = 5
        self.generation = 0
        self.log: dict[int, list[Raw]] = {0: [], 1: []}
        self.requested: dict[int, set[str]] = {}  # by the generation of what was counted
        self.told: dict[Place, TaskCompleted | None] = {}
        self.wire = Wire()
        self.states = [b""]
        self.read = 0
        self._begin()
        self.back_the_store_up()

    def _begin(self) -> None:
        """A store that is empty, and what is known of its generation."""
        self.generation += 1
        self.shelf = Shelf(self.generation, self.every)
        self.due: dict[int, bool] = {}
        self.letters: dict[Place, codec.Bad] = {}
        self.requested[self.generation] = set()
        self.restart_the_counting_worker()

    # What producers do.

    @rule(partition=partitions, task_id=task_ids, at=moments)
    def publish(self, partition: int, task_id: str, at: datetime) -> None:
        """A completion, or the same again elsewhere or with another time of completion."""
        self._publish(partition, completion(task_id, at))

    @rule(partition=partitions, first=st.integers(0, 25), count=sizes, at=moments)
    def publish_a_burst(self, partition: int, first: int, count: int, at: datetime) -> None:
        for number in range(first, first + count):
            later = at + timedelta(seconds=37 * number)
            self._publish(partition, completion(f"t{number}", later))

    @rule(partition=partitions, task_id=task_ids)
    def publish_another_outcome(self, partition: int, task_id: str) -> None:
        self._publish(partition, completion(task_id, START, 6.0))

    @rule(partition=partitions)
    def publish_garbage(self, partition: int) -> None:
        self._publish(partition, None)

    def _publish(self, partition: int, task: TaskCompleted | None) -> None:
        log = self.log[partition]
        value = GARBAGE if task is None else task.model_dump_json().encode()
        log.append(Raw("task-completed", partition, len(log), b"u", value))
        self.told[place(log[-1])] = task

    # What recording workers do, and how they die.

    @rule(partition=partitions, size=sizes, crash=crashes)
    def record(self, partition: int, size: int, crash: str) -> None:
        """A batch from where the store stands."""
        first = self.shelf.positions.get(partition, 0)
        self._record(self.log[partition][first : first + size], crash)

    @rule(partition=partitions, at=places, size=sizes, crash=crashes)
    def record_an_old_batch_again(self, partition: int, at: int, size: int, crash: str) -> None:
        """A zombie, or a redelivery: from anywhere up to where the store stands."""
        first = at % (self.shelf.positions.get(partition, 0) + 1)
        self._record(self.log[partition][first : first + size], crash)

    @rule(size=sizes, crash=crashes)
    def record_both_partitions_at_once(self, size: int, crash: str) -> None:
        raws: list[Raw] = []
        for partition, log in self.log.items():
            first = self.shelf.positions.get(partition, 0)
            raws += log[first : first + size]
        self._record(raws, crash)

    def _record(self, raws: list[Raw], crash: str = "none") -> None:
        """As ``Recorder`` does with a batch, up to the crash."""
        batch = sort(raws, NOW)
        self._bury(batch.bad)
        after = {raw.partition: raw.offset + 1 for raw in raws}
        outcome = self.shelf.record(batch.publications, after)
        self._note(number for number, _ in outcome.numbered.fresh)
        if not outcome.advanced:
            if crash == "before burying":
                return
            self._bury(contradictions(outcome, raws))
            self.shelf.advance(after)
        event = announcement(outcome)
        numbers = [] if event is None else [item.number for item in event.items]
        mine = {place(raw) for raw in raws}
        assert numbers == sorted(r.number for r in self.shelf.known.values() if r.place in mine)
        if event is not None and crash != "before announcing":
            self.wire.publish([codec.encode(topics.COMPLETIONS, event, "streams")])

    def _bury(self, bad: Iterable[codec.Bad]) -> None:
        for one in bad:
            letter = codec.dead_letter(one, "dead-letters", NOW)
            assert (letter.key, letter.value) == (one.raw.key, one.raw.value)
            self.letters[place(one.raw)] = one

    def _note(self, numbers: Iterable[int]) -> None:
        """A new number is a train-request by the cadence that is set when it is given."""
        self.due |= {number: number % self.every == 0 for number in numbers}

    # What the counting worker does; it publishes through this machine.

    @rule(size=sizes)
    def count_what_is_announced(self, size: int) -> None:
        for raw in self.wire.announced[self.read : self.read + size]:
            self._count(raw)
        self.read = min(len(self.wire.announced), self.read + size)

    @precondition(lambda self: self.wire.announced)
    @rule(at=places, crash=st.booleans())
    def count_anything_again(self, at: int, crash: bool) -> None:
        """Out of order or once more; ``crash``: its requests are out, its state is not kept."""
        self._count(self.wire.announced[at % len(self.wire.announced)], kept=not crash)

    def _count(self, raw: Raw, kept: bool = True) -> None:
        self.wire.requested = self.requested[json.loads(raw.value or b"")["generation"]]
        state = self.count.handle(self.states[-1], raw)
        if kept and state != self.states[-1]:
            self.states.append(state)

    @rule(at=places)
    def write_an_old_state_back(self, at: int) -> None:
        self.states.append(self.states[at % len(self.states)])

    @rule()
    def heal(self) -> None:
        self.count.heal(self.states[-1])

    @rule()
    def restart_the_counting_worker(self) -> None:
        self.count = Counting(self.shelf, self.wire)

    # What operators do.

    @rule(every=st.integers(2, 7))
    def change_the_cadence(self, every: int) -> None:
        self.every = every
        self.shelf.set_cadence(every)

    @rule(settled=st.booleans())
    def empty_the_store(self, settled: bool) -> None:
        """While much is under way, or after all was counted."""
        if settled:
            self.settle()
        self._begin()

    @rule()
    def back_the_store_up(self) -> None:
        self.backup = copy.deepcopy((self.shelf, self.due, self.letters, self.every))

    @rule()
    def restore_the_store(self) -> None:
        """A recorder sees that the store went back before it records again."""
        self.shelf, self.due, self.letters, self.every = copy.deepcopy(self.backup)
        self.generation += 1
        self.shelf.generation = self.generation
        self.requested[self.generation] = set()
        self.count.store = self.shelf  # type: ignore[assignment]

    # What holds at every moment.

    @invariant()
    def numbers_have_no_gap(self) -> None:
        numbers = sorted(recorded.number for recorded in self.shelf.known.values())
        assert numbers == list(range(1, len(self.shelf.known) + 1))
        for task_id, recorded in self.shelf.known.items():
            won = self.told[recorded.place]
            assert won is not None
            assert (won.task_id, won.completed_at) == (task_id, recorded.completed_at)

    @invariant()
    def nothing_is_read_and_lost(self) -> None:
        """Behind the store's position, each message is recorded, a duplicate or a dead letter."""
        for partition, log in self.log.items():
            for raw in log[: self.shelf.positions.get(partition, 0)]:
                assert self._fate(raw) == (
                    self.letters[place(raw)].cause if place(raw) in self.letters else "recorded"
                )

    def _fate(self, raw: Raw) -> str:
        """What must have become of a message, given which publication of its task came first."""
        task = self.told[place(raw)]
        if task is None:
            return "not-json"
        first = self.shelf.known.get(task.task_id)
        assert first is not None
        told = self.told[first.place]
        assert told is not None
        same = told.actual_time_seconds == task.actual_time_seconds
        return "recorded" if same else "conflict"

    @invariant()
    def the_counter_holds_what_it_has_seen(self) -> None:
        counter = counting.load(self.states[-1])
        assert counter.windows.total == len(counter.seen)
        if counter.generation == self.generation:
            self._check_windows(counter)

    def _check_windows(self, counter: counting.Counter) -> None:
        """Which windows are kept, and what is in them, follows from the set of numbers alone."""
        seen = [r.completed_at for r in self.shelf.known.values() if r.number in counter.seen]
        assert len(seen) == len(counter.seen)
        newest = max(seen).timestamp()
        starts = [RULE.start(at) for at in seen]
        kept = {start: starts.count(start) for start in starts if start + 60 + 600 > newest}
        assert dict(counter.windows.counts) == kept
        assert counter.windows.watermark == newest
        assert counter.windows.dropped + counter.windows.expired == len(seen) - sum(kept.values())

    @invariant()
    def only_what_is_due_is_requested(self) -> None:
        assert self.requested[self.generation] <= self._due()

    def _due(self) -> set[str]:
        return {f"count-{number}" for number, due in self.due.items() if due}

    # What holds at the end.

    def teardown(self) -> None:
        self.settle()
        published = {task.task_id for task in self.told.values() if task is not None}
        counter = counting.load(self.states[-1])
        assert self.shelf.known.keys() == published
        assert counter.generation == self.generation or not published
        assert len(counter.seen) == counter.windows.total == len(self.shelf.known)
        assert counter.seen.gaps(len(self.shelf.known)) == ()
        assert self.requested[self.generation] == self._due()
        self.check_that_all_of_it_again_changes_nothing()

    def settle(self) -> None:
        """Everything is read to its end, by a worker that then dies: healing alone tells of it."""
        for partition, log in self.log.items():
            self._record(log[self.shelf.positions.get(partition, 0) :], "before announcing")
        self.count_what_is_announced(len(self.wire.announced))
        for _ in range(3):  # only what the call before saw recorded
            self.count.heal(self.states[-1])
            self.count_what_is_announced(len(self.wire.announced))
        for check in (
            self.numbers_have_no_gap,
            self.nothing_is_read_and_lost,
            self.the_counter_holds_what_it_has_seen,
        ):
            check()

    def check_that_all_of_it_again_changes_nothing(self) -> None:
        state, known = self.states[-1], dict(self.shelf.known)
        requested = set(self.requested[self.generation])
        for log in self.log.values():
            self._record(log)
        for raw in list(self.wire.announced):
            self._count(raw)
        assert (self.states[-1], self.shelf.known, self.requested[self.generation]) == (
            state,
            known,
            requested,
        )


Chain.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestChain = Chain.TestCase
