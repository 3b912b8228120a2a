"""Keeps the list of the forgotten, and what it promises, over whatever goes back or is lost.

The list is in the store, and on ``learner-forgotten`` for ever. A store from before, or a new one,
lacks somebody: he is put on the list again, and his rows, which came back, are erased. A new Kafka
is told the list. What `retrace forget` left undone is done. In a thread of its own inside the Faust
app; recording asks ``heal`` itself before it reads anything again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog
from confluent_kafka import Consumer, TopicPartition
from sqlalchemy import Engine
from sqlalchemy.exc import ProgrammingError

from schemas import codec, topics
from schemas.codec import Bad, Raw
from schemas.events import LearnerForgotten
from schemas.settings import Settings
from streams import database, erasure, forgetting, kafka, known, tails
from streams.forgotten import Forgotten
from streams.patience import Patience, Stopped

log = structlog.get_logger("retrace")
READ_SECONDS = 30.0
GRACE_SECONDS = 60.0  # so long `retrace forget` is left alone with what it has begun


Marks = tuple[int, int]


class Told:
    """Everybody on the topic, which is read again only where it has changed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.place = TopicPartition(settings.topic_prefix + topics.LEARNER_FORGOTTEN.name, 0)
        self._marks: Marks | None = None
        self._entries: list[LearnerForgotten] = []

    def get(self, reader: Consumer) -> list[LearnerForgotten]:
        """As of now; ``reader`` is asked where the topic ends. Raises ``KafkaException`` or
        ``Unreachable`` where Kafka does not answer."""
        marks = tails.bounds(reader, self.place)
        if marks != self._marks:
            self._entries = self._read(*marks)
            self._marks = marks
        return self._entries

    def _read(self, low: int, high: int) -> list[LearnerForgotten]:
        if high <= low:
            return []
        with tails.reading(self.settings, eof=True) as reader:
            reader.assign([TopicPartition(self.place.topic, 0, low)])
            raws = tails.read_to_end(reader, high, time.monotonic() + READ_SECONDS)
        return _decoded(raws)


def _decoded(raws: Sequence[Raw]) -> list[LearnerForgotten]:
    """The newest word of each; what cannot be read is passed over."""
    limit, now = topics.LEARNER_FORGOTTEN.max_bytes, datetime.now(UTC)
    found: dict[str, LearnerForgotten] = {}
    for raw in raws:
        each = codec.decode(LearnerForgotten, limit, raw, now)
        if isinstance(each, Bad):
            log.warning("an unreadable learner-forgotten is passed over", because=each.message)
        else:
            found[each.learner] = each
    return list(found.values())


def heal(engine: Engine, on_topic: list[LearnerForgotten]) -> int:
    """Put on the store's list who is on the topic only; how many those were."""
    missing = forgetting.lacking(engine, on_topic) if on_topic else []
    if missing:
        forgetting.add(engine, missing)
        log.warning("the store lacked forgotten learners, as one from a backup does",
                    learners=len(missing))  # fmt: skip
    return len(missing)


class Forgetter:
    """The loop. ``run`` returns when ``patience.stop`` is set."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        patience: Patience,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self.settings, self.engine, self.patience = settings, engine, patience
        self.grace = timedelta(seconds=grace_seconds)
        self.publisher, self.told = kafka.Publisher(settings), Told(settings)

    def run(self) -> None:
        """Look now and then until asked to stop; whatever is away is waited for."""
        with tails.reading(self.settings) as reader:
            try:
                while not self.patience.stop.is_set():
                    self.turn(reader)
                    self.patience.stop.wait(self.settings.heal_seconds)
            except Stopped:
                log.info("stopped while waiting")

    def turn(self, reader: Consumer) -> None:
        """List and topic alike, and nothing kept of who is on them."""
        on_topic = self.patience.call("kafka", kafka.is_away, self.told.get, reader)
        self.patience.call("store", _is_away, self._settle, on_topic)

    def _settle(self, on_topic: list[LearnerForgotten]) -> None:
        heal(self.engine, on_topic)
        with self.engine.connect() as connection:
            listed = known.entries(connection)
            left = known.entries(connection, datetime.now(UTC) - self.grace)
        self._tell(listed, on_topic)
        if left:
            self._erase(left)

    def _tell(self, listed: list[LearnerForgotten], on_topic: list[LearnerForgotten]) -> None:
        heard, prefix = {each.learner for each in on_topic}, self.settings.topic_prefix
        messages = [
            codec.encode(topics.LEARNER_FORGOTTEN, each, "streams", prefix=prefix)
            for each in listed
            if each.learner not in heard
        ]
        if messages:
            self.patience.call("kafka", kafka.is_away, self.publisher.publish, messages)

    def _erase(self, left: list[LearnerForgotten]) -> None:
        for user, salt in erasure.names(self.engine, Forgotten.of(left)):
            erasure.erase(self.engine, user, salt)
        forgetting.erased(self.engine, [each.learner for each in left])
        log.warning("erased what was left of forgotten learners", learners=len(left))


def _is_away(error: BaseException) -> bool:
    """An emptied store, too, is waited for: recording makes its tables again."""
    emptied = isinstance(error, ProgrammingError) and database.is_emptied(error)
    return emptied or database.is_away(error)
