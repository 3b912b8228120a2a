"""What an asker gets on its reply topic beside a prediction."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from schemas.events import (
    Candidate,
    Count,
    Event,
    ExpectedSeconds,
    Id,
    Label,
    Number,
    Probability,
    Source,
    Text,
    Time,
)

Bound = Annotated[float, Field(gt=0)]


class Reply(Event):
    """Base of replies: ``identity`` is the request's id."""

    request_id: Id
    predicted_at: Time

    def identity(self) -> str:
        return self.request_id

    def occurred_at(self) -> datetime:
        return self.predicted_at


class ForecastCell(Candidate):
    """What is expected of one topic and difficulty."""

    p_correct: Probability
    expected_seconds: ExpectedSeconds
    seconds_low: Bound
    seconds_high: Bound
    source: Source


class Forecast(Reply):
    """A learner's chances with every candidate, in the order of the request."""

    user_id: Id
    cells: tuple[ForecastCell, ...] = Field(max_length=500)
    history_length: Count
    model_version: Number | None = None
    model_revision: Number | None = None


class Effect(Event):
    """How much a prediction owes to one completion, a topic's earlier ones, or a group of inputs:
    the prediction as it is minus the prediction without it. ``number``, ``topic``, ``is_correct``
    and ``completed_at`` are a completion's."""

    kind: Literal["completion", "topic", "inputs"]
    name: Text
    p_change: float
    seconds_change: float
    number: Number | None = None
    is_correct: bool | None = None
    completed_at: Time | None = None


class Why(Reply):
    """What moved a prediction, the strongest first, and the same in a few sentences."""

    task_id: Id
    user_id: Id
    topic: Id
    difficulty: Label
    p_correct: Probability
    expected_seconds: ExpectedSeconds
    source: Source
    reason: Text
    effects: tuple[Effect, ...]
    words: tuple[Text, ...]
    history_length: Count
    model_version: Number | None = None
    model_revision: Number | None = None


class Refusal(Reply):
    """A request that could not be read: it is a dead letter, and why."""

    reason: Text
