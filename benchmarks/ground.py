"""Where ingest is measured: its own Kafka and PostgreSQL, and for each run a part of them alone.

Servers that the environment names are used as they are; the others are started in a temporary
folder. Every run has a topic prefix, a database and a folder of its own, all gone afterwards.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import NullPool

from benchmarks.child import MeasurementFailed, Tell
from ops.embedded_kafka import EmbeddedKafka
from ops.embedded_postgres import EmbeddedPostgres
from ops.kafka_jars import kafka_libraries
from ops.machine import free_port
from ops.supervisor import Supervisor
from schemas.settings import Settings
from streams import declare, kafka

START_SECONDS = 90.0
DELETE_SECONDS = 30


@dataclass(frozen=True)
class Servers:
    """Kafka and PostgreSQL by their settings; the pids of those that were started here."""

    settings: Settings
    folder: Path
    pids: dict[str, int] = field(default_factory=dict)

    @property
    def kinds(self) -> dict[str, str]:
        return {n: "own" if n in self.pids else "configured" for n in ("kafka", "postgres")}


@contextmanager
def servers(settings: Settings, tell: Tell) -> Iterator[Servers]:
    """Both servers, running."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="retrace-bench-")))
        children = stack.enter_context(Supervisor())
        found, pids = dict[str, object](), dict[str, int]()
        if not settings.database_url.get_secret_value():
            postgres = EmbeddedPostgres(folder / "postgres", free_port())
            postgres.prepare()
            pids["postgres"] = children.start(postgres.process())
            _await(postgres.ready, "PostgreSQL")
            found["database_url"] = SecretStr(postgres.url)
        if not settings.kafka_bootstrap:
            broker = EmbeddedKafka(folder / "kafka", free_port(), libraries=kafka_libraries(tell))
            broker.prepare()
            pids["kafka"] = children.start(broker.process())
            _await(broker.ready, "Kafka")
            found["kafka_bootstrap"] = broker.bootstrap
        yield Servers(settings.model_copy(update=found), folder, pids)


@contextmanager
def ground(on: Servers, partitions: int) -> Iterator[Settings]:
    """A run's settings: what it makes on the servers is its own and goes with it."""
    name = f"bench{uuid.uuid4().hex[:10]}"
    folder = on.folder / name
    folder.mkdir()
    given = {"topic_prefix": f"{name}.", "data_dir": folder, "kafka_partitions": partitions}
    with _database(on.settings, name) as url:
        own = on.settings.model_copy(update={**given, "database_url": SecretStr(url)})
        try:
            yield own
        finally:
            _clear(own)


@contextmanager
def _database(settings: Settings, name: str) -> Iterator[str]:
    url = settings.database_url.get_secret_value()
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg2"),
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield make_url(url).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        settle(engine)


def settle(engine: Engine) -> None:
    """Write out what the store holds back, so that the next run does not pay for this one."""
    try:
        with engine.connect() as connection:
            connection.execute(text("CHECKPOINT"))
    except ProgrammingError:
        return  # a configured server may not permit it


def _clear(settings: Settings) -> None:
    """Delete the run's topics, and with them its groups: one without members and offsets ends."""
    edge = kafka.admin(settings)
    names = [n for n in declare.partitions(edge) if n.startswith(settings.topic_prefix)]
    if names:
        for gone in edge.delete_topics(names, operation_timeout=DELETE_SECONDS).values():
            gone.result()


def _await(ready: Callable[[], bool], name: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            raise MeasurementFailed(f"{name} did not start in {START_SECONDS:.0f} s")
        time.sleep(0.1)
