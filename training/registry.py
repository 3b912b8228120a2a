"""The registry: train-requests, their outcomes, and the versions that came of them.

One row per request and per version in the store; ``revisions`` says what serves. Versions and
revisions are given out in one transaction that holds the registry's lock, so a second trainer can
neither reuse a number nor train twice what has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from schemas import events
from schemas.events import TrainRequest
from schemas.tables import models, train_requests
from training import artifacts, versions
from training.gate import UNRIVALLED, Verdict
from training.requests import ENDED
from training.revisions import Revisions

MODEL = "retrace"


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
        self.revisions = Revisions(engine, root_url)

    def note(self, requests: Sequence[TrainRequest]) -> dict[str, Ended]:
        """Remember requests; the outcomes of those that have one already, by id."""
        if not requests:
            return {}
        with self.engine.begin() as connection:
            rows = upsert(train_requests).on_conflict_do_nothing()
            connection.execute(rows, [_row(request) for request in requests])
            versions.end_requests(connection)
            return _outcomes(connection, [request.request_id for request in requests])

    def most_published(self) -> int:
        """The most completions that a count request was published for; 0 for none."""
        query = select(func.coalesce(func.max(train_requests.c.completions), 0)).where(
            train_requests.c.trigger == "count", train_requests.c.state == "published"
        )
        with self.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def start(self, request_id: str) -> Ended | None:
        """Note that a training runs; the outcome of a request that another trainer has ended."""
        with self.engine.begin() as connection:
            _set_state(connection, request_id, "running", None, None)
            return _ended(connection, request_id)

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
        verdict: Verdict = UNRIVALLED,
    ) -> Ended | None:
        """Write a version and make it serve, in one transaction; None where it has ended already.

        One that the gate rejects is kept, but does not serve; nor does one while another is held.
        Raises ``ArtifactError`` where the model store refuses the files; then nothing changes.
        """
        with self.engine.begin() as connection:
            versions.lock(connection)
            self.revisions.take_in(connection)
            if _ended(connection, request.request_id) is not None:
                return None
            highest = versions.highest(connection, models.c.version)
            version = 1 + max(highest, self.revisions.version_seen)
            facts = _facts(version, request, metadata, metrics)
            release, held = _release(verdict), self.revisions.held(connection)
            serves = verdict.passes and held is None
            revision = self.revisions.next(connection) if serves else None
            noted = {
                versions.ANNOUNCEMENT: _jsonable(facts),
                versions.RELEASE: {**release, versions.REVISION: revision},
            }
            artifact, sha256 = artifacts.write(
                self.root_url, versions.name(version), files, {**metadata, **noted}
            )
            versions.add(connection, facts, release, artifact, sha256)
            if serves:
                self.revisions.add(connection, version, "publish")
            ended = Ended(release["state"], release["reason"] or held, version)
            _set_state(connection, request.request_id, ended.state, ended.reason, version)
        return ended


def _ended(connection: Connection, request_id: str) -> Ended | None:
    """The outcome of a request, if it has one; where its row was lost, that of its version."""
    for table in (train_requests, models):
        row = connection.execute(
            select(table.c.state, table.c.reason, table.c.version)
            .where(table.c.request_id == request_id)
            .with_for_update()
        ).one_or_none()
        if row is not None and row.state in ENDED:
            return Ended(row.state, row.reason, row.version)
    return None


def _outcomes(connection: Connection, request_ids: Sequence[str]) -> dict[str, Ended]:
    """The outcomes of those requests that have one."""
    table = train_requests.c
    rows = connection.execute(
        select(table.request_id, table.state, table.reason, table.version).where(
            table.request_id == func.any(list(request_ids)), table.state.in_(ENDED)
        )
    )
    return {row.request_id: Ended(row.state, row.reason, row.version) for row in rows}


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


def _facts(
    version: int,
    request: TrainRequest,
    metadata: Mapping[str, Any],
    metrics: events.ModelMetrics,
) -> dict[str, Any]:
    """What is announced of a version."""
    return {
        "model": MODEL,
        "version": version,
        "request_id": request.request_id,
        "trained_at": datetime.now(UTC),
        "metrics": metrics.model_dump(mode="json"),
        **{name: metadata[name] for name in ("completions", "users", "topics", "difficulties")},
    }


def _release(verdict: Verdict) -> dict[str, Any]:
    reason = None if verdict.passes else verdict.words()
    state = "published" if verdict.passes else "rejected"
    return {"state": state, "reason": reason, "gate": verdict.to_dict()}


def _jsonable(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {**facts, "trained_at": facts["trained_at"].isoformat()}
