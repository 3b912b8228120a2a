"""What a learner would do, and why that is predicted: what the REST calls and the pages ask."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from fastapi import APIRouter

from gateway.face import Face, stored
from gateway.problems import RETRY_AFTER_SECONDS, Problem, documented
from schemas.events import Candidate, Event, PredictionRequest
from schemas.fields import Id
from schemas.replies import Forecast, Refusal, Why

E = TypeVar("E", bound=Event)


def add(calls: APIRouter, face: Face) -> None:
    """Both calls, bound to one face."""

    @calls.get(
        "/practice-tasks/{task_id}/why",
        tags=["predictions"],
        summary="What moved the prediction",
        responses=documented(401, 404, 422, 503),
    )
    async def why(task_id: Id) -> Why:
        """How much the latest completions, earlier ones by topic, and each group of inputs move
        what the serving version predicts for this task at its start, and the same in sentences."""
        return await why_of(face, task_id)

    @calls.get(
        "/learners/{user_id}/forecast",
        tags=["predictions"],
        summary="A learner's chances",
        responses=documented(401, 422, 503),
    )
    async def forecast(user_id: Id) -> Forecast:
        """What the learner would do now on every topic and difficulty that the serving version
        knows."""
        return await forecast_of(face, user_id)


async def why_of(face: Face, task_id: str) -> Why:
    """What moved a task's prediction. Raises ``Problem`` where there is no such task, or no answer
    in time."""
    task = await stored(face.tasks.issued, task_id)
    if task is None:
        raise Problem(404, "no task of this id was issued here")
    words = {name: task[name] for name in ("task_id", "user_id", "topic", "difficulty")}
    return await _asked(face, Why, purpose="why", started_at=task["created_at"], **words)


async def forecast_of(
    face: Face, user_id: str, candidates: Sequence[Candidate] | None = None
) -> Forecast:
    """A learner's chances with up to 500 candidates; without any, with all that the serving version
    knows. Raises ``Problem`` where there is no answer in time."""
    words = {"task_id": "forecast", "user_id": user_id, "topic": "any", "difficulty": "any"}
    now, those = datetime.now(UTC), None if candidates is None else tuple(candidates)
    return await _asked(
        face, Forecast, purpose="forecast", started_at=now, candidates=those, **words
    )


async def _asked(face: Face, kind: type[E], *, user_id: str, **fields: Any) -> E:
    """The reply, which knows what was published here of the learner's completions."""
    wait = face.settings.prediction_timeout_seconds
    expires_at = datetime.now(UTC) + timedelta(seconds=wait)
    try:
        async with asyncio.timeout(wait):
            after, _ = await face.link.places.of(user_id)
            about = {"user_id": user_id, "after": after, "expires_at": expires_at, **fields}
            request = PredictionRequest(request_id=str(uuid.uuid4()), **about)
            reply = await face.link.inquire(request, kind)
    except TimeoutError:
        reply = None
    if isinstance(reply, kind):
        return reply
    words = reply.reason if isinstance(reply, Refusal) else "inference does not answer in time"
    raise Problem(503, words, {"Retry-After": RETRY_AFTER_SECONDS})
