"""Fixtures of all tests: one Kafka and one PostgreSQL per session, an empty database per test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.servers import fresh_database, kafka_server, postgres_server


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


# How long an example takes says more about the machine than about the code.
settings.register_profile("retrace", deadline=None)
settings.load_profile("retrace")
