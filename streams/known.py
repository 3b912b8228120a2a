"""The list of the forgotten, as each process knows it.

``numbering.forgotten`` is another number after each change, so that who reads the counter's row
anyway knows for nothing whether to read the list again. Nobody is ever taken off: what a process
has seen holds, also over a store that went back to a backup.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Engine, select

from schemas.events import LearnerForgotten
from schemas.tables import forgotten
from streams.forgotten import NONE, Forgotten

# Shared by who keeps something of a learner, for a transaction; alone by who changes the list.
LOCK = 7_203_115
# Null where the tables are older: only streams migrates, and others may be started before it.
VERSION = "SELECT (to_jsonb(n) ->> 'forgotten')::bigint FROM numbering n"
# Two statements in one message: the second sees what was committed while the first waited.
_KEEPING = f"SELECT pg_advisory_xact_lock_shared({LOCK}); {VERSION}"


class Known:
    """The list as a process last saw it."""

    def __init__(self) -> None:
        self._seen = (0, NONE)  # replaced as a whole, so that threads need no lock

    @property
    def version(self) -> int:
        return self._seen[0]

    @property
    def list(self) -> Forgotten:
        return self._seen[1]

    def at(self, connection: Connection, version: int) -> Forgotten:
        """The list of this version."""
        seen, found = self._seen
        if version != seen:
            found = found.and_of(Forgotten.of(entries(connection)))
            self._seen = (version, found)
        return found

    def keeping(self, connection: Connection) -> Forgotten:
        """The list, which does not change before this transaction ends."""
        return self._read(connection, _KEEPING)

    def now(self, engine: Engine) -> Forgotten:
        """The list as it is."""
        with engine.connect() as connection:
            return self._read(connection, VERSION)

    def _read(self, connection: Connection, query: str) -> Forgotten:
        return self.at(connection, connection.exec_driver_sql(query).scalar() or 0)


def entries(connection: Connection, open_before: datetime | None = None) -> list[LearnerForgotten]:
    """The list; with ``open_before`` those of before it whose rows may not all be erased."""
    query = select(forgotten.c.learner, forgotten.c.salt, forgotten.c.forgotten_at)
    if open_before is not None:
        is_open = forgotten.c.erased_at.is_(None)
        query = query.where(is_open, forgotten.c.forgotten_at <= open_before)
    rows = connection.execute(query.order_by(forgotten.c.forgotten_at)).all()
    return [LearnerForgotten.model_validate(row._asdict()) for row in rows]
