"""Asking for a task and saying how it went: what the REST calls and the pages share."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from gateway import metrics
from gateway.face import Face, stored
from gateway.problems import Problem
from gateway.tasks import completion
from schemas.events import Prediction, PredictionRequest
from schemas.fields import Id, Label, Seconds
from streams import traces

DEFAULT = {
    "predicted_correct": 0.5,
    "predicted_time_seconds": 60.0,
    "seconds_low": 5.0,
    "seconds_high": 600.0,
    "source": "default",
    "reason": "timeout",
    "model_version": None,
}


class NewTask(BaseModel):
    """A task to be practised."""

    model_config = ConfigDict(extra="forbid")
    user_id: Id
    topic: Id
    difficulty: Label


class Completion(BaseModel):
    """How a task went; ``actual_time_seconds`` over 0 and at most a day."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)
    is_correct: bool
    actual_time_seconds: Seconds


class Task(BaseModel):
    """A task, the prediction that was shown with it, and its outcome where it has one."""

    model_config = ConfigDict(protected_namespaces=())
    id: str
    user_id: str
    topic: str
    difficulty: str
    created_at: datetime
    completed: bool
    completed_at: datetime | None = None
    is_correct: bool | None = None
    actual_time_seconds: float | None = None
    predicted_correct: float | None = None
    predicted_time_seconds: float | None = None
    seconds_low: float | None = None
    seconds_high: float | None = None
    source: str | None = None
    reason: str | None = None
    model_version: int | None = None


class Counter(BaseModel):
    """The counter as last seen: ``since_last_request`` of ``every``."""

    completions: int
    since_last_request: int
    every: int


class CompletedTask(Task):
    """A completed task and the counter."""

    counter: Counter


async def ask(face: Face, new: NewTask, parent: str | None = None) -> Task:
    """A new task and what is predicted of it, within a second; ``parent`` is the asker's trace.

    Raises ``Problem`` where the store is away, or the learner is forgotten.
    """
    task_id, now = str(uuid.uuid4()), datetime.now(UTC)
    wait = face.settings.prediction_timeout_seconds
    request = PredictionRequest(
        request_id=task_id,
        task_id=task_id,
        started_at=now,
        expires_at=now + timedelta(seconds=wait),
        **new.model_dump(),
    )
    root = traces.of_task(task_id)
    with traces.span("POST /practice-tasks", parent, kind="server", root=root):
        prediction = await face.link.ask(request, wait)
        task = {**new.model_dump(), "created_at": now, **_shown(prediction)}
        if not await stored(face.tasks.issue, {"task_id": task_id, **task}):
            raise Problem(410, "this learner was forgotten, for good; another id is needed")
    metrics.ISSUED.labels(task["source"], "answered" if prediction else "timeout").inc()
    return Task(id=task_id, completed=False, **task)


async def complete(
    face: Face, task_id: str, how: Completion, parent: str | None = None
) -> CompletedTask:
    """Say how a task went. The first time fixes it and publishes it; again is fine.

    Raises ``Problem`` where there is no such task, it went otherwise, or the store is away.
    """
    now, began = datetime.now(UTC), time.monotonic()
    claim = await stored(face.tasks.claim, task_id, how.is_correct, how.actual_time_seconds, now)
    if claim.state == "unknown":
        raise Problem(404, "no task of this id was issued here")
    if claim.state == "different":
        raise Problem(409, "this task was completed before with another outcome")
    if claim.task["completed_at"] is not None and claim.task["published_at"] is None:
        parent = parent or traces.of_task(task_id)
        name = "PATCH /practice-tasks/{task_id}"
        with traces.span(name, parent, kind="server", began=began):
            face.link.publish(completion(claim.task))
    return CompletedTask(**_task({**claim.task, "completed": True}), counter=claim.counter)


def _shown(prediction: Prediction | None) -> dict[str, Any]:
    if prediction is None:
        return DEFAULT
    return {
        "predicted_correct": prediction.p_correct,
        "predicted_time_seconds": prediction.expected_seconds,
        "seconds_low": prediction.seconds_low,
        "seconds_high": prediction.seconds_high,
        "source": prediction.source,
        "reason": prediction.reason,
        "model_version": prediction.model_version,
    }


def _task(row: dict[str, Any]) -> dict[str, Any]:
    values = {**row, "id": row["task_id"]}
    return {name: values[name] for name in Task.model_fields}
