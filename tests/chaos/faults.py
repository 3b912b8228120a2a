"""What hurts, done on time: each fault of the plan to workers, broker, store, state and offsets."""

from __future__ import annotations

import heapq
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from confluent_kafka import KafkaException, Producer, TopicPartition
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from schemas.codec import Raw
from schemas.settings import Settings
from streams import declare, kafka, tails
from tests.chaos.journal import Journal
from tests.chaos.plan import Hit
from tests.chaos.stage import Child, Stage, Workers
from tests.servers import wait_until

CUT_SECONDS = 5.0
TRIES, AGAIN_SECONDS = 8, 10.0
CUT_TABLES = ("numbering", "completions", "log_positions")
ENDS_ALL = ("old state written", "offsets deleted")
GROUPS = ("retrace-record", "retrace-count")
_CUT = text(
    "SELECT pg_terminate_backend(pid), state, left(query, 40) FROM pg_stat_activity "
    "WHERE application_name = 'retrace-streams' AND wait_event_type = 'Lock'"
)


class Faults:
    """Does hits. ``skipped``: kinds that were refused, with the reason."""

    def __init__(
        self, stage: Stage, settings: Settings, workers: Workers, engine: Engine, journal: Journal
    ) -> None:
        self.stage, self.settings, self.workers = stage, settings, workers
        self.engine, self.journal = engine, journal
        self.skipped: list[str] = []
        self._tries: Counter[Hit] = Counter()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._kinds: dict[str, Callable[[Hit], None]] = {
            "worker killed": self._kill,
            "worker frozen": self._freeze,
            "broker killed": self._break_kafka,
            "store restarted": self._break_store,
            "connections cut": self._cut,
            "old state written": self._write_old_state,
            "offsets deleted": self._delete_offsets,
        }

    def run(self, hits: Sequence[Hit], going_on: Callable[[], bool], begun: float) -> None:
        """All hits on time, and the workers tended while the load goes on."""
        for hit in hits:
            self._at(begun + hit.at, lambda hit=hit: self._do(hit))  # type: ignore[misc]
        while self._later or going_on():
            self.workers.tend()
            while self._later and self._later[0][0] <= time.monotonic():
                heapq.heappop(self._later)[2]()
            time.sleep(0.05)

    def _do(self, hit: Hit) -> None:
        """A hit; those that end all workers wait until none is frozen, so that zombies wake."""
        if hit.kind in ENDS_ALL and any(child.frozen for child in self.workers.all):
            self._at(time.monotonic() + 0.5, lambda: self._do(hit))
            return
        try:
            self._kinds[hit.kind](hit)
        except (KafkaException, SQLAlchemyError, AssertionError) as error:
            self._skip(hit, str(error))

    def _skip(self, hit: Hit, because: str) -> None:
        """Again in a while; given up after some tries."""
        self._tries[hit] += 1
        over = self._tries[hit] == TRIES
        what = "skipped" if over else "missed"
        self.journal.note(what, kind=hit.kind, because=" ".join(because.split())[:300])
        if over:
            self.skipped.append(hit.kind)
        else:
            self._at(time.monotonic() + AGAIN_SECONDS, lambda: self._do(hit))

    def _at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._later, (when, len(self._later) + id(action), action))

    def _worker(self, hit: Hit) -> Child:
        """The worker of the plan, or the other one where that is frozen."""
        first, other = self.workers.all[hit.worker], self.workers.all[1 - hit.worker]
        return other if first.frozen and not other.frozen else first

    def _start_later(self, seconds: float) -> None:
        self._at(time.monotonic() + seconds, self.workers.start)

    def _kill(self, hit: Hit) -> None:
        child, began = self._worker(hit), time.monotonic()
        child.kill()
        self._start_later(hit.seconds)
        self.journal.fault(hit.kind, began, worker=child.name)

    def _freeze(self, hit: Hit) -> None:
        child, began = self._worker(hit), time.monotonic()
        child.freeze()
        self.journal.note("frozen", worker=child.name, seconds_long=round(hit.seconds, 1))

        def thaw() -> None:
            if child.frozen:
                child.thaw()
                self.journal.fault(hit.kind, began, worker=child.name)
            else:
                self._skip(hit, f"{child.name} was killed while it was frozen")

        self._at(began + hit.seconds, thaw)

    def _break_kafka(self, hit: Hit) -> None:
        assert self.stage.broker is not None
        began = time.monotonic()
        self.stage.broker.kill()
        self._stand_still(hit.seconds)
        self.stage.start_kafka()
        self.journal.fault(hit.kind, began)

    def _break_store(self, hit: Hit) -> None:
        assert self.stage.database is not None
        began = time.monotonic()
        self.stage.database.end(signal.SIGQUIT)  # immediate: no checkpoint, clients cut off
        self._stand_still(hit.seconds)
        self.stage.start_postgres()
        self.journal.fault(hit.kind, began)

    def _cut(self, hit: Hit) -> None:
        """Hold a table that recording needs, so that it waits inside its transaction; cut it."""
        table = CUT_TABLES[int(hit.share * len(CUT_TABLES))]
        with self.engine.connect() as connection:
            connection.execute(text(f"LOCK TABLE {table} IN EXCLUSIVE MODE"))
            began, cut = time.monotonic(), []
            while not cut and time.monotonic() < began + CUT_SECONDS:
                time.sleep(0.1)
                cut = connection.execute(_CUT).all()
            connection.rollback()
        if cut:
            self.journal.fault(hit.kind, began, held=table, inside=[row[2] for row in cut])
        else:
            self._skip(hit, f"no worker was in a transaction for {CUT_SECONDS:.0f} s")

    def _write_old_state(self, hit: Hit) -> None:
        """As a zombie would; both workers die before they write anything newer."""
        began = time.monotonic()
        old = old_state(self.settings, hit.share)
        if old is None:
            self._skip(hit, "the table has no state yet")
            return
        for child in self.workers.all:
            child.freeze()
        producer = Producer(kafka.client(self.settings))
        producer.produce(old.topic, key=old.key, value=old.value, partition=0)
        left = producer.flush(10)
        self.workers.kill()
        self._start_later(0)
        if left:
            self._skip(hit, "Kafka did not take the old state")
        else:
            self.journal.fault(hit.kind, began, of_offset=old.offset)

    def _delete_offsets(self, hit: Hit) -> None:
        """Only an empty group's: both workers leave first, by themselves."""
        began = time.monotonic()
        self.workers.stop()
        groups = GROUPS if hit.share < 0.5 else GROUPS[:1]
        try:
            wait_until(lambda: not deleted(self.settings, groups), 15)
        except AssertionError:
            self._skip(hit, str(deleted(self.settings, groups)))
        else:
            self.journal.fault(hit.kind, began, groups=groups)
        self.workers.start()

    def _stand_still(self, seconds: float) -> None:
        """A server stays away for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.workers.tend()
            time.sleep(0.05)


def old_state(settings: Settings, share: float) -> Raw | None:
    """A value of the table's changelog out of its first two thirds."""
    name = settings.topic_prefix + declare.COUNTER_CHANGELOG
    reader = kafka.consumer(settings, "chaos", **{"enable.partition.eof": True})
    try:
        low, high = tails.bounds(reader, TopicPartition(name, 0))
        offset = low + int((high - low) * share * 2 / 3)
        reader.assign([TopicPartition(name, 0, offset)])
        message = reader.poll(10) if high > low else None
    finally:
        reader.close()
    return None if message is None or message.error() else kafka.raw(message)


def deleted(settings: Settings, groups: Sequence[str]) -> dict[str, str]:
    """Delete groups with their offsets; what was refused, and why.

    In a process of its own: librdkafka ends the whole process where the coordinator's connection
    is cut meanwhile (its issue 4605).
    """
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as child:
            return child.submit(_deleted, settings, groups).result()
    except BrokenProcessPool:
        return dict.fromkeys(groups, "the client that was to delete it ended")


def _deleted(settings: Settings, groups: Sequence[str]) -> dict[str, str]:
    admin, refused = kafka.admin(settings), dict[str, str]()
    names = [settings.topic_prefix + group for group in groups]
    for name, future in admin.delete_consumer_groups(names, request_timeout=5).items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].name() != "GROUP_ID_NOT_FOUND":
                refused[name] = error.args[0].str()
    return refused
