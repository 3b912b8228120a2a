"""Forecasts and explanations: answered to their asker only, after predictions that wait."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from inference.answers import Answers, ask_of, remarks, task_fields
from inference.models import Serving
from inference.predictor import Reader
from inference.waiting import Asked
from inference.why import explain
from schemas.events import PredictionRequest
from schemas.replies import Forecast, ForecastCell, Refusal, Reply, Why

MOST_CELLS = 500


class Explanations:
    """``read`` reaches the store; ``answers`` are predictions'."""

    def __init__(self, read: Reader, answers: Answers) -> None:
        self.read, self.answers = read, answers

    def of(self, one: Asked, lacks: str, serving: Serving, now: datetime) -> Reply:
        """The reply to a request that is no practice, without the completion that it lacks."""
        request = one.request
        if request.expires_at is not None and request.expires_at < now:
            return refusal(request.request_id, "expired before it was read")
        if request.purpose == "forecast":
            return self._forecast(request, serving, now)
        return self._why(request, lacks, serving, now)

    def _forecast(self, request: PredictionRequest, serving: Serving, now: datetime) -> Reply:
        if request.candidates is None:
            words = serving.predictor.words()[:MOST_CELLS]
        else:
            words = [(cell.topic, cell.difficulty) for cell in request.candidates]
        ask = ask_of(request, now)
        asks = [replace(ask, topic=topic, difficulty=difficulty) for topic, difficulty in words]
        answers = self.answers.answers_to(asks, serving.predictor)
        cells = [
            ForecastCell(topic=each.topic, difficulty=each.difficulty, **answer.fields())
            for each, answer in zip(asks, answers, strict=True)
        ]
        return Forecast(
            request_id=request.request_id,
            user_id=request.user_id,
            cells=tuple(cells),
            history_length=max((answer.history_length for answer in answers), default=0),
            **serving.fields(),
            predicted_at=datetime.now(UTC),
        )

    def _why(
        self, request: PredictionRequest, lacks: str, serving: Serving, now: datetime
    ) -> Reply:
        if serving.updated is None:
            return refusal(request.request_id, "no model yet: nothing moved the default")
        found = self.read({request.user_id: 0})
        if found is None:
            return refusal(request.request_id, "store unavailable")
        if request.user_id in self.answers.forgotten():
            return refusal(request.request_id, "forgotten learner: no history moved anything")
        explained = explain(serving.predictor, ask_of(request, now), found[1])
        answer = explained.answer
        return Why(
            **task_fields(request),
            **serving.fields(),
            p_correct=answer.p_correct,
            expected_seconds=answer.expected_seconds,
            source=answer.source,  # type: ignore[arg-type]
            reason=remarks(request, lacks, now) + answer.reason,
            effects=explained.effects,
            words=explained.words,
            history_length=answer.history_length,
            predicted_at=datetime.now(UTC),
        )


def refusal(request_id: str, reason: str) -> Refusal:
    return Refusal(request_id=request_id, reason=reason, predicted_at=datetime.now(UTC))
