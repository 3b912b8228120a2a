"""Derived topics deleted and declared anew, and groups set back to where their topics begin."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.errors import RetraceError, Unreachable
from schemas.settings import Settings
from streams import declare, kafka, tails

SECONDS = 60.0
ABSENT = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
)


def renew(settings: Settings, names: Sequence[str]) -> None:
    """Delete these topics and declare them again; when this returns, they are there and empty.

    Raises ``RetraceError`` where the broker does not allow it, ``Unreachable`` where it takes long.
    """
    edge = kafka.admin(settings)
    before = ids(edge, names)
    kafka.patiently(lambda: _delete(edge, before))
    deadline = time.monotonic() + SECONDS
    while True:
        declare.declare(settings)  # passes over what is being deleted and still has its name
        now = ids(edge, names)
        if all(now.get(name, before.get(name)) != before.get(name) for name in names):
            return
        if time.monotonic() > deadline:
            raise Unreachable("Kafka has not made the topics anew yet. Run this again.")
        time.sleep(0.2)


def _delete(edge: AdminClient, names: Iterable[str]) -> None:
    present = [*ids(edge, names)]
    if present:
        _each(edge.delete_topics(present, operation_timeout=30.0))


def rewind(settings: Settings, groups: Mapping[str, str]) -> None:
    """Set these groups, each with its topic, back to where the topic begins.

    As a consumer that joins nothing: the admin client's calls about groups end the whole process
    where the coordinator's connection is cut meanwhile (librdkafka's issue 4605).
    Raises ``RetraceError`` where a group has members, ``Unreachable`` while Kafka is away,
    ``KafkaException`` where an ACL is missing.
    """
    for group, topic in groups.items():
        kafka.patiently(_rewind, settings, group, settings.topic_prefix + topic)


def _rewind(settings: Settings, group: str, topic: str) -> None:
    with closing(kafka.consumer(settings, group)) as reader:
        try:
            begin = [
                TopicPartition(place.topic, place.partition, tails.bounds(reader, place)[0])
                for place in tails.places(settings, [topic], reader)
            ]
            for told in reader.commit(offsets=begin, asynchronous=False) or []:
                if told.error is not None:
                    raise KafkaException(told.error)
        except KafkaException as error:
            if kafka.is_away(error) or kafka.is_refused(error):
                raise
            words = error.args[0].str()
            raise RetraceError(f"Kafka did not set the group {group} back: {words}") from None


def ids(edge: AdminClient, names: Iterable[str]) -> dict[str, str]:
    """The ids of those of these topics that exist."""
    present = declare.partitions(edge)
    found = {}
    for name in names:
        try:
            if name in present:
                found[name] = declare.topic_id(edge, name)
        except KafkaException as error:
            if error.args[0].code() not in ABSENT:
                raise
    return found


def _each(futures: dict[str, Any]) -> None:
    for name, future in futures.items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() in ABSENT:
                continue
            if kafka.is_away(error):
                raise
            raise RetraceError(f"Kafka did not delete {name}: {error.args[0].str()}") from None
