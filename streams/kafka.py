"""The confluent-kafka edge: configuration, topic declaration, acknowledged publishing, tails."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import structlog
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
)
from confluent_kafka import (
    Message as KafkaMessage,
)
from confluent_kafka.admin import AdminClient
from prometheus_client import Counter
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from schemas.codec import Message, Raw
from schemas.errors import ConfigurationError, Unreachable
from schemas.settings import Settings
from streams import common_metrics as metrics
from streams import security

P = ParamSpec("P")
R = TypeVar("R")
log = structlog.get_logger("retrace")
PATIENCE_SECONDS = 30.0
REFUSALS = security.Refusals()  # of all clients of this process: they have the same settings
NOT_PERMITTED = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)
# Errors that pass with time; librdkafka marks only some of them as retriable.
PASSING = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._RESOLVE,
        KafkaError._MAX_POLL_EXCEEDED,
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


def client(settings: Settings, **extra: Any) -> dict[str, Any]:
    """librdkafka's configuration for any client. Raises ``ConfigurationError``."""
    if not settings.kafka_bootstrap:
        raise ConfigurationError(
            "RETRACE_KAFKA_BOOTSTRAP is not set and no local stack runs. "
            "Set it, or start one with `retrace up`."
        )
    return {
        "bootstrap.servers": settings.kafka_bootstrap,
        "reconnect.backoff.max.ms": 2000,
        "topic.metadata.refresh.interval.ms": 30_000,
        "log_level": 0,  # the probe and every failed call say it in our own log
        "error_cb": REFUSALS.hear,
        **security.librdkafka(settings),
        **extra,
    }


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
                "session.timeout.ms": round(settings.kafka_session_seconds * 1000),
                "heartbeat.interval.ms": round(settings.kafka_session_seconds * 250),
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


def is_refused(error: BaseException) -> bool:
    """Whether an ACL is missing for what was asked."""
    reason = error.args[0] if isinstance(error, KafkaException) and error.args else None
    return isinstance(reason, KafkaError) and reason.code() in NOT_PERMITTED


def _is_transport(reason: KafkaError) -> bool:
    return reason.code() in PASSING


def patiently(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """For commands: try again for a while where waiting may help, as just after a start.

    Raises ``Unreachable`` where it did not.
    """
    retrying = Retrying(
        retry=retry_if_exception(is_away),
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_fixed(0.3),
        reraise=True,
    )
    try:
        return retrying(work, *args, **kwargs)
    except KafkaException as error:
        if not is_away(error):
            raise
        raise Unreachable(f"Kafka does not answer: {error.args[0].str()}") from None


def raw(message: KafkaMessage) -> Raw:
    """A received message as the codec takes it; keys and values are received as bytes."""
    return Raw(
        str(message.topic()),
        message.partition() or 0,
        message.offset() or 0,
        message.key(),
        message.value(),
        tuple(message.headers() or ()),  # type: ignore[arg-type]
    )


@dataclass
class Flight:
    """Messages on their way by one producer: how many wait for the broker, and an error, if any."""

    messages: tuple[Message, ...]
    producer: Producer
    waiting: int = 0
    failed: KafkaError | None = None

    def delivered(self, error: KafkaError | None, _message: KafkaMessage) -> None:
        """What the producer calls when it knows."""
        self.waiting -= 1
        self.failed = error or self.failed


class Publisher:
    """An idempotent producer. Not for use from several threads at once, but for ``send``."""

    def __init__(self, settings: Settings, **extra: Any) -> None:
        self._config = client(
            settings,
            **{
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "linger.ms": 1,
                "message.timeout.ms": 30_000,
                "compression.type": "gzip",  # which every client reads; aiokafka lacks zstd
                # Uncompressed; what is too large is for the broker to say, which counts compressed.
                "message.max.bytes": 1_000_000_000,
                **extra,
            },
        )
        self._producer = Producer(self._config)
        self._replies = settings.topic_prefix + "reply."
        self._sent: dict[str, Counter] = {}

    def publish(self, messages: Iterable[Message]) -> None:
        """Publish and wait until the broker has all. Raises ``KafkaException`` where it has not.

        What was delivered before an error is published again by a caller that retries.
        """
        self.settle(self.begin(messages))

    def begin(self, messages: Iterable[Message]) -> Flight:
        """Hand messages over; ``settle`` waits until the broker has them."""
        flight = Flight(tuple(messages), self._producer)
        for message in flight.messages:
            flight.waiting += 1
            self.send(message, flight.delivered)
        return flight

    def settle(self, flight: Flight) -> None:
        """Wait until the broker has all of a flight. Raises ``KafkaException`` where it has not;
        a flight is settled once, what failed is published anew."""
        while flight.waiting:
            flight.producer.poll(0.1)
        if flight.failed:
            self._replace_if_fatal(flight.failed)
            raise KafkaException(flight.failed)

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
                self._counter(message.topic).inc()
                return
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                self._replace_if_fatal(error.args[0])
                raise
        raise Unreachable("Kafka takes no messages: the producer's queue is full")

    def _counter(self, topic: str) -> Counter:
        """How many went to a topic. Askers name reply topics as they like: these are one."""
        name = self._replies + "*" if topic.startswith(self._replies) else topic
        if name not in self._sent:
            self._sent[name] = metrics.SENT.labels("kafka", "send", name)
        return self._sent[name]

    def _replace_if_fatal(self, error: KafkaError) -> None:
        """An idempotent producer that lost its thread never sends again; a new one does."""
        if error.fatal() or error.code() == KafkaError._FATAL:
            log.warning("a new producer is made", because=error.str())
            self._producer = Producer(self._config)
            raise Unreachable(f"Kafka refused the producer: {error.str()}")

    def poll(self, timeout: float = 0.0) -> int:
        return self._producer.poll(timeout)

    def flush(self, timeout: float = 5.0) -> int:
        """Wait for what is under way; the number of messages that are still not delivered."""
        return len(self._producer) and self._producer.flush(timeout)


def _fail(error: KafkaError) -> None:
    raise KafkaException(error)


def drain(
    source: Consumer, most: int, wait: float, trouble: Callable[[KafkaError], None] = _fail
) -> list[KafkaMessage]:
    """Wait for a message, then take what is there already. Transport errors are skipped.

    Errors that do not pass are ``trouble``: by default ``KafkaException`` is raised.
    """
    first = source.poll(wait)
    if first is None:
        return []
    rest = source.consume(most - 1, 0) if most > 1 else []
    return [message for message in [first, *rest] if is_data(message, trouble)]


def is_data(message: KafkaMessage, trouble: Callable[[KafkaError], None] = _fail) -> bool:
    """Whether it is a message, and no error; one that does not pass is ``trouble``."""
    error = message.error()
    if error is None:
        return True
    passes = error.code() == KafkaError._PARTITION_EOF or error.retriable() or _is_transport(error)
    if not passes:
        trouble(error)
    return False
