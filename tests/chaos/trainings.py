"""What is done to trainings, one after the other, each at a stage that is waited for.

A stage between two steps of the trainer that no message tells of is held open from outside, by a
lock of the store that its next step needs: nothing in the product knows of it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import KafkaException
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from gateway import requests
from schemas.errors import RetraceError
from schemas.events import ModelUpdated, TrainingProgress
from schemas.settings import Settings
from tests.chaos.hearing import Hearing, readiness
from tests.chaos.journal import Journal
from tests.chaos.stage import Child
from tests.chaos.threefold import Threefold, Troupe
from training.versions import REGISTRY_LOCK

PATIENCE, TRIES = 60.0, 3
KILLED_AT = (
    "started", "first epoch", "last epoch", "fitted", "files written", "registered", "announced",
)  # fmt: skip
FULL = "model store full"
KINDS = (
    *(f"trainer killed: {stage}" for stage in KILLED_AT),
    "two trainers at once", FULL, "artifact truncated", "rolled back",
)  # fmt: skip
_WAITS = text(
    "SELECT client_port FROM pg_stat_activity WHERE application_name = 'retrace-trainer' "
    "AND wait_event_type = 'Lock' AND query LIKE :query"
)
Event = ModelUpdated | TrainingProgress


class Missed(Exception):
    """The stage was not reached, or went by."""


class Trainings(threading.Thread):
    """Hurts trainings. ``soon`` lets the main thread do something, which starting a child needs;
    after ``until`` on the monotonic clock nothing more is begun."""

    def __init__(
        self, stage: Threefold, settings: Settings, troupe: Troupe, engine: Engine,
        hearing: Hearing, journal: Journal, soon: Callable[[Callable[[], None]], None], seed: int,
    ) -> None:  # fmt: skip
        super().__init__(name="trainings", daemon=True)
        self.stage, self.settings, self.troupe, self.engine = stage, settings, troupe, engine
        self.hearing, self.journal, self.soon = hearing, journal, soon
        self.plan = random.Random(f"{seed}/trainings").sample(KINDS, len(KINDS))
        self.until = float("inf")
        self.skipped: list[str] = []
        self.broken: list[tuple[int, datetime, datetime]] = []
        self._kinds: dict[str, Callable[[], dict[str, Any]]] = {
            "two trainers at once": self._two_at_once,
            FULL: self._fill_store,
            "artifact truncated": self._truncate,
            "rolled back": self._roll_back,
        }
        for at in ("started", "first epoch", "last epoch"):
            self._kinds[f"trainer killed: {at}"] = lambda at=at: self._kill_at(at)  # type: ignore[misc]
        self._kinds["trainer killed: announced"] = self._kill_announced
        self._kinds["trainer killed: fitted"] = self._kill_fitted
        self._kinds["trainer killed: files written"] = self._kill_written
        self._kinds["trainer killed: registered"] = self._kill_registered

    def run(self) -> None:
        """All of the plan; what is missed comes again after the others."""
        left = self.plan
        for last in (*(False for _ in range(TRIES - 1)), True):
            left = [kind for kind in left if not self._does(kind, last)]

    def _does(self, kind: str, last: bool) -> bool:
        because = "no time is left for it"
        if time.monotonic() < self.until:
            try:
                self._await(lambda: len(self._up()) == 2, "both trainers up")
                began = time.monotonic()
                self.journal.fault(kind, began, **self._kinds[kind]())
                return True
            except (Missed, SQLAlchemyError, KafkaException, RetraceError, OSError) as error:
                because = " ".join(str(error).split())[:200]
        self.journal.note("skipped" if last else "missed", kind=kind, because=because)
        if last:
            self.skipped.append(kind)
        return False

    def _kill_at(self, at: str) -> dict[str, Any]:
        """On the message that tells of the stage."""
        event = self._hear(lambda event: _is(event, at), at)
        return self._kill(self._training()) | {"request": event.request_id}

    def _kill_announced(self) -> dict[str, Any]:
        """Whoever was last seen training it: right after, it may have begun with the next."""
        since = len(self.hearing.heard)
        self._hear(lambda event: _is(event, "last epoch"), "last epoch", since)
        child = self._training()
        event = self._hear(lambda event: _is(event, "announced"), "announced", since)
        return self._kill(child) | {"request": event.request_id}

    def _kill_fitted(self) -> dict[str, Any]:
        """Before anything is written: it waits for the registry."""
        with self._held(_lock_registry):
            return self._kill(self._waiting("SELECT pg_advisory_xact_lock%"))

    def _kill_written(self) -> dict[str, Any]:
        """The files are there, and the transaction that tells of them is open."""
        with self._held(_lock_revisions):
            return self._kill(self._waiting("INSERT INTO revisions%"))

    def _kill_registered(self) -> dict[str, Any]:
        """The version is in the registry, and nobody has been told."""
        with self._after_commit(lambda _: None):
            return self._kill(self._waiting("SELECT pg_advisory_xact_lock%"))

    @contextmanager
    def _after_commit(self, meanwhile: Callable[[Path], None]) -> Iterator[None]:
        """Queue for the registry behind a publication, which has to wait for it right after."""
        with self.engine.connect() as behind, behind.begin():
            with self._held(_lock_revisions):
                self._waiting("INSERT INTO revisions%")
                meanwhile(self._newest_files())
                queued = threading.Thread(target=_lock_registry, args=(behind,))
                queued.start()
                self._await(lambda: self._queued(behind), "the queue for the registry")
            queued.join(PATIENCE)
            yield

    def _two_at_once(self) -> dict[str, Any]:
        """One is frozen while it trains; the other takes its partition over, and trains what is
        newest there; both go on."""
        since = len(self.hearing.heard)
        wanted = requests.request(self.settings, datetime.now(UTC), self.engine)
        requests.publish(self.settings, wanted)
        name = wanted.request_id
        self._hear(lambda e: _of(e, name) and _is(e, "started"), f"{name} started", since)
        first = self._training()
        first.freeze()
        try:
            others = [child for child in self.troupe.trainers if child is not first]
            self._await(lambda: bool(readiness(others[0]).get("training")), "taken over")
            other = readiness(others[0]).get("training")
        finally:
            first.thaw()
        ended = self._hear(lambda e: _of(e, name) and _is(e, "ended"), f"{name} ended", since)
        return {"request": name, "ended": getattr(ended, "state", ""), "other": other}

    def _fill_store(self) -> dict[str, Any]:
        """Not a byte is left until a training has failed of it."""
        folder = self.stage.small_store
        assert folder is not None
        filler, since = folder / ".filler", len(self.hearing.heard)
        try:
            _fill(filler)
            event = self._hear(_is_unwritten, "a failure", since)
        finally:
            filler.unlink(missing_ok=True)
        return {"reason": str(getattr(event, "reason", ""))[-40:]}

    def _truncate(self) -> dict[str, Any]:
        """A version's largest file loses its half before anyone reads it, and gets it back."""
        since, cut = len(self.hearing.heard), list[tuple[Path, bytes, datetime]]()

        def halve(folder: Path) -> None:
            largest = max(folder.iterdir(), key=lambda file: file.stat().st_size)
            cut.append((largest, largest.read_bytes(), datetime.now(UTC)))
            largest.write_bytes(cut[0][1][: len(cut[0][1]) // 2])

        try:
            with self._after_commit(halve):
                pass
            name = cut[0][0].parent.name
            event = self._hear(lambda e: getattr(e, "artifact", "") == name, f"{name} told", since)
            assert isinstance(event, ModelUpdated)
            with self._held(_lock_registry):
                self._await(lambda: self._refused(event.version), "inference's refusal")
        finally:
            for path, content, at in cut:
                path.write_bytes(content)
                version = int(path.parent.name.lstrip("v"))
                self.broken.append((version, at, datetime.now(UTC)))
        return {"version": event.version, "file": cut[0][0].name}

    def _refused(self, version: int) -> bool:
        """Whether every running inference says why it does not serve this version."""
        said = [readiness(child) for child in self.troupe.inferences]
        words = f"version {version} cannot be loaded"
        problems = [str(one.get("model_problem")) for one in said if one]
        return bool(problems) and all(words in problem for problem in problems)

    def _roll_back(self) -> dict[str, Any]:
        """An operator goes back a version, and lets go after some trainings."""
        from gateway.models import Models

        models = Models(self.settings)
        self._await(
            lambda: len({u.event.version for u in self.hearing.updates}) > 1, "two versions"
        )
        revisions, since = models.changing(), len(self.hearing.heard)
        held = revisions.rollback()
        models.announce(held)
        try:
            self._hear(lambda e: _is(e, "published"), "a training meanwhile", since)
        finally:
            released = revisions.release()
            models.announce(released)
        return {"version": held.version, "revisions": (held.revision, released.revision)}

    def _kill(self, child: Child) -> dict[str, Any]:
        training = readiness(child).get("training")
        child.kill()
        self.soon(child.start)
        return {"trainer": child.name, "training": training}

    def _training(self) -> Child:
        """The trainer that trains."""
        for child in self._up():
            if readiness(child).get("training"):
                return child
        raise Missed("none trains any more")

    def _up(self) -> list[Child]:
        return [child for child in self.troupe.trainers if readiness(child).get("ready")]

    def _waiting(self, query: str) -> Child:
        """The trainer whose training waits for a lock in such a query, once one does."""
        found: list[Child] = []

        def looked() -> bool:
            found[:] = [c for c in self._blocked(query) if readiness(c).get("training")]
            return bool(found)

        self._await(looked, f"a training in {query!r}")
        return found[0]

    def _blocked(self, query: str) -> list[Child]:
        with self.engine.connect() as connection:
            ports = set(connection.execute(_WAITS, {"query": query}).scalars())
        return [child for child in self.troupe.trainers if ports & _ports(child)]

    def _queued(self, connection: Connection) -> bool:
        """Whether this connection of ours waits for a lock."""
        pid = connection.connection.dbapi_connection.get_backend_pid()  # type: ignore[union-attr]
        query = text("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = :pid")
        with self.engine.connect() as other:
            return bool(other.execute(query, {"pid": pid}).scalar())

    @contextmanager
    def _held(self, lock: Callable[[Connection], None]) -> Iterator[None]:
        with self.engine.connect() as connection, connection.begin():
            lock(connection)
            yield

    def _newest_files(self) -> Path:
        return max(path for path in Path(self.settings.model_store_url()).glob("v*"))

    def _hear(self, wanted: Callable[[Event], bool], what: str, since: int | None = None) -> Event:
        start = len(self.hearing.heard) if since is None else since
        event = self.hearing.next(wanted, PATIENCE, start)
        if event is None:
            raise Missed(f"{what} did not come in {PATIENCE:.0f} s")
        return event

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise Missed(f"{what}: not in {PATIENCE:.0f} s")
            time.sleep(0.02)


def _lock_registry(connection: Connection) -> None:
    connection.execute(text(f"SELECT pg_advisory_xact_lock({REGISTRY_LOCK})"))


def _lock_revisions(connection: Connection) -> None:
    connection.execute(text("LOCK TABLE revisions IN EXCLUSIVE MODE"))


def _is(event: Event, what: str) -> bool:
    """Whether an event tells of this stage."""
    if isinstance(event, ModelUpdated):
        return what == "announced"
    if event.state == "epoch":
        return what == {1: "first epoch", event.epochs: "last epoch"}.get(event.epoch or 0)
    return event.state == what or (what == "ended" and event.state != "started")


def _is_unwritten(event: Event) -> bool:
    return _is(event, "failed") and "could not be written" in str(getattr(event, "reason", ""))


def _of(event: Event, name: str) -> bool:
    return isinstance(event, TrainingProgress) and event.request_id == name


def _fill(path: Path) -> None:
    """Write until the file system takes no more."""
    block = b"x" * 65_536
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(block):
                pass
        except OSError:
            return


def _ports(child: Child) -> set[int]:
    """The ports from which a process is connected."""
    if child.popen is None or not child.runs():
        return set()
    try:
        return {each.laddr.port for each in psutil.Process(child.popen.pid).net_connections("tcp")}
    except psutil.Error:
        return set()
