"""How far groups lag and how much topics hold, asked now and then over clients that are kept."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.errors import Unreachable
from schemas.settings import Settings
from schemas.topics import Topic
from streams import kafka, tails

TIMEOUT = 5.0


class GroupLags:
    """A consumer for each group, which joins nothing, made at the first question and left open: a
    group's offsets are told to its own clients only (lags.py says why not to the admin client).

    Every call raises ``Unreachable`` while Kafka or a topic is away.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._readers: dict[str, Consumer] = {}

    def of(self, groups: Mapping[str, Topic]) -> dict[str, int | None]:
        """Messages that each group has not committed yet; None where it never committed any."""
        return {group: self._lag(group, topic) for group, topic in groups.items()}

    def size(self, topic: Topic, group: str) -> int:
        """How many messages a topic holds; asked over this group's consumer."""
        try:
            reader = self._reader(group)
            marks = [tails.bounds(reader, place) for place in self._places(reader, topic)]
        except KafkaException as error:
            raise _unreachable(error) from None
        return sum(high - low for low, high in marks)

    def close(self) -> None:
        """Let go of Kafka; the next question begins anew."""
        with self._lock:
            for reader in self._readers.values():
                reader.close()
            self._readers = {}

    def _lag(self, group: str, topic: Topic) -> int | None:
        try:
            reader = self._reader(group)
            committed = reader.committed(self._places(reader, topic), timeout=TIMEOUT)
            if all(place.offset < 0 for place in committed):
                return None
            return sum(_behind(reader, place) for place in committed)
        except KafkaException as error:
            raise _unreachable(error) from None

    def _places(self, reader: Consumer, topic: Topic) -> list[TopicPartition]:
        return tails.places(self.settings, [self.settings.topic_prefix + topic.name], reader)

    def _reader(self, group: str) -> Consumer:
        with self._lock:
            if group not in self._readers:
                self._readers[group] = kafka.consumer(self.settings, group)
            return self._readers[group]


def _behind(reader: Consumer, place: TopicPartition) -> int:
    low, high = tails.bounds(reader, place)
    return max(0, high - max(place.offset, low))  # what went by age does not wait


def _unreachable(error: KafkaException) -> Unreachable:
    return Unreachable(f"Kafka does not answer: {error.args[0].str()}")
