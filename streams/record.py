"""Record: task-completed to the store, then the numbers onto ``completions``.

Runs in threads of its own inside the Faust app (app.py). Per batch: decode, dead-letter what is
bad, one transaction that numbers what is new and moves the position in the log, the acknowledged
announcement. The position is the store's; the group's offsets are committed only to show lag.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from sqlalchemy.exc import ProgrammingError

from schemas import codec, topics
from schemas.codec import Message, Raw
from schemas.settings import Settings
from streams import batches, database, declare, forgetter, kafka, metrics, traces
from streams.burial import Burial
from streams.common_metrics import reached
from streams.consumption import Consumption
from streams.numbering import Outcome, Stands
from streams.patience import Patience, Stopped
from streams.store import Store, StoreWentBack

P = ParamSpec("P")
R = TypeVar("R")
log = structlog.get_logger("retrace")
GROUP = "retrace-record"
COMMIT_SECONDS = 1.0
WAIT_SECONDS = 0.2


@dataclass(frozen=True)
class Underway:
    """A batch whose transaction runs."""

    raws: Sequence[Raw]
    stands: Stands
    outcome: Future[Outcome]
    began: float


class Recorder:
    """The record loop. ``run`` returns when ``patience.stop`` is set.

    The store's work has a thread of its own: while it waits for PostgreSQL, this one reads and
    decodes the next batch and announces the one before. One transaction runs at a time.
    """

    def __init__(self, settings: Settings, store: Store, patience: Patience) -> None:
        self.settings, self.store, self.patience = settings, store, patience
        self.topic = settings.topic_prefix + topics.TASK_COMPLETED.name
        self.publisher = kafka.Publisher(settings)
        self._bury = Burial(settings, self.publisher, patience)
        self.consumption = patience.health.watch(
            Consumption(settings, topics.TASK_COMPLETED, GROUP)
        )
        self.admin, self._told = kafka.admin(settings), forgetter.Told(settings)
        self.writer = ThreadPoolExecutor(1, "record-store")
        self.topic_id, self.generation = "", 0
        self.next: dict[int, int] = {}
        self._underway: Underway | None = None
        self._committed = self._checked = time.monotonic()
        self._stale = self._went_back = False

    def run(self) -> None:
        """Record until asked to stop; whatever is away is waited for."""
        consumer = kafka.consumer(self.settings, GROUP)
        consumer.subscribe([self.topic], on_assign=self._mark, on_revoke=self._revoke)
        try:
            while not self.patience.stop.is_set():
                self._turn(consumer)
            self._announce(self._finish())
        except Stopped:
            log.info("stopped while waiting")
        except StoreWentBack as error:  # the next start reads from where the store stands
            log.warning("stopped before the log was read again", because=str(error))
        finally:
            self.writer.shutdown()
            consumer.close()
            self.publisher.flush()

    def _turn(self, consumer: Consumer) -> None:
        self.patience.health.beat()
        wait = 0.0 if self._underway else WAIT_SECONDS
        messages = self.consumption.take(consumer, self.settings.batch_size, wait)
        try:
            if self._stale:  # what came meanwhile is read again from where the store stands
                self._announce(self._finish())
                self._assign(consumer)
            else:
                self._record([kafka.raw(message) for message in messages])
            self._check()
        except StoreWentBack as error:
            log.warning("reading the log again", because=str(error))
            self._stale = self._went_back = True
        self._commit(consumer)

    def _record(self, raws: Sequence[Raw]) -> None:
        """Begin a batch when the one before is done, then announce that one.

        Raises ``StoreWentBack`` before anything of this batch but its dead letters is done.
        """
        batch = batches.sort(raws, datetime.now(UTC))
        self._bury(batch.bad)
        before = self._finish()
        if raws:
            stands = self._stands(raws)
            work = self.writer.submit(self._stored, self.store.record, batch.publications, stands)
            self._underway = Underway(raws, stands, work, time.monotonic())
        self._announce(before)

    def _finish(self) -> Underway | None:
        """The batch that was under way, done; its position in the log is stored on return."""
        work, self._underway = self._underway, None
        if work is None:
            return None
        outcome = work.outcome.result()
        if not outcome.advanced:
            self._bury(batches.contradictions(outcome, work.raws))
            self._stored(self.store.advance, work.stands)
        self.next.update(work.stands.after)
        self.generation = max(self.generation, outcome.generation)
        self.consumption.handled(len(work.raws), time.monotonic() - work.began)
        return work

    def _stands(self, raws: Sequence[Raw]) -> Stands:
        after: dict[int, int] = {}
        for raw in raws:
            after[raw.partition] = max(after.get(raw.partition, 0), raw.offset + 1)
        before = {partition: self.next.get(partition, 0) for partition in after}
        return Stands(self.topic_id, self.topic, before, after, self.generation)

    def _announce(self, done: Underway | None) -> None:
        if done is None:
            return
        outcome = done.outcome.result()
        _count(outcome)
        event = batches.announcement(outcome)
        if event is not None:
            prefix = self.settings.topic_prefix
            message = codec.encode(topics.COMPLETIONS, event, "streams", prefix=prefix)
            with self.consumption.span(done.raws, done.began):
                self._publish([traces.onto(message)])

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
        self.consumption.admit()

    def _assign(self, consumer: Consumer) -> None:
        """Go on where the store stands, whatever the group has committed."""
        self.topic_id = self._topic_id()
        self._heal(consumer)
        generation, _ = self._stored(self.store.standing)
        mine = sorted(place.partition for place in consumer.assignment())
        if self._went_back or self._is_behind(consumer, mine):
            over = self.generation if self._went_back else generation
            self._stored(self.store.begin_generation, over)
            self._went_back, self._committed = False, 0.0
        # First the generation: a rebuild that begins in between is then noticed by the next batch.
        self.generation, _ = self._stored(self.store.standing)
        stored = self._stored(self.store.positions, self.topic_id)
        self.next = {partition: stored.get(partition, 0) for partition in mine}
        places = [TopicPartition(self.topic, p, stored.get(p, OFFSET_BEGINNING)) for p in mine]
        consumer.assign(places)
        self._stale = False
        self.consumption.hold(mine)
        self.patience.health.note(partitions=mine)

    def _heal(self, consumer: Consumer) -> None:
        """Nobody is recorded anew whom a store from before, or an empty one, does not know to be
        forgotten."""
        told = self.patience.call("kafka", kafka.is_away, self._told.get, consumer)
        self._stored(forgetter.heal, self.store.engine, told)

    def _is_behind(self, consumer: Consumer, mine: list[int]) -> bool:
        """Whether a worker before this one saw the store further on than it stands now."""
        stored = self._stored(self.store.positions, self.topic_id)
        places = [TopicPartition(self.topic, partition) for partition in mine]
        found = self.patience.call("kafka", kafka.is_away, consumer.committed, places, 10)
        return any(place.offset > stored.get(place.partition, 0) for place in found)

    def _revoke(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self.next = {}
        self.consumption.hold([])
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


def _count(outcome: Outcome) -> None:
    fresh = outcome.numbered.fresh
    metrics.RECORDED.inc(len(fresh))
    metrics.DUPLICATES.inc(outcome.numbered.duplicates)
    if fresh:
        reached("recorded", fresh[-1][1].task.completed_at)
