"""The registry: train-requests and their outcomes, versions, and which of them serves.

One row per request and per version in the store; ``revisions`` says what serves, the highest is
obeyed. Versions and revisions are given out in one transaction that holds the registry's lock, so
a second trainer can neither reuse a number nor train twice what has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from schemas import events
from schemas.errors import ArtifactError
from schemas.events import ModelUpdated, TrainRequest
from schemas.tables import models, revisions, train_requests
from training import artifacts
from training.requests import ENDED

log = structlog.get_logger("retrace")
MODEL = "retrace"
REGISTRY_LOCK = 7_203_115
ANNOUNCEMENT = "model_updated"


@dataclass(frozen=True)
class Ended:
    """How a request ended."""

    state: events.Outcome
    reason: str | None
    version: int | None


class Registry:
    """Verbs over the registry's tables and the model store below ``root_url``."""

    def __init__(self, engine: Engine, root_url: str) -> None:
        self.engine, self.root_url = engine, root_url
        self.highest_seen = 0

    def note(self, requests: Sequence[TrainRequest]) -> dict[str, Ended]:
        """Remember requests; the outcomes of those that have one already, by id."""
        if not requests:
            return {}
        with self.engine.begin() as connection:
            rows = upsert(train_requests).on_conflict_do_nothing()
            connection.execute(rows, [_row(request) for request in requests])
            return _outcomes(connection, [request.request_id for request in requests])

    def most_published(self) -> int:
        """The most completions that a count request was published for; 0 for none."""
        query = select(func.coalesce(func.max(train_requests.c.completions), 0)).where(
            train_requests.c.trigger == "count", train_requests.c.state == "published"
        )
        with self.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def start(self, request_id: str) -> None:
        """Note that a training runs."""
        with self.engine.begin() as connection:
            _set_state(connection, request_id, "running", None, None)

    def end(self, request_id: str, state: events.Outcome, reason: str) -> Ended:
        """Give a request its outcome; the first one stands, and is returned."""
        with self.engine.begin() as connection:
            _set_state(connection, request_id, state, reason, None)
            ended = _ended(connection, request_id)
        return ended or Ended(state, reason, None)

    def supersede(self, requests: Sequence[TrainRequest], by: str) -> dict[str, Ended]:
        """End count requests in favour of another; every one's outcome, the first stands."""
        ids = [request.request_id for request in requests]
        table = train_requests.c
        change = update(train_requests).where(
            table.request_id == func.any(ids), table.state.not_in(ENDED)
        )
        reason = f"{by} asks for more completions"
        with self.engine.begin() as connection:
            connection.execute(
                change.values(state="superseded", reason=reason, ended_at=func.now())
            )
            return _outcomes(connection, ids)

    def publish(
        self,
        request: TrainRequest,
        files: Mapping[str, bytes],
        metadata: Mapping[str, Any],
        metrics: events.ModelMetrics,
    ) -> ModelUpdated | None:
        """Write a version and make it serve, in one transaction; None where it has ended already.

        Raises ``ArtifactError`` where the model store refuses the files; then nothing changes.
        """
        with self.engine.begin() as connection:
            _lock(connection)
            if _ended(connection, request.request_id) is not None:
                return None
            version = 1 + _highest(connection, models.c.version)
            revision = 1 + max(_highest(connection, revisions.c.revision), self.highest_seen)
            facts = {
                "model": MODEL,
                "version": version,
                "request_id": request.request_id,
                "trained_at": datetime.now(UTC),
                "metrics": metrics,
                **{name: metadata[name] for name in ("users", "topics", "difficulties")},
                "completions": metadata["completions"],
            }
            noted = _jsonable(facts)
            artifact, sha256 = artifacts.write(
                self.root_url, f"v{version:06d}", files, {**metadata, ANNOUNCEMENT: noted}
            )
            _add_version(connection, facts, noted["metrics"], artifact, sha256)
            _add_revision(connection, revision, version, "publish")
            _set_state(connection, request.request_id, "published", None, version)
        return ModelUpdated(revision=revision, artifact=artifact, sha256=sha256, **facts)

    def serving(self) -> ModelUpdated | None:
        """What serves now, as it is announced; None before the first version."""
        query = (
            select(models, revisions.c.revision)
            .join(revisions, revisions.c.version == models.c.version)
            .order_by(revisions.c.revision.desc())
            .limit(1)
        )
        with self.engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _announced(row)

    def reconcile(self, seen: ModelUpdated | None) -> ModelUpdated | None:
        """Make registry, model store and topic agree; what has to be announced, if anything.

        ``seen`` is the newest announcement on the topic. An emptied registry is rebuilt from the
        model store; revisions go on above the highest seen; an emptied topic hears again.
        """
        self.highest_seen = max(self.highest_seen, seen.revision if seen else 0)
        with self.engine.begin() as connection:
            _lock(connection)
            if not _highest(connection, models.c.version):
                self._rebuild(connection)
            highest = _highest(connection, revisions.c.revision)
            newest = _highest(connection, models.c.version)
            if newest and highest < self.highest_seen:
                known = seen is not None and _has_version(connection, seen.version)
                version = seen.version if seen is not None and known else newest
                _add_revision(connection, self.highest_seen + 1, version, "rebuild")
            elif newest and not highest:
                _add_revision(connection, 1, newest, "rebuild")
        serving = self.serving()
        if serving is None or (seen is not None and serving.revision == seen.revision):
            return None
        return serving

    def _rebuild(self, connection: Connection) -> None:
        for name in artifacts.list_versions(self.root_url):
            try:
                sha256, metadata = artifacts.inspect(self.root_url, name)
            except ArtifactError as error:
                log.warning("a version is passed over", version=name, because=str(error))
                continue
            noted = metadata.get(ANNOUNCEMENT)
            if not isinstance(noted, dict):
                continue
            facts = {**noted, "trained_at": datetime.fromisoformat(noted["trained_at"])}
            _add_version(connection, facts, noted["metrics"], name, sha256)

    def prune(self, keep: int, young: timedelta, now: datetime) -> list[int]:
        """Remove old versions' files; never the serving one, its predecessor or a young one."""
        with self.engine.begin() as connection:
            _lock(connection)
            old = _removable(connection, keep, now - young)
            gone = update(models).where(models.c.version.in_([row.version for row in old]))
            connection.execute(gone.values(removed_at=now))
        for row in old:
            artifacts.remove(self.root_url, row.artifact)
        return [row.version for row in old]


def _lock(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": REGISTRY_LOCK})


def _highest(connection: Connection, column: Any) -> int:
    return int(connection.execute(select(func.coalesce(func.max(column), 0))).scalar_one())


def _has_version(connection: Connection, version: int) -> bool:
    found = select(models.c.version).where(
        models.c.version == version, models.c.removed_at.is_(None)
    )
    return connection.execute(found).one_or_none() is not None


def _ended(connection: Connection, request_id: str) -> Ended | None:
    """The outcome of a request: its own, or that of a version which carries its id."""
    columns = (train_requests.c.state, train_requests.c.reason, train_requests.c.version)
    row = connection.execute(
        select(*columns).where(train_requests.c.request_id == request_id).with_for_update()
    ).one_or_none()
    if row is not None and row.state in ENDED:
        return Ended(row.state, row.reason, row.version)
    version = connection.execute(
        select(models.c.version).where(models.c.request_id == request_id)
    ).scalar()
    return None if version is None else Ended("published", None, version)


def _outcomes(connection: Connection, request_ids: Sequence[str]) -> dict[str, Ended]:
    """The outcomes of those requests that have one."""
    table = train_requests.c
    rows = connection.execute(
        select(table.request_id, table.state, table.reason, table.version).where(
            table.request_id == func.any(list(request_ids)), table.state.in_(ENDED)
        )
    )
    found = {row.request_id: Ended(row.state, row.reason, row.version) for row in rows}
    published = connection.execute(
        select(models.c.request_id, models.c.version).where(
            models.c.request_id == func.any(list(request_ids))
        )
    )
    return found | {row.request_id: Ended("published", None, row.version) for row in published}


def _row(request: TrainRequest) -> dict[str, Any]:
    return {
        "request_id": request.request_id,
        "trigger": request.trigger,
        "completions": request.completions,
        "data": request.data.model_dump(mode="json", by_alias=True),
        "requested_at": request.requested_at,
        "state": "waiting",
    }


def _set_state(
    connection: Connection, request_id: str, state: str, reason: str | None, version: int | None
) -> None:
    """Change a request's state, unless it has ended."""
    ended_at = func.now() if state in ENDED else None
    change = (
        update(train_requests)
        .where(train_requests.c.request_id == request_id, train_requests.c.state.not_in(ENDED))
        .values(state=state, reason=reason, version=version, ended_at=ended_at)
    )
    connection.execute(change)


def _add_version(
    connection: Connection,
    facts: Mapping[str, Any],
    metrics: Mapping[str, Any],
    artifact: str,
    sha256: str,
) -> None:
    names = (
        "model", "version", "request_id", "trained_at", "completions",
        "users", "topics", "difficulties",
    )  # fmt: skip
    row = {name: facts[name] for name in names}
    values = {**row, "metrics": dict(metrics), "artifact": artifact, "sha256": sha256}
    connection.execute(upsert(models).values(values).on_conflict_do_nothing())


def _add_revision(connection: Connection, revision: int, version: int, cause: str) -> None:
    row = upsert(revisions).values(revision=revision, version=version, cause=cause)
    connection.execute(row)


def _removable(connection: Connection, keep: int, before: datetime) -> list[Any]:
    serving = select(revisions.c.version).order_by(revisions.c.revision.desc()).limit(2)
    newest = (
        select(models.c.version)
        .where(models.c.removed_at.is_(None))
        .order_by(models.c.version.desc())
        .limit(keep)
    )
    query = select(models.c.version, models.c.artifact).where(
        models.c.removed_at.is_(None),
        models.c.trained_at < before,
        models.c.version.not_in(serving),
        models.c.version.not_in(newest),
    )
    return [*connection.execute(query)]


def _announced(row: Row[Any]) -> ModelUpdated:
    names = set(ModelUpdated.model_fields) - {"metrics"}
    facts = {name: getattr(row, name) for name in names}
    return ModelUpdated(metrics=events.ModelMetrics.model_validate(row.metrics), **facts)


def _jsonable(facts: Mapping[str, Any]) -> dict[str, Any]:
    metrics: events.ModelMetrics = facts["metrics"]
    return {
        **facts,
        "trained_at": facts["trained_at"].isoformat(),
        "metrics": metrics.model_dump(mode="json"),
    }
