"""Requests to predictions: what each version, arm and trouble makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from inference.challenge import Challenger
from inference.learners import Ask
from inference.models import Serving
from inference.predictor import Predictor, Reader
from inference.told import Answer, Cause, default
from inference.waiting import Asked
from schemas.events import Prediction, PredictionRequest
from schemas.fields import Arm
from streams.forgotten import NONE, Forgotten

# A start beyond these is taken for one at them: requests are kept for a week.
AHEAD, BEHIND = timedelta(minutes=5), timedelta(days=7)


@dataclass(frozen=True)
class Answered:
    """A request, the prediction to tell, the reason's word, and one only kept, to compare."""

    asked: Asked
    told: Prediction
    cause: Cause
    kept: Prediction | None = None


class Answers:
    """``read`` reaches the store; ``challenger``, where there is one, has its learners;
    ``forgotten`` tells who is forgotten, as of the last read."""

    def __init__(
        self,
        read: Reader,
        challenger: Challenger | None = None,
        forgotten: Callable[[], Forgotten] = lambda: NONE,
    ) -> None:
        self.read, self.challenger, self.forgotten = read, challenger, forgotten
        self._dropped: tuple[Predictor | None, Forgotten] = (None, NONE)

    def of(
        self, ready: Sequence[tuple[Asked, str]], serving: Serving, now: datetime
    ) -> list[Answered]:
        """One a request, beside the completion that it must do without, in their order."""
        answers = self._answers([one.request for one, _ in ready], serving, now)
        return [
            self._answered(one, answer, serving, remarks(one.request, lacks, now))
            for (one, lacks), answer in zip(ready, answers, strict=True)
        ]

    def _answered(self, one: Asked, answer: Answer, serving: Serving, remarks: str) -> Answered:
        champion = _prediction(one.request, answer, serving, remarks, "champion")
        challenger = self.challenger
        if challenger is None or not challenger.has(one.request.user_id):
            return Answered(one, champion, answer.cause)
        other = challenger.answer(answer)
        if other is None:
            return Answered(one, champion, answer.cause)
        rival = _prediction(one.request, other, serving, remarks, "challenger")
        if challenger.shadow:
            return Answered(one, champion, answer.cause, rival)
        return Answered(one, rival, other.cause)

    def _answers(
        self, requests: Sequence[PredictionRequest], serving: Serving, now: datetime
    ) -> list[Answer]:
        """An answer each; the cheap default where a request has expired."""
        expired = [r.expires_at is not None and r.expires_at < now for r in requests]
        asks = [ask_of(r, now) for r, late in zip(requests, expired, strict=True) if not late]
        answers = iter(self.answers_to(asks, serving.predictor))
        return [
            default("expired before it was read", "expired") if late else next(answers)
            for late in expired
        ]

    def answers_to(self, asks: Sequence[Ask], predictor: Predictor) -> list[Answer]:
        """An answer each; who is forgotten is nobody. Where reading tells of more who are, all are
        answered again."""
        while True:
            forgotten = self.forgotten()
            self._drop(predictor, forgotten)
            gone = [ask.user_id in forgotten for ask in asks]
            here = [ask for ask, is_gone in zip(asks, gone, strict=True) if not is_gone]
            unknown = [ask for ask, is_gone in zip(asks, gone, strict=True) if is_gone]
            answers = iter(predictor.answer(here, self.read))
            if self.forgotten() is forgotten:
                others = iter(predictor.as_unknown(unknown))
                return [next(others if is_gone else answers) for is_gone in gone]

    def _drop(self, predictor: Predictor, forgotten: Forgotten) -> None:
        """Once for each version and list: a version that was made ready may hold them again."""
        if forgotten and self._dropped != (predictor, forgotten):
            predictor.drop(forgotten)
            self._dropped = (predictor, forgotten)


def ask_of(request: PredictionRequest, now: datetime) -> Ask:
    """What is asked; a start out of reach is taken for one within it."""
    started_at = min(max(request.started_at, now - BEHIND), now + AHEAD)
    return Ask(request.user_id, request.topic, request.difficulty, started_at.timestamp())


def task_fields(request: PredictionRequest) -> dict[str, Any]:
    """What every event that tells of a task has of its request."""
    names = ("request_id", "task_id", "user_id", "topic", "difficulty")
    return {name: getattr(request, name) for name in names}


def remarks(request: PredictionRequest, lacks: str, now: datetime) -> str:
    """What else than the source a reason has to tell."""
    found = []
    if lacks:
        found.append(f"without {lacks}, not recorded yet")
    if request.started_at > now + AHEAD:
        found.append("started_at taken as five minutes from now")
    elif request.started_at < now - BEHIND:
        found.append("started_at taken as seven days ago")
    return "".join(f"{remark}; " for remark in found)


def _prediction(
    request: PredictionRequest, answer: Answer, serving: Serving, remarks: str, arm: Arm
) -> Prediction:
    return Prediction(
        **task_fields(request),
        **answer.fields(),
        **(serving.fields() if answer.source != "default" else {}),
        started_at=request.started_at,
        reason=remarks + answer.reason,
        arm=arm,
        history_length=answer.history_length,
        predicted_at=datetime.now(UTC),
    )
