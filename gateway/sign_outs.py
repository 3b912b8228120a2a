"""Sign-outs of all gateways, by way of the store: what is over in one is soon over in all.

While the store is away a sign-out holds in the gateway that was asked; the others hear of it after.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import structlog
from sqlalchemy import Engine, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from gateway.sessions import Sessions
from schemas.tables import signed_out
from streams import database
from streams.patience import first_line

log = structlog.get_logger("retrace")
LOOK_SECONDS = 2.0


class SignOuts:
    """Tells what ended here, and learns what ended elsewhere, until ``stop`` is set."""

    def __init__(self, engine: Engine, sessions: Sessions, stop: threading.Event) -> None:
        self.engine, self.sessions, self.stop = engine, sessions, stop
        self._is_refused = False

    def run(self) -> None:
        """The loop, for a thread of its own; a sign-out here is told at once."""
        while not self.stop.is_set():
            try:
                self.exchange()
                self._is_refused = False
            except SQLAlchemyError as error:
                self._note(error)
            self.sessions.await_end(LOOK_SECONDS)

    def exchange(self) -> None:
        """Once. Raises SQLAlchemy's errors."""
        query = select(signed_out.c.session, signed_out.c.until)
        with self.engine.connect() as connection:
            stored = {row.session: int(row.until.timestamp()) for row in connection.execute(query)}
        self.sessions.learn(stored)
        self._tell({n: until for n, until in self.sessions.ended().items() if n not in stored})

    def _note(self, error: SQLAlchemyError) -> None:
        """Waiting mends a store that is away, or whose tables are made; not a right that lacks."""
        log.debug("sign-outs not exchanged", because=first_line(error))
        if database.is_refused(error) and not self._is_refused:
            log.warning("sign-outs hold in this gateway only", because=first_line(error))
            self._is_refused = True

    def _tell(self, ended: dict[str, int]) -> None:
        if not ended:
            return
        rows = [
            {"session": name, "until": datetime.fromtimestamp(until, UTC)}
            for name, until in ended.items()
        ]
        with self.engine.begin() as connection:
            connection.execute(insert(signed_out).on_conflict_do_nothing(), rows)
            connection.execute(delete(signed_out).where(signed_out.c.until < func.now()))
