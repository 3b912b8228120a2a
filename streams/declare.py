"""Topics on the broker: declared at start, their partition counts fixed once created."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from schemas import topics
from schemas.errors import TopicMismatch, Unreachable
from schemas.settings import Settings
from streams.kafka import REFUSALS, admin

COUNTER_CHANGELOG = topics.COUNTER_CHANGELOG.name


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
            "; ".join(wrong) + ". Partition counts are fixed once created: set "
            "RETRACE_KAFKA_PARTITIONS to what is there, use another RETRACE_TOPIC_PREFIX, or "
            "delete the topic."
        )
    missing = [(name, topic) for name, topic in _named(settings) if name not in present]
    create(edge, missing, settings.kafka_replication)
    return [name for name, _ in missing]


def complete(settings: Settings, edge: AdminClient) -> None:
    """See that Kafka answers; declare again what a new, empty one lacks."""
    present = partitions(edge, 2.0)
    if any(name not in present for name, _ in _named(settings)):
        declare(settings)


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
            code = error.args[0].code()
            if code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise Unreachable(
                    f"The topic {wanted[0][0]} is missing, or hidden from this user, who may not "
                    "create it. Let an operator run `retrace prepare`, and `retrace acls`."
                ) from None
            if code != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def partitions(edge: AdminClient | Consumer, timeout: float = 10.0) -> dict[str, int]:
    """Every topic's number of partitions. Raises ``Unreachable`` while no broker answers."""
    try:
        found = edge.list_topics(timeout=timeout).topics
    except KafkaException as error:
        if not isinstance(edge, Consumer):
            edge.poll(0)  # hears why
        said = REFUSALS.take() or f"Kafka does not answer: {error.args[0].str()}"
        raise Unreachable(said) from None
    return {name: len(topic.partitions) for name, topic in found.items()}


def topic_id(edge: AdminClient, name: str) -> str:
    """The id that tells one incarnation of a topic from the next."""
    described = edge.describe_topics(TopicCollection([name]), request_timeout=10)
    return str(described[name].result().topic_id)


def _named(settings: Settings) -> list[tuple[str, topics.Topic]]:
    several = settings.kafka_partitions
    return [(settings.topic_prefix + topic.name, topic.spread(several)) for topic in topics.EVERY]
