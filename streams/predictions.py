"""Keeps predictions: the topic ``prediction`` to the store, the first of each request and arm.

In a thread of its own inside the Faust app. Idempotent, so where it stands may be the group's.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from confluent_kafka import KafkaException
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DataError, ProgrammingError

from schemas import codec, tables, topics
from schemas.codec import Bad, Raw
from schemas.events import Prediction
from schemas.settings import Settings
from streams import database, kafka, metrics
from streams.burial import Burial
from streams.consumption import Consumption
from streams.known import Known
from streams.patience import Patience, Stopped, first_line

log = structlog.get_logger("retrace")
GROUP = "retrace-predictions"
BATCH = 1000


class Keeper:
    """The loop. ``run`` returns when ``patience.stop`` is set."""

    def __init__(self, settings: Settings, engine: Engine, patience: Patience) -> None:
        self.settings, self.engine, self.patience = settings, engine, patience
        self.publisher, self._known = kafka.Publisher(settings), Known()
        self._bury = Burial(settings, self.publisher, patience)
        self.consumption = patience.health.watch(Consumption(settings, topics.PREDICTION, GROUP))

    def run(self) -> None:
        """Keep until asked to stop; whatever is away is waited for."""
        consumer = kafka.consumer(self.settings, GROUP)
        mine = self.consumption
        consumer.subscribe([mine.topic], on_assign=mine.assigned, on_revoke=mine.revoked)
        try:
            while not self.patience.stop.is_set():
                messages = mine.take(consumer, BATCH, 0.2)
                if not messages:
                    continue
                began = time.monotonic()
                self.keep([kafka.raw(message) for message in messages])
                mine.handled(len(messages), time.monotonic() - began)
                try:
                    consumer.commit(asynchronous=True)
                except KafkaException as error:
                    log.debug("not committed", because=first_line(error))
        except Stopped:
            log.info("stopped while waiting")
        finally:
            consumer.close()
            self.publisher.flush()

    def keep(self, raws: Sequence[Raw]) -> None:
        """Keep a batch; what is no prediction, or is refused by PostgreSQL, is a dead letter."""
        now, limit = datetime.now(UTC), topics.PREDICTION.max_bytes
        found = [(raw, codec.decode(Prediction, limit, raw, now)) for raw in raws]
        self._bury([one for _, one in found if isinstance(one, Bad)])
        self._keep([(raw, one) for raw, one in found if isinstance(one, Prediction)])

    def _keep(self, batch: Sequence[tuple[Raw, Prediction]]) -> None:
        """One that PostgreSQL refuses fails alone."""
        if not batch:
            return
        try:
            rows = [_row(prediction) for _, prediction in batch]
            self.patience.call("store", _is_away, self._insert, rows)
            metrics.PREDICTIONS.inc(len(rows))
        except DataError as error:
            if len(batch) == 1:
                reason = f"the store refused it: {type(error.orig).__name__}"
                self._bury([Bad(batch[0][0], "keep", "refused", reason)])
                return
            middle = len(batch) // 2
            self._keep(batch[:middle])
            self._keep(batch[middle:])

    def _insert(self, rows: Sequence[dict[str, Any]]) -> None:
        """What is predicted of a forgotten learner is not kept."""
        statement = insert(tables.predictions).on_conflict_do_nothing()
        with self.engine.begin() as connection:
            forgotten = self._known.keeping(connection)
            kept = [row for row in rows if row["user_id"] not in forgotten]
            if kept:
                connection.execute(statement, kept)


def _is_away(error: BaseException) -> bool:
    """An emptied store, too, is waited for: recording makes its tables again."""
    emptied = isinstance(error, ProgrammingError) and database.is_emptied(error)
    return emptied or database.is_away(error)


def _row(prediction: Prediction) -> dict[str, Any]:
    same = (
        "request_id", "arm", "task_id", "user_id", "p_correct", "expected_seconds", "seconds_low",
        "seconds_high", "source", "predicted_at",
    )  # fmt: skip
    found = {name: getattr(prediction, name) for name in same}
    return found | {"version": prediction.model_version or 0}
