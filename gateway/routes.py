"""The REST calls of the contract."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from gateway import inquiries, practice, status
from gateway.face import Face, stored
from gateway.practice import CompletedTask, Completion, NewTask, Task
from gateway.problems import Problem, documented, response
from schemas.fields import Id
from streams import traces


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

    whole = status.Status(status.parts(face.settings, face.tasks.engine, face.lags))

    @calls.get(
        "/status", tags=["operations"], summary="The whole system", responses=documented(401)
    )
    async def show_status() -> dict[str, Any]:
        """The same object as `retrace status --json`."""
        return await whole.told()

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
        responses=documented(400, 401, 410, 413, 422, 503),
    )
    async def create(new: NewTask, sent: Request) -> Task:
        """A new task for a learner, with what is predicted of it. Answers within a second."""
        return await practice.ask(face, new, _caller(sent))

    @calls.patch(
        "/practice-tasks/{task_id}",
        tags=["practice"],
        summary="Say how it went",
        responses=documented(400, 401, 404, 409, 413, 422, 503),
    )
    async def complete(task_id: Id, how: Completion, sent: Request) -> CompletedTask:
        """Say how a task went. The first time fixes it; again is fine, otherwise is a conflict."""
        return await practice.complete(face, task_id, how, _caller(sent))

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
