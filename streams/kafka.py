"""The confluent-kafka edge: configuration, topic declaration, acknowledged publishing, tails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog
from confluent_kafka import (
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka import (
    Message as KafkaMessage,
)
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from schemas import topics
from schemas.codec import Message, Raw
from schemas.errors import ConfigurationError, TopicMismatch, Unreachable
from schemas.settings import Settings

log = structlog.get_logger("retrace")
# Errors that pass with time; librdkafka marks only some of them as retriable.
PASSING = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._RESOLVE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._WAIT_COORD,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_CONTROLLER,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
COUNTER_CHANGELOG = "retrace-count-state-changelog"
_CHANGELOG = topics.Topic(COUNTER_CHANGELOG, None, None, 1, None, "streams", compacted=True)


def client(settings: Settings, **extra: Any) -> dict[str, Any]:
    """librdkafka's configuration for any client; SASL and TLS settings pass through."""
    if not settings.kafka_bootstrap:
        raise ConfigurationError(
            "RETRACE_KAFKA_BOOTSTRAP is not set and no local stack runs. "
            "Set it, or start one with `retrace up`."
        )
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap,
        "security.protocol": settings.kafka_security_protocol,
        "reconnect.backoff.max.ms": 2000,
        "topic.metadata.refresh.interval.ms": 30_000,
        "log_level": 0,  # the probe and every failed call say it in our own log
        "error_cb": lambda _error: None,
    }
    if settings.kafka_security_protocol.startswith("SASL"):
        config["sasl.mechanism"] = settings.kafka_sasl_mechanism
        config["sasl.username"] = settings.kafka_sasl_username
        config["sasl.password"] = settings.kafka_sasl_password.get_secret_value()
    files = {
        "ssl.ca.location": settings.kafka_ssl_ca,
        "ssl.certificate.location": settings.kafka_ssl_certificate,
        "ssl.key.location": settings.kafka_ssl_key,
    }
    return {**config, **{key: file for key, file in files.items() if file}, **extra}


def admin(settings: Settings) -> AdminClient:
    return AdminClient(client(settings))


def consumer(settings: Settings, group: str, **extra: Any) -> Consumer:
    """A consumer that commits only when told to, from the start where nothing is committed."""
    return Consumer(
        client(
            settings,
            **{
                "group.id": settings.topic_prefix + group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": 10_000,
                "max.poll.interval.ms": 300_000,
                "fetch.wait.max.ms": 100,
                **extra,
            },
        )
    )


def is_away(error: BaseException) -> bool:
    """Whether waiting may help: the broker is unreachable or moving."""
    if isinstance(error, Unreachable):
        return True
    if not isinstance(error, KafkaException) or not error.args:
        return False
    reason = error.args[0]
    return isinstance(reason, KafkaError) and (reason.retriable() or _is_transport(reason))


def _is_transport(reason: KafkaError) -> bool:
    return reason.code() in PASSING


def declare(settings: Settings, timeout: float = 10.0) -> list[str]:
    """Create the topics that are missing, and return their names.

    Raises ``Unreachable`` while no broker answers, ``TopicMismatch`` where one exists with
    another partition count: a key's partition would change, and with it a learner's order.
    """
    edge = admin(settings)
    present = partitions(edge, timeout)
    wrong = [
        f"{name} has {present[name]} partitions, {topic.partitions} are declared"
        for name, topic in _named(settings)
        if present.get(name, topic.partitions) != topic.partitions
    ]
    if wrong:
        raise TopicMismatch(
            "; ".join(wrong) + ". Partition counts are fixed once created: "
            "use another RETRACE_TOPIC_PREFIX, or delete the topic."
        )
    missing = [(name, topic) for name, topic in _named(settings) if name not in present]
    create(edge, missing, settings.kafka_replication)
    return [name for name, _ in missing]


def create(edge: AdminClient, wanted: Sequence[tuple[str, topics.Topic]], replication: int) -> None:
    """Create topics; one that another process created meanwhile is fine."""
    if not wanted:
        return
    new = [
        NewTopic(name, topic.partitions, replication, config=topic.config())
        for name, topic in wanted
    ]
    for future in edge.create_topics(new, request_timeout=15).values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def partitions(edge: AdminClient, timeout: float = 10.0) -> dict[str, int]:
    """Every topic's number of partitions. Raises ``Unreachable`` while no broker answers."""
    try:
        found = edge.list_topics(timeout=timeout).topics
    except KafkaException as error:
        raise Unreachable(f"Kafka does not answer: {error.args[0].str()}") from None
    return {name: len(topic.partitions) for name, topic in found.items()}


def topic_id(edge: AdminClient, name: str) -> str:
    """The id that tells one incarnation of a topic from the next."""
    described = edge.describe_topics(TopicCollection([name]), request_timeout=10)
    return str(described[name].result().topic_id)


def _named(settings: Settings) -> list[tuple[str, topics.Topic]]:
    every = (*topics.ALL, _CHANGELOG)
    return [(settings.topic_prefix + topic.name, topic) for topic in every]


def raw(message: KafkaMessage) -> Raw:
    """A received message as the codec takes it."""
    received: list[tuple[str, bytes | None]] = list(message.headers() or [])  # type: ignore[arg-type]
    headers = tuple((name, _bytes(value)) for name, value in received)
    return Raw(
        str(message.topic()),
        message.partition() or 0,
        message.offset() or 0,
        _bytes(message.key()),
        _bytes(message.value()),
        headers,
    )


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


class Publisher:
    """An idempotent producer. Not for use from several threads at once, but for ``send``."""

    def __init__(self, settings: Settings, **extra: Any) -> None:
        self._producer = Producer(
            client(
                settings,
                **{
                    "enable.idempotence": True,
                    "partitioner": "murmur2_random",
                    "linger.ms": 1,
                    "message.timeout.ms": 30_000,
                    "message.max.bytes": topics.DEAD_LETTER_LIMIT,
                    **extra,
                },
            )
        )

    def publish(self, messages: Iterable[Message]) -> None:
        """Publish and wait until the broker has all. Raises ``KafkaException`` where it has not.

        What was delivered before an error is published again by a caller that retries.
        """
        failed: list[KafkaError] = []
        waiting = 0

        def delivered(error: KafkaError | None, _message: KafkaMessage) -> None:
            nonlocal waiting
            waiting -= 1
            if error is not None:
                failed.append(error)

        for message in messages:
            waiting += 1
            self.send(message, delivered)
        while waiting:
            self._producer.poll(0.1)
        if failed:
            raise KafkaException(failed[0])

    def send(
        self,
        message: Message,
        delivered: Callable[[KafkaError | None, KafkaMessage], None] | None = None,
    ) -> None:
        """Hand a message over without waiting; ``poll`` or ``publish`` calls ``delivered``."""
        for _attempt in range(1000):
            try:
                self._producer.produce(
                    message.topic,
                    key=message.key,
                    value=message.value,
                    headers=list(message.headers),
                    on_delivery=delivered,
                )
                return
            except BufferError:
                self._producer.poll(0.1)
        raise Unreachable("Kafka takes no messages: the producer's queue is full")

    def poll(self, timeout: float = 0.0) -> int:
        return self._producer.poll(timeout)

    def flush(self, timeout: float = 5.0) -> int:
        """Wait for what is under way; the number of messages that are still not delivered."""
        return len(self._producer) and self._producer.flush(timeout)


def drain(source: Consumer, most: int, wait: float) -> list[KafkaMessage]:
    """Wait for a message, then take what is there already. Transport errors are skipped.

    Raises ``KafkaException`` for errors that do not pass.
    """
    first = source.poll(wait)
    if first is None:
        return []
    rest = source.consume(most - 1, 0) if most > 1 else []
    return [message for message in [first, *rest] if _is_data(message)]


def _is_data(message: KafkaMessage) -> bool:
    error = message.error()
    if error is None:
        return True
    if error.code() == KafkaError._PARTITION_EOF or error.retriable() or _is_transport(error):
        return False
    raise KafkaException(error)


def last_messages(settings: Settings, name: str, most: int = 1, timeout: float = 5.0) -> list[Raw]:
    """The newest messages of a one-partition topic, oldest first; none where it is empty."""
    reader = consumer(settings, "retrace-tail", **{"enable.partition.eof": True})
    try:
        place = TopicPartition(name, 0)
        low, high = reader.get_watermark_offsets(place, timeout=timeout)
        if high <= low:
            return []
        reader.assign([TopicPartition(name, 0, max(low, high - most))])
        return _read_to_end(reader, high, time.monotonic() + timeout)
    except KafkaException as error:
        raise Unreachable(f"Kafka does not answer: {error.args[0].str()}") from None
    finally:
        reader.close()


def _read_to_end(reader: Consumer, high: int, deadline: float) -> list[Raw]:
    found: list[Raw] = []
    while time.monotonic() < deadline:
        message = reader.poll(0.2)
        if message is None:
            continue
        error = message.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            return found
        if error is None:
            found.append(raw(message))
            if found[-1].offset >= high - 1:
                return found
    raise Unreachable("Kafka did not answer in time")


def lag(settings: Settings, group: str, topic: topics.Topic, timeout: float = 5.0) -> int | None:
    """Messages that a group has not committed yet; None where it never committed any."""
    name = settings.topic_prefix + topic.name
    reader = consumer(settings, group)
    try:
        places = [TopicPartition(name, p) for p in range(topic.partitions)]
        committed = reader.committed(places, timeout=timeout)
        if all(place.offset < 0 for place in committed):
            return None
        behind = 0
        for place in committed:
            low, high = reader.get_watermark_offsets(place, timeout=timeout)
            behind += high - (place.offset if place.offset >= 0 else low)
        return behind
    except KafkaException as error:
        raise Unreachable(f"Kafka does not answer: {error.args[0].str()}") from None
    finally:
        reader.close()


def follow(settings: Settings, names: Iterable[str], *, stop: threading.Event) -> Iterable[Raw]:
    """New messages of topics from now on, every partition, until ``stop`` is set."""
    reader = consumer(settings, "retrace-follow")
    try:
        counts = partitions(admin(settings))
        places = [
            TopicPartition(name, p, OFFSET_END) for name in names for p in range(counts[name])
        ]
        reader.assign(places)
        while not stop.is_set():
            for message in drain(reader, 500, 0.25):
                yield raw(message)
    finally:
        reader.close()


def ends(settings: Settings, names: Iterable[str]) -> list[TopicPartition]:
    """Where topics end now: begin ``follow_from`` here, and nothing published later is missed.

    Raises ``Unreachable`` while no broker answers or a topic is missing.
    """
    counts = partitions(admin(settings))
    missing = [name for name in names if name not in counts]
    if missing:
        raise Unreachable(
            f"The topic {missing[0]} is missing. Services create the topics when they start."
        )
    reader = consumer(settings, "retrace-tail")
    try:
        places = [TopicPartition(name, p) for name in names for p in range(counts[name])]
        marks = [_marks(reader, place) for place in places]
    except KafkaException as error:
        raise Unreachable(f"Kafka does not answer: {error.args[0].str()}") from None
    finally:
        reader.close()
    return [
        TopicPartition(place.topic, place.partition, high)
        for place, (_, high) in zip(places, marks, strict=True)
    ]


def _marks(reader: Consumer, place: TopicPartition) -> tuple[int, int]:
    """The first and the next offset; a topic that was just made may have no leader yet."""
    patiently = Retrying(
        retry=retry_if_exception_type(KafkaException),
        stop=stop_after_delay(10.0),
        wait=wait_fixed(0.1),
        reraise=True,
    )
    return patiently(reader.get_watermark_offsets, place, timeout=5.0)


def follow_from(
    settings: Settings, places: Sequence[TopicPartition], *, stop: threading.Event
) -> Iterable[Raw]:
    """Messages from these places on, until ``stop`` is set."""
    reader = consumer(settings, "retrace-follow")
    try:
        reader.assign(list(places))
        while not stop.is_set():
            for message in drain(reader, 500, 0.25):
                yield raw(message)
    finally:
        reader.close()
