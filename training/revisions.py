"""Which version serves: revisions, the highest of which is obeyed, and an operator's hold on one.

Whoever promotes a version or rolls back to one holds it: later versions are published, but do not
serve until it is released.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, select
from sqlalchemy.dialects.postgresql import insert as upsert

from schemas.errors import RetraceError
from schemas.events import ModelUpdated
from schemas.tables import revisions
from training import artifacts, versions

HOLDING = ("promote", "rollback")


@dataclass(frozen=True)
class Revision:
    """``cause``: publish, promote, rollback, release or rebuild."""

    revision: int
    version: int
    cause: str
    at: datetime

    @property
    def holds(self) -> bool:
        """Whether later versions wait until it is released."""
        return self.cause in HOLDING


class Revisions:
    """Verbs over the revisions; none up to ``highest_seen``, and no version up to ``version_seen``,
    is given out again, though the registry went back."""

    def __init__(self, engine: Engine, root_url: str) -> None:
        self.engine, self.root_url = engine, root_url
        self.highest_seen = self.version_seen = 0

    def current(self) -> Revision | None:
        """The one that is obeyed; None before the first."""
        with self.engine.connect() as connection:
            return _current(connection)

    def serving(self) -> ModelUpdated | None:
        """What serves now, as it is announced; None before the first version."""
        with self.engine.connect() as connection:
            return _announced(connection)

    def history(self, most: int, version: int | None = None) -> list[Revision]:
        """The newest revisions, of one version or of all, newest first."""
        query = _NEWEST_FIRST.limit(most)
        if version is not None:
            query = query.where(revisions.c.version == version)
        with self.engine.connect() as connection:
            return [_revision(row) for row in connection.execute(query)]

    def add(self, connection: Connection, version: int, cause: str) -> None:
        """Make a version serve, inside a transaction that has the registry's lock."""
        row = {"revision": self.next(connection), "version": version, "cause": cause}
        connection.execute(upsert(revisions).values(row))

    def next(self, connection: Connection) -> int:
        """The revision that is given out next."""
        return 1 + max(versions.highest(connection, revisions.c.revision), self.highest_seen)

    def held(self, connection: Connection) -> str | None:
        """Why a new version will wait; None where it may serve."""
        current = _current(connection)
        if current is None or not current.holds:
            return None
        return f"version {current.version} is held; `retrace models release` lets go"

    def promote(self, version: int) -> ModelUpdated:
        """Make any kept version serve, and hold it.

        Raises RetraceError where there is no such version, ArtifactError where it is damaged.
        """
        return self._hold(version, "promote")

    def rollback(self) -> ModelUpdated:
        """Make the version serve that served before this one, and hold it.

        Raises RetraceError where there is none that is kept.
        """
        return self._hold(self.before(), "rollback")

    def before(self) -> int:
        """The version that a rollback leads to. Raises RetraceError where none is kept."""
        with self.engine.connect() as connection:
            current = _current(connection)
            below = versions.served_below(0 if current is None else current.version)
            before = connection.execute(below).scalar()
        if before is None:
            raise RetraceError(
                "No earlier version is kept that has served. See `retrace models list`."
            )
        return int(before)

    def release(self) -> ModelUpdated:
        """Let go: the newest published version serves, and later ones will.

        Raises RetraceError where nothing is held.
        """
        with self.engine.begin() as connection:
            versions.lock(connection)
            self.add(connection, _released(connection), "release")
            return _require(_announced(connection))

    def released(self) -> int:
        """The version that a release leads to. Raises RetraceError where nothing is held."""
        with self.engine.connect() as connection:
            return _released(connection)

    def require(self, version: int) -> Row[Any]:
        """What is known of a version that can be promoted. Raises RetraceError."""
        with self.engine.connect() as connection:
            return _kept(connection, version)

    def _hold(self, version: int, cause: str) -> ModelUpdated:
        with self.engine.begin() as connection:
            versions.lock(connection)
            row = _kept(connection, version)
            artifacts.read(self.root_url, row.artifact, row.sha256)
            self.add(connection, version, cause)
            return _require(_announced(connection))

    def take_in(self, connection: Connection) -> None:
        """Know the versions that came after a backup to which the registry went back, inside a
        transaction that has its lock."""
        if versions.is_behind(connection, self.root_url):
            given = versions.take_in(connection, self.root_url)
            self.highest_seen = max(self.highest_seen, given)

    def reconcile(self, seen: ModelUpdated | None) -> ModelUpdated | None:
        """Make registry, model store and topic agree; what has to be announced, if anything.

        ``seen`` is the newest announcement on the topic. A registry that was emptied, or went back
        to a backup, takes in what the model store holds; revisions go on above the highest seen;
        an emptied topic hears again. A version that served though newer ones could have had been
        held, and is again.
        """
        if seen is not None:
            self.highest_seen = max(self.highest_seen, seen.revision)
            self.version_seen = max(self.version_seen, seen.version)
        with self.engine.begin() as connection:
            versions.lock(connection)
            self.take_in(connection)
            newest = versions.newest(connection)
            went_back = versions.highest(connection, revisions.c.revision) < self.highest_seen
            if newest and (went_back or _current(connection) is None):
                self._go_on(connection, newest, seen)
        serving = self.serving()
        if serving is None or (seen is not None and serving.revision == seen.revision):
            return None
        return serving

    def _go_on(self, connection: Connection, newest: int, seen: ModelUpdated | None) -> None:
        """Let serve again what did, or the newest, where it was its turn."""
        served = seen.version if seen and versions.is_there(connection, seen.version) else 0
        unheard = seen is not None and versions.given_out(self.root_url, newest) > seen.revision
        if served in (0, newest) or unheard:
            self.add(connection, newest, "rebuild")
        else:
            self.add(connection, served, "rollback")


_NEWEST_FIRST = select(revisions).order_by(revisions.c.revision.desc())


def _current(connection: Connection) -> Revision | None:
    row = connection.execute(_NEWEST_FIRST.limit(1)).one_or_none()
    return None if row is None else _revision(row)


def _kept(connection: Connection, version: int) -> Row[Any]:
    row = versions.found(connection, version)
    if row is None or row.removed_at is not None:
        gone = "was never written" if row is None else "has been removed"
        raise RetraceError(f"Version {version} {gone}. See `retrace models list`.")
    return row


def _released(connection: Connection) -> int:
    current = _current(connection)
    if current is None or not current.holds:
        raise RetraceError("Nothing is held: the newest version serves already.")
    return versions.newest(connection) or current.version


def _revision(row: Row[Any]) -> Revision:
    return Revision(row.revision, row.version, row.cause, row.created_at)


def _announced(connection: Connection) -> ModelUpdated | None:
    current = _current(connection)
    row = None if current is None else versions.found(connection, current.version)
    return None if row is None or current is None else versions.announced(row, current.revision)


def _require(updated: ModelUpdated | None) -> ModelUpdated:
    assert updated is not None
    return updated
