"""Who needs what: no topic, table, group or service is left out, and nobody gets more."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops import acls, roles
from ops.cli import app
from schemas import access, tables, topics
from schemas.access import Grant
from schemas.errors import UsageError

ROOT = Path(__file__).parents[2]
VIEWS = {"practice_tasks", "embedding_model_tracker"}


def _of(role: str, operation: str) -> set[str]:
    return {g.name for g in access.grants() if (g.role, g.operation) == (role, operation)}


def test_every_topic_has_who_sends_it_and_is_seen_by_all_services() -> None:
    for topic in topics.EVERY:
        others = [role for role in access.ROLES if role != access.OPERATORS]
        assert any(topic.name in _of(role, "WRITE") for role in others), topic.name
        for role in access.SERVICES:
            assert topic.name in _of(role, "DESCRIBE"), (topic.name, role)
        assert topic.name in _of(access.OPERATORS, "CREATE")


def test_what_a_topic_says_of_itself_is_granted() -> None:
    for topic in topics.ALL:
        assert all(topic.name in _of(role, "WRITE") for role in topic.sent_by), topic.name
        assert all(topic.name in _of(role, "READ") for role in topic.read_by), topic.name


def test_every_group_of_the_code_is_granted() -> None:
    found = set()
    for package in ("streams", "training", "inference", "gateway"):
        text = "\n".join(path.read_text() for path in (ROOT / package).rglob("*.py"))
        found |= set(re.findall(r'^GROUP = "(retrace-[a-z]+)"', text, flags=re.M))
        found |= set(re.findall(r'(?:consumer\([^"\n]*|group: str = )"(retrace-[a-z]+)"', text))
    assert found == {g.name for g in access.grants() if g.resource == "GROUP" and not g.prefixed}


def test_no_service_may_delete_or_make_topics_of_the_contract() -> None:
    for grant in access.grants():
        if grant.role != access.OPERATORS and grant.resource == "TOPIC":
            assert grant.operation not in ("DELETE", "DESCRIBE_CONFIGS")
            assert grant.operation != "CREATE" or grant.name.startswith("reply.")


def test_the_prefix_is_before_every_name() -> None:
    plain, prefixed = access.grants(), access.grants("p.")
    assert {g.name for g in prefixed} == {"p." + g.name for g in plain}
    assert len(plain) == len(prefixed) == len(set(plain))


def test_lines_for_kafka_acls() -> None:
    lines = acls.script("p.", acls.users(["streams=me and you"])).splitlines()
    assert len(lines) == len(access.grants("p."))
    assert (
        'kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --command-config "$CONFIG" --add '
        "--allow-principal 'User:me and you' --operation Read --topic p.task-completed "
        "--resource-pattern-type literal"
    ) in lines
    assert any("--operation Create --topic p.reply. --resource-pattern-type prefixed" in line
               for line in lines)  # fmt: skip


@pytest.mark.parametrize("pair", ["streams", "streams=", "nobody=me"])
def test_a_user_of_no_role_is_wrong_usage(pair: str) -> None:
    with pytest.raises(UsageError, match="ROLE=NAME"):
        acls.users([pair])


def test_an_acl_in_words() -> None:
    told = acls.words(acls.binding(Grant("gateway", "TOPIC", "reply.", "READ", True), "me"))
    assert told == "User:me read topic reply.*"


def test_every_table_and_view_is_listed() -> None:
    assert set(access.TABLES) == set(tables.metadata.tables) | VIEWS | {"alembic_version"}
    for table, rights in access.TABLES.items():
        assert set(rights) <= set(access.DATABASE_ROLES), table
        assert set("".join(rights.values())) <= set(access.RIGHTS), table


def test_sql_names_no_password_and_no_rights_on_definitions() -> None:
    text = roles.sql()
    assert "PASSWORD" not in text.upper()
    granted = set(re.findall(r"^GRANT (.+) ON \w+ TO", text, flags=re.M))
    assert {each for one in granted for each in one.split(", ")} <= set(access.RIGHTS.values())


def test_the_commands_print_what_is_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRACE_TOPIC_PREFIX", "p.")
    run = CliRunner().invoke
    assert run(app, ["acls"]).stdout.strip() == acls.script("p.", acls.users(()))
    told = json.loads(run(app, ["acls", "--json", "--user", "streams=me"]).stdout)["grants"]
    assert len(told) == len(access.grants("p."))
    assert {each["user"] for each in told if each["role"] == "streams"} == {"me"}
    assert run(app, ["roles"]).stdout.strip() == roles.sql()


def test_a_gateway_reads_no_answers_to_others() -> None:
    replies = {g.name for g in access.grants("p.") if g.role == "gateway" and "reply." in g.name}
    assert replies == {"p.reply.gateway-"}
