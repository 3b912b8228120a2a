"""Which of Retrace's services run, wherever they do: by group, by connection, by health port."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

import httpx
from confluent_kafka import ConsumerGroupState, KafkaException, TopicPartition
from sqlalchemy import Engine, text

from gateway.status import GROUPS, addresses
from schemas.errors import Unreachable
from schemas.settings import Settings
from schemas.topics import Topic
from streams import kafka

_CONNECTED = text(
    """SELECT application_name, coalesce(host(client_addr), 'this machine') AS host, count(*) AS n
    FROM pg_stat_activity WHERE datname = current_database() AND application_name = ANY(:names)
    GROUP BY 1, 2 ORDER BY 1, 2"""
)
SERVICES = ("streams", "trainer", "inference", "gateway")
WITHOUT_MEMBERS = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)


def running(settings: Settings, engine: Engine) -> list[str]:
    """A line for each sign of life; none where nothing runs."""
    return [*members(settings, GROUPS), *_connected(engine), *_answering(settings)]


def members(settings: Settings, groups: Mapping[str, Topic]) -> list[str]:
    """A line for each of these groups, of their topics, that has members. One that was killed
    stays a member until its session ends.

    Raises ``Unreachable`` where Kafka does not tell, ``KafkaException`` for an error that stays.
    """
    return kafka.patiently(_members, settings, groups)


def _members(settings: Settings, groups: Mapping[str, Topic]) -> list[str]:
    """Looks at states. Asked which members a group has, librdkafka ends the whole process where
    the coordinator's connection is cut meanwhile (its issue 4605)."""
    edge = kafka.admin(settings)  # without the client nothing would ever be answered
    listed = edge.list_consumer_groups(request_timeout=10).result()
    if listed.errors:
        raise KafkaException(listed.errors[0])
    states, found = {group.group_id: group.state for group in listed.valid}, []
    for group, topic in groups.items():
        name = settings.topic_prefix + group
        if name not in states:
            _require_sight(settings, group, topic)
        elif states[name] not in WITHOUT_MEMBERS:
            found.append(f"group {name} has members")
    return found


def _require_sight(settings: Settings, group: str, topic: Topic) -> None:
    """A group that this user may not see is not listed; asked for its offsets, the broker gives
    none. Raises ``Unreachable``."""
    name = settings.topic_prefix + group
    place = TopicPartition(settings.topic_prefix + topic.name, 0)
    with closing(kafka.consumer(settings, group)) as reader:
        try:
            reader.committed([place], timeout=5)
        except KafkaException as error:
            raise Unreachable(
                f"Kafka tells nothing of the group {name}: {error.args[0].str()}. "
                "Where Kafka runs, compare `retrace acls --check`."
            ) from None


def _connected(engine: Engine) -> list[str]:
    names = [f"retrace-{name}" for name in SERVICES]
    with engine.connect() as connection:
        rows = connection.execute(_CONNECTED, {"names": names}).all()
    return [f"database: {row.application_name} at {row.host}" for row in rows]


def _answering(settings: Settings) -> list[str]:
    return [f"{name}: {url}" for name, url in addresses(settings).items() if _answers(url)]


def _answers(url: str) -> bool:
    try:
        httpx.get(f"{url}/healthz", timeout=2.0, trust_env=False)
    except httpx.HTTPError:
        return False
    return True
