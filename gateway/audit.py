"""What was done from the pages: who, when, what, and what came of it, kept in the store.

A line is written before anything is done, and its outcome afterwards: what has no line has not been
done, and a process that died in between leaves "started". The newest lines stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, insert, select, update

from schemas.tables import audit

MOST_LINES = 10_000
MOST_DETAIL = 500
STARTED, DONE, FAILED = "started", "done", "failed"


@dataclass(frozen=True)
class Actor:
    """Who acts: the fingerprint of the key that was signed in with, and the client's address."""

    who: str
    address: str


class Audit:
    """Verbs over the lines. Every method is one short transaction."""

    def __init__(self, engine: Engine, most: int = MOST_LINES) -> None:
        self.engine, self.most = engine, most

    def begin(self, actor: Actor, action: str, subject: str) -> int:
        """Note that something begins, and forget the oldest lines; the line's number."""
        row = {
            "who": actor.who[:128], "address": actor.address[:64], "action": action,
            "subject": subject[:256], "outcome": STARTED,
        }  # fmt: skip
        with self.engine.begin() as connection:
            line = connection.execute(insert(audit).values(row).returning(audit.c.id)).scalar_one()
            self._forget(connection)
        return int(line)

    def end(self, line: int, outcome: str, detail: str) -> None:
        """Note what came of it."""
        ended = update(audit).where(audit.c.id == line)
        with self.engine.begin() as connection:
            connection.execute(ended.values(outcome=outcome, detail=detail[:MOST_DETAIL]))

    def newest(self, most: int) -> list[Row[Any]]:
        """So many lines, newest first."""
        query = select(audit).order_by(audit.c.id.desc()).limit(most)
        with self.engine.connect() as connection:
            return [*connection.execute(query)]

    def _forget(self, connection: Connection) -> None:
        oldest = select(audit.c.id).order_by(audit.c.id.desc()).offset(self.most).limit(1)
        connection.execute(delete(audit).where(audit.c.id <= oldest.scalar_subquery()))
