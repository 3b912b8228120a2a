"""Which of Retrace's services run, wherever they do: by group, by connection, by health port."""

from __future__ import annotations

import httpx
from confluent_kafka import KafkaError, KafkaException
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


def running(settings: Settings, engine: Engine) -> list[str]:
    """A line for each sign of life; none where nothing runs."""
    return [*members(settings, *GROUPS), *_connected(engine), *_answering(settings)]


def members(settings: Settings, *groups: str) -> list[str]:
    """The members of these groups. One that was killed stays until its session ends."""
    return kafka.patiently(_members, settings, [settings.topic_prefix + group for group in groups])


def _members(settings: Settings, names: list[str]) -> list[str]:
    edge, found = kafka.admin(settings), []  # without the client nothing would ever be answered
    for name, future in edge.describe_consumer_groups(names, request_timeout=10).items():
        try:
            group = future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                raise
            continue
        found += [f"group {name}: {m.client_id} at {m.host.lstrip('/')}" for m in group.members]
    return found


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
