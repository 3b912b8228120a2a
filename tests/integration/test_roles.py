"""Each role on a real PostgreSQL: every table, every right, given or refused as listed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import NullPool

from gateway import analytics, learners
from gateway.audit import Actor, Audit
from gateway.filters import Filters
from ops import roles
from schemas import access
from schemas.errors import Unreachable
from schemas.events import LearnerForgotten, TaskCompleted
from streams import database, erasure, forgetting
from streams.forgotten import LEARNER, Forgotten, seal
from streams.numbering import Place, Publication
from streams.scores import Scores
from streams.store import Store
from tests.granted import database_users
from tests.running import task
from tests.servers import fresh_database

NOT_PERMITTED, NOW = "42501", datetime.now(UTC)
VIEWS = ("practice_tasks", "embedding_model_tracker")  # only read, by whomever
TRIED = {
    "S": "SELECT FROM {table} LIMIT 0",
    "I": "INSERT INTO {table} ({column}) SELECT NULL WHERE false",
    "U": "UPDATE {table} SET {column} = NULL WHERE false",
    "D": "DELETE FROM {table} WHERE false",
}


@pytest.fixture(scope="module")
def url(postgres: str) -> Iterator[str]:
    with fresh_database(postgres) as url:
        store = Store(database.connect(url, "tests"))
        store.prepare(5)
        store.engine.dispose()
        yield url


@pytest.fixture(scope="module")
def users(url: str) -> Iterator[dict[str, str]]:
    with database_users(url) as users:
        yield users


def refused(url: str, *statements: str) -> str | None:
    """PostgreSQL's code for the first of these that fails."""
    engine = sqlalchemy.create_engine(url, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
    except ProgrammingError as error:
        return str(error.orig.pgcode)  # type: ignore[union-attr]
    return None


def column_of(url: str, table: str) -> str:
    engine = sqlalchemy.create_engine(url, poolclass=NullPool)
    return str(sqlalchemy.inspect(engine).get_columns(table)[-1]["name"])


@pytest.mark.parametrize("role", access.DATABASE_ROLES)
def test_a_role_may_do_what_is_listed_and_nothing_else(
    role: str, url: str, users: dict[str, str]
) -> None:
    found = {}
    for table in access.TABLES:
        column = column_of(url, table)
        done = [
            letter
            for letter, statement in TRIED.items()
            if (letter == "S" or table not in VIEWS)
            and _may(users[role], statement.format(table=table, column=column))
        ]
        found[table] = "".join(done)
    listed = {table: rights.get(role, "") for table, rights in access.TABLES.items()}
    assert found == listed


def _may(url: str, statement: str) -> bool:
    code = refused(url, statement)
    assert code in (None, NOT_PERMITTED), statement
    return code is None


@pytest.mark.parametrize("role", access.DATABASE_ROLES)
def test_nobody_but_the_owner_changes_definitions(role: str, users: dict[str, str]) -> None:
    for statement in (
        "CREATE TABLE mine (id int)", "ALTER TABLE completions ADD mine int",
        "TRUNCATE completions", "DROP TABLE audit", "DROP VIEW practice_tasks", "CREATE ROLE mine",
    ):  # fmt: skip
        assert refused(users[role], statement) == NOT_PERMITTED, statement


def test_a_service_starts_on_tables_that_it_may_not_change(users: dict[str, str]) -> None:
    for role in ("streams", "training", "inference", "gateway"):
        engine = database.connect(users[role], "tests")
        database.migrate(engine)
        engine.dispose()
    store = Store(database.connect(users["streams"], "tests"))
    store.prepare(7)
    assert store.cadences()[-1].every == 7
    store.engine.dispose()


def test_older_tables_wait_for_their_owner(url: str, users: dict[str, str]) -> None:
    owner = database.connect(url, "tests")
    head = database.head()
    with owner.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0005'")
    engine = database.connect(users["training"], "tests")
    try:
        with pytest.raises(Unreachable, match=r"of revision 0005.*`retrace prepare`"):
            database.migrate(engine)
    finally:
        engine.dispose()
        with owner.begin() as connection:
            connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{head}'")
        owner.dispose()


def test_what_was_given_too_much_is_taken_back(url: str, users: dict[str, str]) -> None:
    owner = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with owner.connect() as connection:
        connection.exec_driver_sql(f"GRANT DELETE ON audit TO {roles.PREFIX}inference")
        assert refused(users["inference"], "DELETE FROM audit") is None
        connection.exec_driver_sql(roles.sql())
    assert refused(users["inference"], "DELETE FROM audit") == NOT_PERMITTED


def test_the_pages_and_scoring_ask_what_their_roles_may(users: dict[str, str]) -> None:
    gateway = database.connect(users["gateway"], "tests")
    lines = Audit(gateway, most=1)
    lines.end(lines.begin(Actor("somebody", "here"), "train", "all"), "done", "")
    assert [line.outcome for line in lines.newest(5)] == ["done"]
    analytics.look(gateway, Filters(user="u", topic="t", version=1), 60)
    analytics.look(gateway, Filters(), 60)
    assert learners.named(gateway, "", 5) == []
    assert learners.practised(gateway, "u") == {}
    assert list(learners.newest(gateway, "u", 5)) == []
    gateway.dispose()
    streams = database.connect(users["streams"], "tests")
    scores = Scores(streams, 60)
    assert scores.score() == []
    scores.prune()
    streams.dispose()


def test_streams_erases_what_is_left_of_a_forgotten_learner(users: dict[str, str]) -> None:
    store = Store(database.connect(users["streams"], "tests"))
    event = TaskCompleted.model_validate_json(json.dumps(task("t1", user_id="ada")))
    store.record([Publication(event, Place(0, 0))], None)
    salt = "ab" * 32
    ada = LearnerForgotten(learner=seal(salt, LEARNER, "ada"), salt=salt, forgotten_at=NOW)
    assert forgetting.add(store.engine, [ada]) == 1
    assert erasure.counts(store.engine, "ada")["completions"] == 1
    for user, of in erasure.names(store.engine, Forgotten.of([ada])):
        erasure.erase(store.engine, user, of)
    forgetting.erased(store.engine, [ada.learner])
    assert set(erasure.counts(store.engine, "ada").values()) == {0}
    store.engine.dispose()
