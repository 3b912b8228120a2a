"""The embedded servers, for real: they keep their data, survive kill -9, and say what they lack."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from sqlalchemy.pool import NullPool

from ops.embedded_kafka import EmbeddedKafka
from ops.embedded_postgres import EmbeddedPostgres
from ops.kafka_jars import find_java, kafka_libraries, kafka_version
from ops.machine import free_port
from ops.supervisor import Supervisor
from schemas.errors import MachineError
from tests.servers import wait_until

TOPIC = "kept"


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with Supervisor() as supervisor:
        yield supervisor


@pytest.fixture(scope="session")
def libraries() -> Path:
    return kafka_libraries(print)


def run(supervisor: Supervisor, server: EmbeddedKafka | EmbeddedPostgres) -> int:
    """Start it, and wait until it is ready while the supervisor watches."""
    server.prepare()
    pid = supervisor.start(server.process())
    wait_until(lambda: not supervisor.poll() and server.ready(), 60)
    return pid


def one_line(error: pytest.ExceptionInfo[MachineError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def create_topic(bootstrap: str) -> None:
    client = AdminClient({"bootstrap.servers": bootstrap})
    client.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(30)


def publish(bootstrap: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    producer.produce(TOPIC, value)
    assert producer.flush(30) == 0


def read(bootstrap: str, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})
    try:
        consumer.assign([TopicPartition(TOPIC, 0, 0)])
        return [message.value() for message in consumer.consume(count, timeout=30)]
    finally:
        consumer.close()


def test_kafka_keeps_its_data(tmp_path: Path, libraries: Path) -> None:
    with Supervisor() as first:
        kafka = EmbeddedKafka(tmp_path, free_port(), libraries=libraries)
        run(first, kafka)
        create_topic(kafka.bootstrap)
        publish(kafka.bootstrap, b"before the stop")
        assert first.stop() == []
    with Supervisor() as second:
        kafka = EmbeddedKafka(tmp_path, free_port(), libraries=libraries)  # on other ports
        pid = run(second, kafka)
        publish(kafka.bootstrap, b"before the crash")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: [event.exit_code for event in second.poll()] == [-signal.SIGKILL])
        wait_until(lambda: not second.poll() and kafka.ready(), 60)
        assert read(kafka.bootstrap, 2) == [b"before the stop", b"before the crash"]
    assert "started" in (tmp_path / "logs" / "server.log").read_text()
    assert (tmp_path / "logs" / "stdout.log").read_text() == ""


def test_kafka_refuses_a_taken_port(tmp_path: Path, libraries: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        kafka = EmbeddedKafka(tmp_path, port, libraries=libraries)
        with pytest.raises(MachineError) as error:
            kafka.prepare()
    assert f"Port {port} is taken by another program (pid {os.getpid()}, " in one_line(error)
    assert "RETRACE_KAFKA_PORT" in one_line(error)


def test_kafka_refuses_a_folder_of_a_newer_version(tmp_path: Path, libraries: Path) -> None:
    kafka = EmbeddedKafka(tmp_path, free_port(), libraries=libraries)
    kafka.prepare()
    kafka.prepare()
    (tmp_path / "kafka.version").write_text("99.0.0\n")
    with pytest.raises(MachineError, match=r"made by Kafka 99\.0\.0, newer") as error:
        kafka.prepare()
    assert kafka_version() in one_line(error)


@pytest.mark.parametrize("content", ["", "version=1\nnode", "version=1\nnode.id=7\n"])
def test_kafka_refuses_a_damaged_folder(tmp_path: Path, libraries: Path, content: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "meta.properties").write_text(content)
    with pytest.raises(MachineError, match="damaged") as error:
        EmbeddedKafka(tmp_path, free_port(), libraries=libraries).prepare()
    one_line(error)


def test_an_interrupted_format_is_done_again(tmp_path: Path, libraries: Path) -> None:
    half = tmp_path / "data.new"
    half.mkdir()
    (half / "meta.properties").write_text("version=1\n")
    EmbeddedKafka(tmp_path, free_port(), libraries=libraries).prepare()
    assert "cluster.id" in (tmp_path / "data" / "meta.properties").read_text()


def test_a_full_disk_is_told_before_the_start(tmp_path: Path, libraries: Path) -> None:
    kafka = EmbeddedKafka(tmp_path, free_port(), libraries=libraries, minimum_free=2**60)
    postgres = EmbeddedPostgres(tmp_path, free_port(), minimum_free=2**60)
    for server in (kafka, postgres):
        with pytest.raises(MachineError, match="GiB free") as error:
            server.prepare()
        one_line(error)


def test_missing_java_and_maven(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="Java is not installed"):
        kafka_libraries(print, cache=tmp_path, path=str(tmp_path))
    (tmp_path / "java").symlink_to(find_java())
    with pytest.raises(MachineError, match=r"Maven \(mvn\) is not installed"):
        kafka_libraries(print, cache=tmp_path, path=str(tmp_path))


def script(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_an_old_java_is_refused(tmp_path: Path) -> None:
    script(tmp_path, "java", "echo 'openjdk version \"1.8.0_392\"' >&2")
    with pytest.raises(MachineError, match=r"is Java 8; Kafka needs Java 17"):
        find_java(str(tmp_path))


def test_a_failing_maven_says_why_without_addresses(tmp_path: Path) -> None:
    (tmp_path / "java").symlink_to(find_java())
    reason = "[ERROR] Could not transfer artifact x from central (http://a.test/m2): no route"
    helps = "[ERROR] [Help 1] http://help.test"
    script(tmp_path, "mvn", f"printf '%s\\n' '{reason}' '[ERROR] ' '{helps}'; exit 1")
    with pytest.raises(MachineError) as error:
        kafka_libraries(print, cache=tmp_path / "cache", path=str(tmp_path))
    assert one_line(error) == (
        "Maven could not fetch Kafka: Could not transfer artifact x from central: no route"
    )


def execute(url: str, *statements: str) -> list[int]:
    engine = sqlalchemy.create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        results = [connection.execute(sqlalchemy.text(statement)) for statement in statements]
        return list(results[-1].scalars()) if results[-1].returns_rows else []


def test_postgres_keeps_its_data(tmp_path: Path) -> None:
    with Supervisor() as first:
        postgres = EmbeddedPostgres(tmp_path, free_port())
        pid = run(first, postgres)
        execute(postgres.url, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (1)")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: [event.exit_code for event in first.poll()] == [-signal.SIGKILL])
        wait_until(lambda: bool(first.poll()) is False and postgres.ready(), 60)
        execute(postgres.url, "INSERT INTO kept VALUES (2)")
        assert first.stop() == []
    with Supervisor() as second:
        postgres = EmbeddedPostgres(tmp_path, free_port())
        run(second, postgres)
        assert execute(postgres.url, "SELECT n FROM kept ORDER BY n") == [1, 2]


def test_postgres_stops_though_a_client_stays(tmp_path: Path, supervisor: Supervisor) -> None:
    postgres = EmbeddedPostgres(tmp_path, free_port())
    run(supervisor, postgres)
    engine = sqlalchemy.create_engine(postgres.url, poolclass=NullPool)
    connection = engine.connect()
    connection.execute(sqlalchemy.text("SELECT 1"))
    assert supervisor.stop() == []
    connection.invalidate()
    connection.close()


def test_postgres_wants_its_password(tmp_path: Path, supervisor: Supervisor) -> None:
    postgres = EmbeddedPostgres(tmp_path, free_port())
    run(supervisor, postgres)
    assert (tmp_path / "password").stat().st_mode & 0o777 == 0o600
    password = (tmp_path / "password").read_text()
    with pytest.raises(sqlalchemy.exc.OperationalError, match="password authentication failed"):
        execute(postgres.url.replace(password, "guessed"), "SELECT 1")


def test_postgres_refuses_a_taken_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(MachineError, match=f"Port {port} is taken") as error:
            EmbeddedPostgres(tmp_path, port).prepare()
    assert "RETRACE_POSTGRES_PORT" in one_line(error)


def test_postgres_refuses_another_version(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("16\n")
    with pytest.raises(MachineError, match="holds version 16, this is 18") as error:
        EmbeddedPostgres(tmp_path, free_port()).prepare()
    one_line(error)


def test_postgres_survives_a_reused_pid(tmp_path: Path, supervisor: Supervisor) -> None:
    postgres = EmbeddedPostgres(tmp_path, free_port())
    postgres.prepare()
    (tmp_path / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    run(supervisor, postgres)


def test_postgres_refuses_a_second_server(tmp_path: Path, supervisor: Supervisor) -> None:
    pid = run(supervisor, EmbeddedPostgres(tmp_path, free_port()))
    with pytest.raises(MachineError, match=f"pid {pid}\\) already runs"):
        EmbeddedPostgres(tmp_path, free_port()).prepare()


def test_the_shared_servers_answer(kafka: str, database_url: str) -> None:
    assert AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).brokers
    execute(database_url, "CREATE TABLE mine (n int)")
    assert execute(database_url, "SELECT count(*) FROM mine") == [0]
