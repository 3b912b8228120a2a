"""Record: task-completed to the store, then the numbers onto ``completions``.

Runs in a thread of its own inside the Faust app (app.py). Per batch: decode, dead-letter what is
bad, one transaction that numbers what is new and moves the position in the log, the acknowledged
announcement. The position is the store's; the group's offsets are committed only to show lag.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from sqlalchemy.exc import ProgrammingError

from schemas import codec, events, topics
from schemas.codec import Bad, Message, Raw
from schemas.settings import Settings
from streams import database, declare, kafka, metrics
from streams.letters import bury
from streams.numbering import Place, Publication
from streams.patience import Patience, Stopped
from streams.store import Outcome, Stands, Store, StoreWentBack

P = ParamSpec("P")
R = TypeVar("R")
log = structlog.get_logger("retrace")
GROUP = "retrace-record"
COMMIT_SECONDS = 1.0


@dataclass
class Sorted:
    """A batch after decoding: publications beside bad messages."""

    publications: list[Publication] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)


def sort(raws: Sequence[Raw], now: datetime) -> Sorted:
    """Decode a batch; what cannot be decoded stands beside what can."""
    batch = Sorted()
    limit = topics.TASK_COMPLETED.max_bytes
    for raw in raws:
        task = codec.decode(events.TaskCompleted, limit, raw, now)
        if isinstance(task, Bad):
            batch.bad.append(task)
        else:
            batch.publications.append(Publication(task, Place(raw.partition, raw.offset)))
    return batch


def contradictions(outcome: Outcome, raws: Sequence[Raw]) -> list[Bad]:
    """Conflicts and refused rows of an outcome as bad messages."""
    by_place = {Place(raw.partition, raw.offset): raw for raw in raws}
    conflicts = [
        Bad(
            by_place[publication.place],
            "record",
            "conflict",
            "another publication of this task_id, with other values, was recorded first",
        )
        for publication in outcome.numbered.conflicts
    ]
    refused = [
        Bad(by_place[publication.place], "record", "refused", f"the store refused it: {reason}")
        for publication, reason in outcome.refused
    ]
    return conflicts + refused


def announcement(outcome: Outcome) -> events.Completions | None:
    """The numbers of a batch, those of a redelivery included; None where it has none."""
    fresh = [(number, p.task.completed_at) for number, p in outcome.numbered.fresh]
    again = [(recorded.number, recorded.completed_at) for recorded in outcome.numbered.again]
    numbers = sorted(fresh + again)
    if not numbers:
        return None
    items = tuple({"number": number, "completed_at": at} for number, at in numbers)
    said = {"generation": outcome.generation, "items": items}
    return events.Completions.model_validate(said)


def by_cause(bad: Sequence[Bad]) -> dict[str, list[Bad]]:
    """Bad messages of one topic by cause: one line of a log speaks for all that are alike."""
    found: dict[str, list[Bad]] = {}
    for one in bad:
        found.setdefault(one.cause, []).append(one)
    return found


class Recorder:
    """The record loop. ``run`` returns when ``patience.stop`` is set."""

    def __init__(self, settings: Settings, store: Store, patience: Patience) -> None:
        self.settings, self.store, self.patience = settings, store, patience
        self.topic = settings.topic_prefix + topics.TASK_COMPLETED.name
        self.publisher = kafka.Publisher(settings)
        self.admin = kafka.admin(settings)
        self.topic_id, self.generation = "", 0
        self.next: dict[int, int] = {}
        self._committed = self._checked = time.monotonic()
        self._stale = self._went_back = False

    def run(self) -> None:
        """Record until asked to stop; whatever is away is waited for."""
        consumer = kafka.consumer(self.settings, GROUP)
        consumer.subscribe([self.topic], on_assign=self._mark, on_revoke=self._revoke)
        try:
            while not self.patience.stop.is_set():
                self._turn(consumer)
        except Stopped:
            log.info("stopped while waiting")
        finally:
            consumer.close()
            self.publisher.flush()

    def _turn(self, consumer: Consumer) -> None:
        self.patience.health.beat()
        messages = kafka.drain(consumer, self.settings.batch_size, 0.2)
        try:
            if self._stale:  # what came meanwhile is read again from where the store stands
                self._assign(consumer)
            elif messages:
                self.record([kafka.raw(message) for message in messages])
            self._check()
        except StoreWentBack as error:
            log.warning("reading the log again", because=str(error))
            self._stale = self._went_back = True
        self._commit(consumer)

    def record(self, raws: Sequence[Raw]) -> Outcome:
        """Record one batch and announce it. Raises ``StoreWentBack`` before anything is done."""
        with metrics.RECORD_SECONDS.time():
            batch = sort(raws, datetime.now(UTC))
            self._bury(batch.bad)
            stands = self._stands(raws)
            outcome = self._stored(self.store.record, batch.publications, stands)
            if not outcome.advanced:
                self._bury(contradictions(outcome, raws))
                self._stored(self.store.advance, stands)
            self.next.update(stands.after)
            self.generation = max(self.generation, outcome.generation)
            self._announce(outcome)
        metrics.BATCH.observe(len(raws))
        return outcome

    def _stands(self, raws: Sequence[Raw]) -> Stands:
        after: dict[int, int] = {}
        for raw in raws:
            after[raw.partition] = max(after.get(raw.partition, 0), raw.offset + 1)
        before = {partition: self.next.get(partition, 0) for partition in after}
        return Stands(self.topic_id, self.topic, before, after)

    def _announce(self, outcome: Outcome) -> None:
        metrics.RECORDED.inc(len(outcome.numbered.fresh))
        metrics.DUPLICATES.inc(outcome.numbered.duplicates)
        event = announcement(outcome)
        if event is not None:
            prefix = self.settings.topic_prefix
            self._publish([codec.encode(topics.COMPLETIONS, event, "streams", prefix=prefix)])

    def _bury(self, bad: Sequence[Bad]) -> None:
        name = self.settings.topic_prefix + topics.DEAD_LETTERS.name
        now = datetime.now(UTC)
        letters = [codec.dead_letter(one, name, now) for one in bad]
        if letters:
            self.patience.call("kafka", kafka.is_away, bury, self.publisher, letters)
        for cause, alike in by_cause(bad).items():
            first = alike[0]
            metrics.DEAD_LETTERS.labels(first.raw.topic, cause).inc(len(alike))
            place = f"{first.raw.topic}/{first.raw.partition}@{first.raw.offset}"
            more = {"and_more_like_it": len(alike) - 1} if len(alike) > 1 else {}
            log.warning("dead letter", at=place, cause=cause, because=first.message, **more)

    def _publish(self, messages: Sequence[Message]) -> None:
        if messages:
            self.patience.call("kafka", kafka.is_away, self.publisher.publish, messages)

    def _stored(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """A call of the store. One that was emptied meanwhile is made anew and read again."""
        try:
            return self.patience.call("store", database.is_away, work, *args, **kwargs)
        except ProgrammingError as error:
            if not database.is_emptied(error):
                raise
        self.patience.call("store", database.is_away, self.store.prepare, self.settings.train_every)
        raise StoreWentBack("the store was emptied")

    def _check(self) -> None:
        """Now and then: does the store still stand where this worker left it?"""
        now = time.monotonic()
        if now - self._checked < self.settings.heal_seconds or not self.next:
            return
        self._checked = now
        topic_id = self._topic_id()
        stored = self._stored(self.store.positions, topic_id)
        if topic_id != self.topic_id:
            log.warning("reading the log from its beginning", because="the topic was made anew")
            self._stale = True
            return
        behind = [p for p, offset in self.next.items() if stored.get(p, 0) < offset]
        if behind:
            raise StoreWentBack(f"the store stands earlier in the log, partitions {behind}")

    def _mark(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._stale = True

    def _assign(self, consumer: Consumer) -> None:
        """Go on where the store stands, whatever the group has committed."""
        self.topic_id = self._topic_id()
        generation, _ = self._stored(self.store.standing)
        stored = self._stored(self.store.positions, self.topic_id)
        mine = sorted(place.partition for place in consumer.assignment())
        if self._went_back or self._is_behind(consumer, mine, stored):
            over = self.generation if self._went_back else generation
            self._stored(self.store.begin_generation, over)
            self._went_back, self._committed = False, 0.0
        self.generation, _ = self._stored(self.store.standing)
        self.next = {partition: stored.get(partition, 0) for partition in mine}
        places = [TopicPartition(self.topic, p, stored.get(p, OFFSET_BEGINNING)) for p in mine]
        consumer.assign(places)
        self._stale = False
        self.patience.health.note(partitions=mine)

    def _is_behind(self, consumer: Consumer, mine: list[int], stored: dict[int, int]) -> bool:
        """Whether a worker before this one saw the store further on than it stands now."""
        places = [TopicPartition(self.topic, partition) for partition in mine]
        found = self.patience.call("kafka", kafka.is_away, consumer.committed, places, 10)
        return any(place.offset > stored.get(place.partition, 0) for place in found)

    def _revoke(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self.next = {}
        self.patience.health.note(partitions=[])

    def _topic_id(self) -> str:
        return self.patience.call("kafka", kafka.is_away, declare.topic_id, self.admin, self.topic)

    def _commit(self, consumer: Consumer) -> None:
        now = time.monotonic()
        if now - self._committed < COMMIT_SECONDS or not self.next:
            return
        self._committed = now
        places = [TopicPartition(self.topic, p, offset) for p, offset in self.next.items()]
        try:
            consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            log.debug("lag not committed", because=str(error))
