"""Which of Retrace's services run, wherever they do: by group, by connection, by health port."""

from __future__ import annotations

import httpx
from confluent_kafka import ConsumerGroupState
from sqlalchemy import Engine, text

from gateway.status import GROUPS, addresses
from schemas.settings import Settings
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
    return [*members(settings, *GROUPS), *_connected(engine), *_answering(settings)]


def members(settings: Settings, *groups: str) -> list[str]:
    """A line for each of these groups that has members. One that was killed stays a member until
    its session ends."""
    return kafka.patiently(_members, settings, [settings.topic_prefix + group for group in groups])


def _members(settings: Settings, names: list[str]) -> list[str]:
    """Looks at states. Asked which members a group has, librdkafka ends the whole process where
    the coordinator's connection is cut meanwhile (its issue 4605)."""
    edge = kafka.admin(settings)  # without the client nothing would ever be answered
    listed = edge.list_consumer_groups(request_timeout=10).result()
    if listed.errors:
        raise listed.errors[0]
    busy = {group.group_id for group in listed.valid if group.state not in WITHOUT_MEMBERS}
    return [f"group {name} has members" for name in names if name in busy]


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
