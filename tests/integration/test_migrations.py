"""The migrations make the tables that the code knows, once, whoever comes first."""

from __future__ import annotations

import threading

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from schemas.tables import metadata
from streams import database, store


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
