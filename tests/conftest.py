"""Fixtures of all tests: one Kafka and one PostgreSQL per session, an empty database per test."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from hypothesis import settings as hypothesis_settings
from sqlalchemy import Engine

from schemas.settings import Settings
from streams import database
from streams.store import Store
from tests.running import opened
from tests.servers import client_threads, fresh_database, kafka_server, postgres_server


@pytest.fixture(autouse=True)
def _clients_end_with_their_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """A client that is garbage lives on until it is collected, through tests that know nothing of
    it; and librdkafka ends the process where one of its own threads collects it."""
    before = client_threads()
    yield
    request.node.funcargs.clear()  # which would hold what fixtures made
    if client_threads() > before:
        gc.collect()


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The host:port of a real Kafka; topics stay, so name yours uniquely."""
    with kafka_server() as bootstrap:
        yield bootstrap


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a real PostgreSQL server."""
    with postgres_server() as url:
        yield url


@pytest.fixture
def database_url(postgres: str) -> Iterator[str]:
    """The URL of an empty database of this test's own."""
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Of an empty store, its tables made."""
    made = database.connect(database_url, "tests")
    database.migrate(made)
    yield made
    made.dispose()


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """An empty store by a test's own settings."""
    made = opened(settings)
    made.prepare(5)
    yield made
    made.engine.dispose()


# How long an example takes says more about the machine than about the code.
hypothesis_settings.register_profile("retrace", deadline=None)
hypothesis_settings.load_profile("retrace")
