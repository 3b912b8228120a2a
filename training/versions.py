"""The models table: every version that was written, whatever became of it.

Functions over a connection or an engine; the registry's lock makes versions one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Row, Select, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from schemas import events
from schemas.errors import ArtifactError
from schemas.events import ModelUpdated
from schemas.tables import models, revisions, train_requests
from training import artifacts
from training.requests import ENDED

log = structlog.get_logger("retrace")
REGISTRY_LOCK = 7_203_115
ANNOUNCEMENT = "model_updated"
RELEASE, REVISION = "release", "revision"
FACTS = (
    "model", "version", "request_id", "trained_at", "completions",
    "users", "topics", "difficulties",
)  # fmt: skip


def name(version: int) -> str:
    """Of a version's directory in the model store; names sort as versions do."""
    return f"v{version:06d}"


def lock(connection: Connection) -> None:
    """Until the transaction's end, nobody else gives out versions or revisions."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": REGISTRY_LOCK})


def highest(connection: Connection, column: Any) -> int:
    return int(connection.execute(select(func.coalesce(func.max(column), 0))).scalar_one())


def add(
    connection: Connection,
    facts: Mapping[str, Any],
    release: Mapping[str, Any],
    artifact: str,
    sha256: str,
) -> None:
    """``facts`` as they are announced, their metrics JSON; ``release``: state, reason, gate."""
    row = {name: facts[name] for name in (*FACTS, "metrics")}
    values = {**row, **release, "artifact": artifact, "sha256": sha256}
    connection.execute(upsert(models).values(values).on_conflict_do_nothing())


def is_there(connection: Connection, version: int) -> bool:
    """Whether the version's files are kept."""
    found = select(models.c.version).where(
        models.c.version == version, models.c.removed_at.is_(None)
    )
    return connection.execute(found).one_or_none() is not None


def newest(connection: Connection) -> int:
    """The newest version that may serve; 0 for none."""
    query = select(func.coalesce(func.max(models.c.version), 0))
    return int(connection.execute(query.where(*MAY_SERVE)).scalar_one())


def best(engine: Engine) -> Row[Any] | None:
    """The version that candidates are held against: the newest that was best when it came."""
    query = select(models).where(*MAY_SERVE, models.c.gate["best"].as_boolean())
    with engine.connect() as connection:
        return connection.execute(query.order_by(models.c.version.desc()).limit(1)).one_or_none()


def listed(engine: Engine, most: int) -> list[Row[Any]]:
    """The newest versions with all that is known of them, newest first."""
    query = select(models).order_by(models.c.version.desc()).limit(most)
    with engine.connect() as connection:
        return [*connection.execute(query)]


def found(connection: Connection, version: int) -> Row[Any] | None:
    """What is known of a version."""
    return connection.execute(select(models).where(models.c.version == version)).one_or_none()


def served_below(version: Any) -> Select[Any]:
    """The newest version below this one that has served and is still there: where a rollback
    leads."""
    return (
        select(revisions.c.version)
        .join(models, models.c.version == revisions.c.version)
        .where(models.c.removed_at.is_(None), revisions.c.version < version)
        .order_by(revisions.c.version.desc())
        .limit(1)
    )


def announced(row: Row[Any], revision: int) -> ModelUpdated:
    """A version as it is announced under a revision."""
    names = set(ModelUpdated.model_fields) - {"metrics", "revision"}
    facts = {name: getattr(row, name) for name in names}
    metrics = events.ModelMetrics.model_validate(row.metrics)
    return ModelUpdated(revision=revision, metrics=metrics, **facts)


def is_behind(connection: Connection, root_url: str) -> bool:
    """Whether the model store holds later versions than the table, which was emptied or went back
    to a backup."""
    finished = artifacts.list_versions(root_url)
    return bool(finished) and finished[-1] > name(highest(connection, models.c.version))


def take_in(connection: Connection, root_url: str) -> int:
    """Add what the model store holds and the table lacks, end the requests of these versions, and
    mark as removed what has no files any more; the highest revision that was given out for one."""
    finished = artifacts.list_versions(root_url)
    missing = set(finished) - set(connection.execute(select(models.c.artifact)).scalars())
    given = [_take_in(connection, root_url, each) for each in sorted(missing)]
    end_requests(connection)
    gone = models.c.removed_at.is_(None) & models.c.artifact.not_in(finished)
    connection.execute(update(models).where(gone).values(removed_at=func.now()))
    return max(given, default=0)


def end_requests(connection: Connection) -> None:
    """Give requests whose own rows were lost, and came again, the outcome of their versions."""
    connection.execute(_END_REQUESTS)


def _take_in(connection: Connection, root_url: str, artifact: str) -> int:
    try:
        sha256, metadata = artifacts.inspect(root_url, artifact)
    except ArtifactError as error:
        log.warning("a version is passed over", version=artifact, because=str(error))
        return 0
    noted, release = metadata.get(ANNOUNCEMENT), metadata.get(RELEASE)
    if not isinstance(noted, dict):
        return 0
    facts = {**noted, "trained_at": datetime.fromisoformat(noted["trained_at"])}
    release = dict(release) if isinstance(release, dict) else {**PUBLISHED, REVISION: None}
    revision = release.pop(REVISION, None)
    add(connection, facts, release, artifact, sha256)
    return int(revision or 0)


def given_out(root_url: str, version: int) -> int:
    """The revision under which a version was to serve when it came; 0 where another was held."""
    try:
        release = artifacts.inspect(root_url, name(version))[1].get(RELEASE)
    except ArtifactError:
        return 0
    return int((release.get(REVISION) if isinstance(release, dict) else None) or 0)


def prune(engine: Engine, root_url: str, keep: int, young: timedelta, now: datetime) -> list[int]:
    """Remove old versions' files; never the serving one, its predecessor, the best or a young
    one."""
    with engine.begin() as connection:
        lock(connection)
        old = _removable(connection, keep, now - young)
        gone = update(models).where(models.c.version.in_([row.version for row in old]))
        connection.execute(gone.values(removed_at=now))
    for row in old:
        try:
            artifacts.remove(root_url, row.artifact)
        except ArtifactError as error:
            log.warning("an old version's files stay", version=row.version, because=str(error))
    return [row.version for row in old]


PUBLISHED = {"state": "published", "reason": None, "gate": None}
_END_REQUESTS = (
    update(train_requests)
    .where(
        train_requests.c.request_id == models.c.request_id,
        train_requests.c.state.not_in(ENDED),
    )
    .values(
        state=models.c.state, reason=models.c.reason, version=models.c.version,
        ended_at=models.c.trained_at,
    )
)  # fmt: skip
MAY_SERVE = (models.c.state == "published", models.c.removed_at.is_(None))


def _removable(connection: Connection, keep: int, before: datetime) -> list[Row[Any]]:
    there = models.c.removed_at.is_(None)
    current = select(revisions.c.version).order_by(revisions.c.revision.desc()).limit(1)
    served = current.union(served_below(current.scalar_subquery()))
    newest = select(models.c.version).where(there).order_by(models.c.version.desc()).limit(keep)
    is_best = (*MAY_SERVE, models.c.gate["best"].as_boolean())
    best = select(models.c.version).where(*is_best).order_by(models.c.version.desc()).limit(1)
    query = select(models.c.version, models.c.artifact).where(
        there,
        models.c.trained_at < before,
        models.c.version.not_in(select(served.subquery())),
        models.c.version.not_in(newest),
        models.c.version.not_in(best),
    )
    return [*connection.execute(query)]
