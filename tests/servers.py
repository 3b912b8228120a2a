"""Real servers for the tests: given ones, containers where a Docker engine answers, or embedded.

``RETRACE_TEST_KAFKA`` (host:port) and ``RETRACE_TEST_DATABASE`` (a URL whose role may create
databases) name servers that already run.
"""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import sqlalchemy
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from ops.embedded_kafka import EmbeddedKafka
from ops.embedded_postgres import EmbeddedPostgres
from ops.kafka_config import LARGEST_MESSAGE_BYTES, SINGLE_NODE
from ops.kafka_jars import kafka_libraries, kafka_version
from ops.machine import free_port
from ops.supervisor import Supervisor

START_SECONDS = 120.0


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition; fail the test when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the awaited condition did not come"
        time.sleep(0.02)


@cache
def docker_answers() -> bool:
    """Whether containers can be used here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # docker leaves a refused socket open
        answer = _ping_docker()
        gc.collect()
    return answer


def _ping_docker() -> bool:
    import docker

    try:
        with contextlib.closing(docker.from_env(timeout=2)) as client:
            return bool(client.ping())
    except (docker.errors.DockerException, OSError):
        return False


@contextmanager
def kafka_server() -> Iterator[str]:
    """A Kafka broker's host:port."""
    if given := os.environ.get("RETRACE_TEST_KAFKA"):
        yield given
        return
    with _kafka_container() if docker_answers() else _embedded_kafka() as bootstrap:
        yield bootstrap


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of a database whose role may create others."""
    if given := os.environ.get("RETRACE_TEST_DATABASE"):
        yield given
        return
    with _postgres_container() if docker_answers() else _embedded_postgres() as url:
        yield url


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """The URL of an empty database, dropped afterwards, whoever is still connected."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    engine = sqlalchemy.create_engine(server_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f"DROP DATABASE {name} WITH (FORCE)"))


def client_threads() -> int:
    """How many threads of Kafka clients run in this process; 0 where there is no /proc."""
    names = Path("/proc/self/task").glob("*/comm")
    return sum(_read(name).startswith("rdk:") for name in names)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # the thread has just ended
        return ""


def has_brokers(bootstrap: str) -> bool:
    """Whether a broker behind this address answers a metadata request."""
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        return bool(client.list_topics(timeout=1.0).brokers)
    except KafkaException:
        return False


@contextmanager
def _embedded_kafka() -> Iterator[str]:
    libraries = kafka_libraries(print)
    with tempfile.TemporaryDirectory(prefix="retrace-kafka-") as folder, Supervisor() as children:
        server = EmbeddedKafka(Path(folder), free_port(), libraries=libraries)
        server.prepare()
        children.start(server.process())
        wait_until(server.ready, START_SECONDS)
        yield server.bootstrap


@contextmanager
def _embedded_postgres() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="retrace-pg-") as folder, Supervisor() as children:
        server = EmbeddedPostgres(Path(folder), free_port())
        server.prepare()
        children.start(server.process())
        wait_until(server.ready, START_SECONDS)
        yield server.url


@contextmanager
def _kafka_container() -> Iterator[str]:
    """The image of Apache itself; testcontainers' own class starts Confluent's only."""
    from testcontainers.core.container import DockerContainer

    port = free_port()
    container = DockerContainer(f"apache/kafka:{kafka_version()}").with_bind_ports(9092, port)
    bootstrap = f"{container.get_container_host_ip()}:{port}"
    for name, value in _container_settings(bootstrap).items():
        container = container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
    with container:
        wait_until(lambda: has_brokers(bootstrap), START_SECONDS)
        yield bootstrap


def _container_settings(bootstrap: str) -> dict[str, str]:
    return SINGLE_NODE | {
        "node.id": "1",
        "process.roles": "broker,controller",
        "listeners": "BROKER://:9092,CONTROLLER://:9093",
        "advertised.listeners": f"BROKER://{bootstrap}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": "1@localhost:9093",
        "auto.create.topics.enable": "false",
        "message.max.bytes": str(LARGEST_MESSAGE_BYTES),
        "group.initial.rebalance.delay.ms": "0",
    }


@contextmanager
def _postgres_container() -> Iterator[str]:
    from testcontainers.postgres import PostgresContainer

    with PostgresContainer("postgres:18") as container:
        yield container.get_connection_url()
