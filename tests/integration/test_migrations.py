"""The migrations make the tables that the code knows, once, whoever comes first."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, insert, select, text

from schemas.events import TaskCompleted
from schemas.tables import calibrations, metadata, predictions
from streams import database, history, known, store
from streams.numbering import Place, Publication
from streams.scores import Scores
from tests.running import task

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_migrated_tables_are_the_tables_of_the_code(database_url: str) -> None:
    engine = database.connect(database_url, "tests")
    database.migrate(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_two_services_may_migrate_at_once(database_url: str) -> None:
    engines = [database.connect(database_url, f"tests-{i}") for i in range(3)]
    errors: list[Exception] = []

    def migrate(at: int) -> None:
        try:
            database.migrate(engines[at])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=migrate, args=(at,)) for at in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert store.Store(engines[0]).standing()[1] == 0
    for engine in engines:
        engine.dispose()


def test_tables_of_a_later_version_stay_as_they_are(database_url: str) -> None:
    engine = database.connect(database_url, "tests")
    database.migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE models ADD COLUMN later text"))
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.migrate(engine)
    with engine.connect() as connection:
        assert (
            connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
        )
    engine.dispose()


def test_services_started_before_the_tables_are_migrated_know_nobody_forgotten(
    engine: Engine,
) -> None:
    """Only streams migrates."""
    store.Store(engine).record([], None)
    _downgrade(engine, "0006")
    assert not known.Known().now(engine)
    with engine.connect() as connection:
        assert history.newer(connection, {"ann": 0}, 10)[1] == 0
    database.migrate(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_what_was_scored_before_has_its_topic_and_its_calibration(database_url: str) -> None:
    """The migration fills what scoring would have kept."""
    engine = database.connect(database_url, "tests")
    database.migrate(engine)
    for n in range(40):
        _practise(engine, n)
    Scores(engine, 900).score()
    kept = _kept(engine)
    assert {topic for _, topic, *_ in kept[0]} == {"topic-a", "topic-b", None}
    assert sum(row.rows for row in kept[1]) == 40
    _downgrade(engine, "0004")
    database.migrate(engine)
    assert _kept(engine) == kept
    engine.dispose()


def _downgrade(engine: Engine, revision: str) -> None:
    with engine.connect() as connection:
        config = Config()
        folder = Path(database.__file__).parent / "migrations"
        config.set_main_option("script_location", str(folder))
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
        connection.commit()


def _practise(engine: Engine, n: int) -> None:
    """A task that was predicted twice before its end, and one that has not ended."""
    values = {
        "task_id": f"t{n}", "user_id": "ann", "p_correct": n / 64, "expected_seconds": 20.0,
        "seconds_low": 10.0, "seconds_high": 40.0, "source": "lstm", "version": 3,
        "predicted_at": AT, "arm": "champion" if n % 4 else "challenger",
    }  # fmt: skip
    later = {"p_correct": 0.99, "predicted_at": AT + timedelta(seconds=1)}
    with engine.begin() as connection:
        rows = [
            {**values, "request_id": f"a{n}"},
            {**values, "request_id": f"b{n}", **later},
            {**values, "request_id": f"c{n}", "task_id": f"not-ended-{n}"},
        ]
        connection.execute(insert(predictions), rows)
    ended = {
        "user_id": "ann", "topic": f"topic-{'ab'[n % 2]}", "is_correct": n % 3 > 0,
        "completed_at": (AT + timedelta(minutes=n + 1)).isoformat(),
    }  # fmt: skip
    event = TaskCompleted.model_validate_json(json.dumps(task(f"t{n}", **ended)))
    store.Store(engine).record([Publication(event, Place(0, 0))], None)


def _kept(engine: Engine) -> tuple[list[Any], list[Any]]:
    p = predictions.c
    topics = select(p.request_id, p.topic).order_by(p.request_id)
    sums = select(calibrations).order_by(*calibrations.primary_key)
    with engine.connect() as connection:
        return list(connection.execute(topics)), list(connection.execute(sums))
