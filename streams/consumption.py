"""One loop's part in a consumer group: what it handles, and whether it stands still.

A loop that handles nothing while ever more messages wait in its partitions is dead, however
briskly it turns. While what it needs is away, or its group does not let it in, it waits, and is not
judged. What waits but does not grow is no sign: the marks of transactions, or messages that went by
age, are never handled.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from schemas.codec import Raw
from schemas.settings import Settings
from schemas.topics import Topic
from streams import admission, kafka, traces
from streams import common_metrics as metrics
from streams.health import Stillness, now

log = structlog.get_logger("retrace")
STILL_AFTER = 120.0
UNKNOWN = (-1, 0)  # since which move at least how many messages have waited


class Consumption:
    """Of a topic by a group, both named without the prefix; dead after ``seconds`` of standing."""

    def __init__(
        self, settings: Settings, topic: Topic, group: str, seconds: float = STILL_AFTER
    ) -> None:
        self.settings = settings
        self.topic = settings.topic_prefix + topic.name
        self.group = settings.topic_prefix + group
        self.places = topic.spread(settings.kafka_partitions).partitions
        self.refused: tuple[str, str] | None = None  # since when the group does, and why
        self.stands_still = False
        self.mine: frozenset[int] = frozenset()
        self.moves = 0
        self.waiting = 0  # messages in its partitions, as last looked; 0 while it can't be judged
        self._still = Stillness(seconds)
        self._least = UNKNOWN
        self._consumed = metrics.CONSUMED.labels("kafka", "poll", self.topic, self.group)
        self._seconds = metrics.PROCESS_SECONDS.labels("kafka", "process", self.topic, self.group)
        self._batch = metrics.BATCH.labels(self.topic, self.group)
        self._lag = metrics.LAG.labels(self.topic, self.group)

    def take(self, consumer: Consumer, most: int, wait: float) -> list[KafkaMessage]:
        """``kafka.drain``; a loop that its group refuses goes on trying, as the consumer does."""
        return kafka.drain(consumer, most, wait, self.refuse)

    def refuse(self, error: KafkaError) -> None:
        """The group's refusal is noted; raises ``KafkaException`` for any other trouble."""
        if error.code() not in admission.REFUSED:
            raise KafkaException(error)
        words = admission.words(self.settings, self.group, error)
        if self.refused is None:
            self.refused = (now(), words)
            log.warning("refused", group=self.group, because=words)

    def admit(self) -> None:
        """The group has let this loop in."""
        if self.refused is not None:
            self.refused = None
            log.info("let in", group=self.group)

    def hold(self, partitions: Collection[int]) -> None:
        """These partitions are this loop's, and no others."""
        self._own(partitions)

    def assigned(self, _consumer: Any, places: Sequence[TopicPartition]) -> None:
        """For a consumer's ``on_assign``."""
        self.admit()
        self._own(self.mine | {place.partition for place in places})

    def revoked(self, _consumer: Any, places: Sequence[TopicPartition]) -> None:
        """For a consumer's ``on_revoke``."""
        self._own(self.mine - {place.partition for place in places})

    def _own(self, partitions: Collection[int]) -> None:
        if self.mine != frozenset(partitions):
            self.mine, self._least = frozenset(partitions), UNKNOWN

    def handled(self, messages: int, seconds: float) -> None:
        """So many messages were handled at once, in so long."""
        self._consumed.inc(messages)
        self._seconds.observe(seconds)
        self._batch.observe(messages)
        self.move()

    def span(
        self,
        raws: Sequence[Raw],
        began: float | None = None,
        about: Mapping[str, str | int] | None = None,
    ) -> AbstractContextManager[str | None]:
        """Handle these messages as a step of their traces; it may have begun before (monotonic)."""
        context, links = traces.newest(raws)
        attributes = {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.destination.name": self.topic,
            "messaging.consumer.group.name": self.group,
            "messaging.batch.message_count": len(raws),
            **(about or {}),
        }
        name = f"process {self.topic}"
        return traces.span(name, context, links=links, began=began, attributes=attributes)

    def step(self, raw: Raw, began: float, about: Mapping[str, str | int]) -> str | None:
        """The context of what a message led to, for a loop that is done with it."""
        if not traces.are_exported():
            return traces.carried(raw.headers)
        with self.span([raw], began, about) as context:
            return context

    def move(self) -> None:
        """Something was done."""
        self.moves += 1

    def look(self, lag: Mapping[int, int] | None, now: float, *, away: bool = False) -> None:
        """Judge by how many messages wait in each partition; None: not known.

        ``away``: the loop waits for something, and is not expected to move.
        """
        if lag is not None:
            self._lag.set(sum(lag.values()))
        waiting = sum((lag or {}).get(each, 0) for each in self.mine)
        grows = lag is not None and self._grows(waiting)
        self.stands_still = self._still.lasts(self.moves if grows and not away else None, now)
        self.waiting = 0 if away else waiting

    def _grows(self, waiting: int) -> bool:
        moves, least = self._least
        self._least = (self.moves, min(least, waiting) if moves == self.moves else waiting)
        return waiting > self._least[1]
