"""What inference reads of the store. While it is away nobody waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

import structlog
from confluent_kafka import KafkaException
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from schemas import topics
from schemas.errors import Unreachable
from schemas.history import History
from schemas.settings import Settings
from streams import database, declare, history, kafka
from streams.forgotten import Forgotten
from streams.health import Health
from streams.known import Known
from streams.patience import first_line
from streams.store import Store
from training.sequences import MAX_STEPS

P = ParamSpec("P")
R = TypeVar("R")
log = structlog.get_logger("retrace")
PAUSE_SECONDS = 1.0
TOPIC_SECONDS = 30.0
MOST_ACTIVE = 1000


class Reads:
    """Every read gives None while the store is away; it is then left alone for a second."""

    def __init__(self, settings: Settings, health: Health) -> None:
        self.settings, self.health = settings, health
        url = settings.database_url.get_secret_value()
        self.engine = database.connect(url, "inference", reads=True)
        self.store, self.edge = Store(self.engine), kafka.admin(settings)
        self._again_at = self._topic_again_at = 0.0
        self._topic_id = ""
        self._connection: Connection | None = None
        self._known = Known()
        self._seen = history.LAST

    def newer(self, after: Mapping[str, int], most: int = MAX_STEPS) -> tuple[int, History] | None:
        """The generation, and the newest completions of each learner numbered after the one given,
        up to ``most``."""
        found = self._read(self._newer, after, most)
        if found is None:
            return None
        generation, version, rows = found
        if version != self._known.version:
            self._read(self._known.now, self.engine)
        return generation, rows

    def active(self) -> list[str]:
        """Who has completed something since the last call, the newest of them; nobody at first."""
        found = self._read(self._active)
        if found is None:
            return []
        self._seen, users = found
        return users

    def _active(self) -> tuple[int, list[str]]:
        return history.active(self._kept(), self._seen, MOST_ACTIVE)

    def _newer(self, after: Mapping[str, int], most: int) -> tuple[int, int, History]:
        return history.newer(self._kept(), after, most)

    def _kept(self) -> Connection:
        """One connection is kept: to take it from the pool is a quarter of a read."""
        if self._connection is None or self._connection.invalidated:
            self._connection = self.engine.connect()
        return self._connection

    def forgotten(self) -> Forgotten:
        """Who is forgotten, as of the last ``newer``."""
        return self._known.list

    def positions(self) -> dict[int, int] | None:
        """Where recording stands: partition to the next offset."""
        return self._read(self.store.positions, self._topic())

    def _topic(self) -> str:
        if time.monotonic() >= self._topic_again_at:
            self._topic_again_at = time.monotonic() + TOPIC_SECONDS
            name = self.settings.topic_prefix + topics.TASK_COMPLETED.name
            try:
                self._topic_id = declare.topic_id(self.edge, name)
            except (KafkaException, Unreachable) as error:
                log.debug("topic not looked at", because=first_line(error))
        return self._topic_id

    def _read(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
        if time.monotonic() < self._again_at:
            return None
        try:
            found = self._twice(work, *args, **kwargs)
        except Exception as error:
            if not database.is_away(error) and not database.is_emptied(error):
                raise
            self._again_at = time.monotonic() + PAUSE_SECONDS
            if self.health.set("store", False, first_line(error)):
                log.warning("answering without the store", because=first_line(error))
            return None
        if self.health.set("store", True):
            log.info("reached", dependency="store")
        return found

    @staticmethod
    def _twice(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Once more where a connection was lost: PostgreSQL may have been restarted meanwhile."""
        try:
            return work(*args, **kwargs)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        return work(*args, **kwargs)
