"""Derived topics and group offsets back to nothing: deleted, and declared anew."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from schemas.errors import RetraceError, Unreachable
from schemas.settings import Settings
from streams import declare, kafka

SECONDS = 60.0
ABSENT = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.GROUP_ID_NOT_FOUND,
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


def forget(settings: Settings, groups: Iterable[str]) -> None:
    """Delete these groups, and with them their offsets.

    Raises ``RetraceError`` where the broker refuses it.
    """
    edge = kafka.admin(settings)
    kafka.patiently(lambda: _each(edge.delete_consumer_groups(list(groups), request_timeout=30)))


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
