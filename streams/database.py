"""PostgreSQL: how it is reached, how its absence looks, and its tables brought up to date."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg2
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from schemas.errors import ConfigurationError, Unreachable

MIGRATION_LOCK = 7_203_114
# Else PostgreSQL may plan a prepared statement anew each time, which takes longer than running it.
PLANNED_ONCE = " -c plan_cache_mode=force_generic_plan"
NOT_PERMITTED = "42501"
UNDEFINED = ("42P01", "42703")  # a table, a column


def connect(
    url: str, application: str, *, pool: int = 5, statement_seconds: int = 60, reads: bool = False
) -> Engine:
    """An engine for a PostgreSQL URL. Raises ``ConfigurationError`` for anything else.

    ``statement_seconds`` bounds a statement, and a transaction that waits for its client; 0: not.
    ``reads``: for single statements in a hurry; each is its own transaction, and a connection that
    was lost meanwhile is noticed by it.
    """
    if not url:
        raise ConfigurationError(
            "RETRACE_DATABASE_URL is not set and no local stack runs. "
            "Set it, or start one with `retrace up`."
        )
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError("RETRACE_DATABASE_URL is not a database URL") from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigurationError("RETRACE_DATABASE_URL must begin with postgresql://")
    return create_engine(
        parsed.set(drivername="postgresql+psycopg2"),
        pool_pre_ping=not reads,
        isolation_level="AUTOCOMMIT" if reads else None,
        pool_size=pool,
        max_overflow=pool,
        pool_timeout=5,
        connect_args={
            "application_name": f"retrace-{application}",
            "connect_timeout": 3,
            "tcp_user_timeout": 10_000,
            "options": f"-c statement_timeout={statement_seconds}s -c timezone=UTC "
            f"-c idle_in_transaction_session_timeout={statement_seconds}s"
            f"{PLANNED_ONCE if reads else ''}",
        },
    )


def is_away(error: BaseException) -> bool:
    """Whether waiting may help: the database is unreachable, restarting or overloaded."""
    waits = OperationalError | InterfaceError | InternalError | PoolTimeout | Unreachable
    if isinstance(error, waits):
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated


def is_emptied(error: BaseException) -> bool:
    """Whether the tables are gone or old: the database was made anew under a running service."""
    return isinstance(error, ProgrammingError) and getattr(error.orig, "pgcode", None) in UNDEFINED


def is_refused(error: BaseException) -> bool:
    """Whether this user may not do what was asked."""
    code = getattr(getattr(error, "orig", None), "pgcode", None)
    return isinstance(error, ProgrammingError) and code == NOT_PERMITTED


def rows(connection: Connection, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What an autocommitted read finds, without the description of its columns that SQLAlchemy
    makes anew each time. Raises SQLAlchemy's errors."""
    try:
        cursor = connection.connection.cursor()
        cursor.execute(statement, values)
        return list(cursor.fetchall())
    except psycopg2.Error:  # only SQLAlchemy itself gives up what the pool has of a lost server
        return [tuple(row) for row in connection.exec_driver_sql(statement, tuple(values))]


def copy(connection: Connection, table: str, columns: Sequence[str], rows: bytes) -> None:
    """Add rows in COPY's binary format, several times as fast as INSERT.

    Raises SQLAlchemy's errors, as a statement of its own would.
    """
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT binary)"
    driver = connection.connection
    try:
        driver.cursor().copy_expert(statement, io.BytesIO(rows))
    except psycopg2.Error as error:
        lost = connection.dialect.is_disconnect(error, driver.driver_connection, None)
        if lost:
            connection.invalidate(error)
        raise DBAPIError.instance(
            statement, None, error, psycopg2.Error,
            connection_invalidated=lost, dialect=connection.dialect,
        ) from error  # fmt: skip


def migrate(engine: Engine) -> None:
    """Bring the tables to this version; whoever comes second waits and finds it done. Those of a
    later version stay as they are: it only adds, and an old service runs beside it."""
    config = _config()
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.commit()
        try:
            config.attributes["connection"] = connection
            revision = _revision(connection)
            if revision != head() and not is_later(revision):
                _upgrade(connection, config, revision)
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
            connection.commit()


def _revision(connection: Connection) -> str | None:
    try:
        return MigrationContext.configure(connection).get_current_revision()
    except ProgrammingError as error:
        raise _not_permitted(error, "hidden from this user") from None


def _upgrade(connection: Connection, config: Config, revision: str | None) -> None:
    try:
        command.upgrade(config, "head")
    except ProgrammingError as error:
        raise _not_permitted(error, f"of revision {revision}, not {head()}") from None


def _not_permitted(error: ProgrammingError, how: str) -> Exception:
    """What waits for an operator, where it is for lack of rights; else the error itself."""
    if not is_refused(error):
        return error
    return Unreachable(
        f"The store's tables are {how}, and this user may not change them. Let their owner run "
        "`retrace prepare`, and what `retrace roles` prints."
    )


def is_later(revision: str | None) -> bool:
    """Whether tables of this revision were made by a later version than this one."""
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    return revision is not None and revision not in known


def head() -> str | None:
    """The newest migration's revision."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
