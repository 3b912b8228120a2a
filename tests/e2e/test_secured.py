"""The whole loop on a Kafka with SASL_SSL and ACLs, and a PostgreSQL with roles: each service has
what it needs, and is refused the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AclBinding, AclBindingFilter
from pydantic import SecretStr

from gateway.models import Models
from inference.service import GROUP as ANSWERERS
from ops import acls, instances
from schemas import access, topics
from schemas.access import Grant
from schemas.errors import RetraceError, Unreachable
from schemas.settings import Settings
from streams import database, declare, kafka
from streams.app import APP_ID
from tests.granted import database_users
from tests.running import (
    Service,
    environment,
    publish,
    read_all,
    settings_of,
    task,
    values_of,
)
from tests.secured import SecuredKafka, as_user, password, secured_kafka
from tests.servers import fresh_database, wait_until
from training.trainer import GROUP as TRAINERS

PREFIX = "sec."
PROCESSES = {
    "streams": "streams", "training": "trainer", "inference": "inference", "gateway": "gateway",
}  # fmt: skip
NAMED = acls.users(())


@pytest.fixture(scope="module")
def broker() -> Iterator[SecuredKafka]:
    with secured_kafka() as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secured")


@pytest.fixture(scope="module")
def administrator(broker: SecuredKafka, folder: Path) -> Settings:
    """Everybody's ACLs are there, and the topics, which operators made."""
    plain = settings_of(broker.bootstrap, "postgresql://none/none", folder)
    told = as_user(plain, broker, "admin", topic_prefix=PREFIX, train_epochs=1)
    found = acls.difference(told, NAMED)
    assert len(found.missing) == len(access.grants(PREFIX))
    acls.apply(told, found.missing)
    wait_until(lambda: acls.difference(told, NAMED).missing == ())
    assert acls.difference(told, NAMED).too_much == ()
    operator = as_user(told, broker, NAMED[access.OPERATORS])
    wait_until(lambda: _declared(operator))
    return told


def _declared(settings: Settings) -> bool:
    try:
        return declare.declare(settings) == []
    except Unreachable:
        return False


def _refused_writes(settings: Settings, names: list[str]) -> set[str]:
    told: dict[str, int] = {}
    producer = Producer(kafka.client(settings, **{"message.timeout.ms": 20_000}))
    for name in names:
        hear: Callable[..., None] = lambda error, _message, name=name: told.update(  # noqa: E731
            {name: error.code() if error else 0}
        )
        producer.produce(name, b"x", on_delivery=hear)
    assert producer.flush(30) == 0
    return {n for n, code in told.items() if code == KafkaError.TOPIC_AUTHORIZATION_FAILED}


def _refused_reads(settings: Settings, names: list[str], group: str) -> set[str]:
    """Topics that are hidden say so when asked about, the others when read."""
    reader = Consumer(kafka.client(settings, **{"group.id": group}))
    refused = {name for name in names if _is_hidden(reader, name)}
    try:
        reader.assign([TopicPartition(name, 0, 0) for name in names if name not in refused])

        def all_told() -> bool:
            message = reader.poll(0.2)
            error = message.error() if message is not None else None
            if error and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                refused.add(str(message.topic()))
            assert error is not None or message is None, f"{message and message.topic()} was read"
            return len(refused) == len(names)

        wait_until(all_told, 30)
    finally:
        reader.close()
    return refused


def _is_hidden(reader: Consumer, name: str) -> bool:
    error = reader.list_topics(name, timeout=10).topics[name].error
    return error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


@pytest.mark.parametrize("role", [r for r in access.ROLES if r != access.OPERATORS])
def test_a_role_is_refused_what_it_does_not_need(
    role: str, administrator: Settings, broker: SecuredKafka
) -> None:
    mine = as_user(administrator, broker, NAMED[role])
    granted = {(g.name, g.operation) for g in access.grants(PREFIX) if g.role == role}
    every = [PREFIX + topic.name for topic in topics.EVERY]
    unsent = [name for name in every if (name, "WRITE") not in granted]
    unread = [name for name in every if (name, "READ") not in granted]
    assert unsent
    assert unread
    assert _refused_writes(mine, unsent) == set(unsent)
    groups = [g.name for g in access.grants(PREFIX) if (g.role, g.resource) == (role, "GROUP")]
    assert _refused_reads(mine, unread, (groups or ["none"])[0]) == set(unread)


def test_what_was_given_too_much_is_told_and_stays(administrator: Settings) -> None:
    extra = acls.binding(Grant("streams", "TOPIC", PREFIX + "of-others", "READ"), NAMED["streams"])
    acls.apply(administrator, [extra])
    wait_until(lambda: acls.difference(administrator, NAMED).too_much == (extra,))
    acls.apply(administrator, acls.difference(administrator, NAMED).missing)
    assert acls.difference(administrator, NAMED) == acls.Difference((), (extra,))


def test_only_an_administrator_adds_acls(administrator: Settings, broker: SecuredKafka) -> None:
    mine = as_user(administrator, broker, NAMED["gateway"])
    wanted = acls.binding(Grant("gateway", "TOPIC", PREFIX + "more", "READ"), NAMED["gateway"])
    with pytest.raises(RetraceError, match="take the cluster's administrator"):
        acls.apply(mine, [wanted])


def test_who_may_not_create_topics_is_told_who_may(
    administrator: Settings, broker: SecuredKafka
) -> None:
    mine = as_user(administrator, broker, NAMED["streams"], topic_prefix="elsewhere.")
    with pytest.raises(Unreachable, match="Let an operator run `retrace prepare`"):
        declare.declare(mine)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"kafka_sasl_password": SecretStr("wrong")}, "Kafka refuses user or password"),
        ({"kafka_ssl_ca": "other.pem"}, "TLS with Kafka fails"),
    ],
)
def test_who_is_not_let_in_waits_and_says_why(
    wrong: dict[str, Any], told: str, administrator: Settings, broker: SecuredKafka, tmp_path: Path
) -> None:
    if "kafka_ssl_ca" in wrong:
        wrong = {"kafka_ssl_ca": str(broker.directory / wrong["kafka_ssl_ca"])}
    mine = as_user(administrator, broker, NAMED["inference"], **wrong)
    service = Service("inference", mine.model_copy(update={"data_dir": tmp_path}))
    try:

        def says_so() -> bool:
            assert service.process.poll() is None, service.log.read_text()
            state = service.readiness().get("dependencies", {}).get("kafka", {})
            return state.get("ok") is False and told in state["detail"]

        wait_until(says_so, 60)
        wait_until(lambda: told in service.log.read_text())
        logged = service.log.read_text()
    finally:
        service.kill()
    assert "Traceback" not in logged
    assert password(NAMED["inference"]) not in logged


def test_who_may_not_join_its_group_is_let_in_once_it_may(
    administrator: Settings, broker: SecuredKafka, postgres: str, tmp_path: Path
) -> None:
    groups = {"streams": APP_ID, "training": TRAINERS, "inference": ANSWERERS}
    words = {
        role: f"Kafka does not let this user into the group {PREFIX}{group}."
        for role, group in groups.items()
    }
    grants = [
        acls.binding(Grant(role, "GROUP", PREFIX + group, "READ"), NAMED[role])
        for role, group in groups.items()
    ]
    with fresh_database(postgres) as url, ExitStack() as stack:
        stack.callback(acls.apply, administrator, grants)  # other tests have them, too
        for grant in grants:
            _take_away(administrator, grant)
        own = administrator.model_copy(update={"database_url": SecretStr(url)})
        started = {}
        for role in groups:
            mine = as_user(own, broker, NAMED[role], data_dir=tmp_path)
            started[role] = Service(PROCESSES[role], mine)
            stack.callback(started[role].kill)
        for role, service in started.items():
            wait_until(partial(service.is_refused, words[role]), 60)
        acls.apply(administrator, grants)
        for service in started.values():
            service.await_ready()
        assert [service.stop() for service in started.values()] == [0, 0, 0]
    for role, service in started.items():
        log = service.log.read_text()
        assert log.count(words[role]) == 1, log[-3000:]
        assert "Traceback" not in log, log[-3000:]
        assert "starting it again" not in log


def test_a_group_that_may_not_be_seen_is_not_taken_for_empty(
    administrator: Settings, broker: SecuredKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = {"retrace-record": topics.TASK_COMPLETED}
    mine = as_user(administrator, broker, NAMED["operators"])
    assert instances.members(mine, groups) == []
    grant = Grant("operators", "GROUP", PREFIX + "retrace-record", "READ")
    seen = acls.binding(grant, NAMED["operators"])
    _take_away(administrator, seen)
    monkeypatch.setattr(kafka, "PATIENCE_SECONDS", 0.0)
    try:
        with pytest.raises(Unreachable, match=r"of the group sec\.retrace-record"):
            instances.members(mine, groups)
    finally:
        acls.apply(administrator, [seen])


def _take_away(administrator: Settings, grant: AclBinding) -> None:
    mine = AclBindingFilter(
        grant.restype, grant.name, grant.resource_pattern_type, grant.principal, grant.host,
        grant.operation, grant.permission_type,
    )  # fmt: skip
    edge = kafka.admin(administrator)
    (deleted,) = edge.delete_acls([mine]).values()
    assert len(deleted.result()) == 1
    wait_until(lambda: grant in acls.difference(administrator, NAMED).missing)


def test_the_whole_loop_with_the_least_rights(
    administrator: Settings, broker: SecuredKafka, postgres: str, tmp_path: Path
) -> None:
    with fresh_database(postgres) as url, ExitStack() as stack:
        own = as_user(
            administrator, broker, NAMED[access.OPERATORS], database_url=SecretStr(url),
            data_dir=tmp_path,
        )  # fmt: skip
        argv = [sys.executable, "-m", "ops.cli", "prepare", "--json"]
        done = subprocess.run(argv, env=environment(own), capture_output=True, check=True)
        assert json.loads(done.stdout) == {"created": [], "revision": database.head()}
        users = stack.enter_context(database_users(url))
        started = {}
        for role, process in PROCESSES.items():
            mine = as_user(own, broker, NAMED[role], database_url=SecretStr(users[role]))
            started[role] = Service(process, mine)
            stack.callback(started[role].kill)
        for service in started.values():
            service.await_ready(120)
        producer = as_user(own, broker, NAMED["producers"])
        publish(producer, *[task(f"s{number}") for number in range(40)], b"not json")
        wait_until(lambda: _versions(own) != [], 120)
        new = {"user_id": "user-1", "topic": "topic-1", "difficulty": "easy"}
        address = f"http://127.0.0.1:{own.gateway_port}"
        with httpx.Client(base_url=address, timeout=10) as client:
            wait_until(lambda: _source(client, new) in ("lstm", "lnirt"), 60)
            issued = client.post("/practice-tasks", json=new).json()
            how = {"is_correct": True, "actual_time_seconds": 12.5}
            assert client.patch(f"/practice-tasks/{issued['id']}", json=how).status_code == 200
            wait_until(lambda: client.get("/status").json()["counter"]["completions"] == 41, 30)
            status = client.get("/status").json()
            _check_pages(client, issued["id"])
        gateway = as_user(
            own, broker, NAMED["gateway"], database_url=SecretStr(users["gateway"])
        )  # fmt: skip
        _check_models(gateway)
        _check_redrive(gateway, own)
        wrong = {k: v for k, v in status.items() if isinstance(v, dict) and "error" in v}
        assert wrong == {}
        logs = {role: service.log.read_text() for role, service in started.items()}
        for role, log in logs.items():
            assert "permission denied" not in log, (role, log[-3000:])
            assert "uthorization failed" not in log, (role, log[-3000:])
            assert password(NAMED[role]) not in log
        assert [service.stop() for service in reversed(started.values())] == [0, 0, 0, 0]
        assert {e["request_id"] for e in values_of(own, topics.TRAIN_REQUEST)} == {
            f"count-{n}" for n in range(5, 45, 5)
        }


def _check_pages(client: httpx.Client, task_id: str) -> None:
    for path in (
        "/practice-tasks?user_id=user-1", f"/practice-tasks/{task_id}/why", "/metrics",
        "/learners/user-1/forecast",
    ):  # fmt: skip
        assert client.get(path).status_code == 200, path


def _check_models(gateway: Settings) -> None:
    """As the pages do it: a version is held and let go, and the topic hears of it."""
    models = Models(gateway)
    version = models.listed(1)["versions"][0]["version"]
    assert models.announce(models.changing().promote(version))["announced"]
    assert models.announce(models.changing().release())["announced"]


def _check_redrive(gateway: Settings, operator: Settings) -> None:
    """As the pages do it: a letter goes back to its topic, which is noted, and fails once more."""
    argv = [sys.executable, "-m", "ops.cli", "dead-letters", "redrive", "--all", "--yes"]
    done = subprocess.run(argv, env=environment(gateway), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: len(read_all(operator, topics.DEAD_LETTERS)) == 2, 30)
    assert len(values_of(operator, topics.LETTER_REDRIVEN)) == 1


def _versions(settings: Settings) -> list[dict[str, Any]]:
    return values_of(settings, topics.MODEL_UPDATED)


def _source(client: httpx.Client, new: dict[str, Any]) -> str:
    return str(client.post("/practice-tasks", json=new).json()["source"])
