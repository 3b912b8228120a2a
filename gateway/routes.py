"""The REST calls of the contract."""

from __future__ import annotations

import time
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict

from gateway import inquiries, metrics, status
from gateway.face import Face, stored
from gateway.problems import Problem, documented, response
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


class TaskPage(BaseModel):
    """Tasks, newest first; ``next`` is the cursor of the page after this one."""

    items: list[Task]
    next: str | None


def router(face: Face) -> APIRouter:
    """All calls, bound to one face."""
    calls = APIRouter()
    _add_tasks(calls, face)
    inquiries.add(calls, face)
    _add_probes(calls, face)
    return calls


def _add_probes(calls: APIRouter, face: Face) -> None:
    @calls.get("/", include_in_schema=False)
    async def root(request: Request) -> Any:
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/dashboard/")
        return {"message": "Retrace", "version": version("retrace"), "docs": "/docs"}

    @calls.get("/healthz", tags=["operations"], summary="Is it alive?", responses=documented(503))
    async def healthz() -> Any:
        """Whether the gateway makes progress."""
        stuck = face.health.stuck()
        return response(503, stuck) if stuck else {"alive": True}

    @calls.get("/readyz", tags=["operations"], summary="Is it ready?", responses=documented(503))
    async def readyz() -> Any:
        """Readiness, with each dependency's state."""
        body = face.health.snapshot()
        return body if body["ready"] else response(503, "not ready", **body)

    @calls.get(
        "/status", tags=["operations"], summary="The whole system", responses=documented(401)
    )
    def show_status() -> dict[str, Any]:
        """The same object as `retrace status --json`."""
        return status.gather(face.settings, face.tasks.engine)

    @calls.get(
        "/metrics",
        tags=["operations"],
        summary="Prometheus",
        response_class=PlainTextResponse,
        responses=documented(401),
    )
    def metrics() -> Response:
        """Prometheus metrics of the gateway."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _add_tasks(calls: APIRouter, face: Face) -> None:
    @calls.post(
        "/practice-tasks",
        status_code=201,
        tags=["practice"],
        summary="Ask for a task",
        responses=documented(400, 401, 413, 422, 503),
    )
    async def create(new: NewTask, sent: Request) -> Task:
        """A new task for a learner, with what is predicted of it. Answers within a second."""
        task_id, now = str(uuid.uuid4()), datetime.now(UTC)
        wait = face.settings.prediction_timeout_seconds
        request = PredictionRequest(
            request_id=task_id,
            task_id=task_id,
            started_at=now,
            expires_at=now + timedelta(seconds=wait),
            **new.model_dump(),
        )
        parent, root = _caller(sent), traces.of_task(task_id)
        with traces.span("POST /practice-tasks", parent, kind="server", root=root):
            prediction = await face.link.ask(request, wait)
            task = {**new.model_dump(), "created_at": now, **_shown(prediction)}
            await stored(face.tasks.issue, {"task_id": task_id, **task})
        metrics.ISSUED.labels(task["source"], "answered" if prediction else "timeout").inc()
        return Task(id=task_id, completed=False, **task)

    @calls.patch(
        "/practice-tasks/{task_id}",
        tags=["practice"],
        summary="Say how it went",
        responses=documented(400, 401, 404, 409, 413, 422, 503),
    )
    async def complete(task_id: Id, how: Completion, sent: Request) -> CompletedTask:
        """Say how a task went. The first time fixes it; again is fine, otherwise is a conflict."""
        now, began = datetime.now(UTC), time.monotonic()
        claim = await stored(
            face.tasks.claim, task_id, how.is_correct, how.actual_time_seconds, now
        )
        if claim.state == "unknown":
            raise Problem(404, "no task of this id was issued here")
        if claim.state == "different":
            raise Problem(409, "this task was completed before with another outcome")
        if claim.task["completed_at"] is not None and claim.task["published_at"] is None:
            parent = _caller(sent) or traces.of_task(task_id)
            name = "PATCH /practice-tasks/{task_id}"
            with traces.span(name, parent, kind="server", began=began):
                face.link.publish(completion(claim.task))
        return CompletedTask(**_task({**claim.task, "completed": True}), counter=claim.counter)

    @calls.get(
        "/practice-tasks",
        tags=["practice"],
        summary="A learner's tasks",
        responses=documented(401, 422, 503),
    )
    async def tasks(
        user_id: Annotated[Id, Query()],
        completed: bool | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=500)] = None,
    ) -> TaskPage:
        """A learner's tasks, newest first. Pass ``next`` as ``cursor`` for the following page."""
        before = None if cursor is None else _place(cursor)
        rows = await stored(face.tasks.of_learner, user_id, completed, before, limit + 1)
        items = [Task(**row._asdict()) for row in rows[:limit]]
        more = len(rows) > limit
        return TaskPage(items=items, next=_cursor(items[-1]) if more else None)


def _caller(sent: Request) -> str | None:
    """The trace that a caller is in."""
    return traces.checked(sent.headers.get(traces.HEADER))


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


def _cursor(task: Task) -> str:
    return urlsafe_b64encode(f"{task.created_at.isoformat()}|{task.id}".encode()).decode()


def _place(cursor: str) -> tuple[datetime, str]:
    try:
        at, _, task_id = urlsafe_b64decode(cursor.encode()).decode().partition("|")
        if not task_id or "\x00" in task_id:
            raise ValueError(cursor)
        return datetime.fromisoformat(at).astimezone(UTC), task_id
    except (ValueError, OverflowError):
        raise Problem(422, "cursor: not one that a page of this list gave") from None
