"""What an asker gets on its reply topic beside a prediction."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from schemas.events import Candidate, Event
from schemas.fields import (
    Difficulty,
    ExpectedSeconds,
    HistoryLength,
    Number,
    PredictedAt,
    Probability,
    Reason,
    RequestId,
    Revision,
    SecondsHigh,
    SecondsLow,
    Source,
    Subject,
    TaskId,
    Text,
    Time,
    UserId,
    Version,
    about,
)


class Reply(Event):
    """Base of replies: ``identity`` is the request's id."""

    request_id: RequestId
    predicted_at: PredictedAt

    def identity(self) -> str:
        return self.request_id

    def occurred_at(self) -> datetime:
        return self.predicted_at


class ForecastCell(Candidate):
    """What is expected of one topic and difficulty."""

    p_correct: Probability
    expected_seconds: ExpectedSeconds
    seconds_low: SecondsLow
    seconds_high: SecondsHigh
    source: Source


class Forecast(Reply):
    """A learner's chances with every candidate, in the order of the request."""

    user_id: UserId
    cells: tuple[ForecastCell, ...] = Field(
        max_length=500, description="One for each candidate, in the order of the request."
    )
    history_length: HistoryLength
    model_version: Version | None = None
    model_revision: Revision | None = None


class Effect(Event):
    """How much a prediction owes to one completion, a topic's earlier ones, or a group of inputs:
    the prediction as it is minus the prediction without it. ``number``, ``topic``, ``is_correct``
    and ``completed_at`` are a completion's."""

    kind: Annotated[
        Literal["completion", "topic", "inputs"], about("What was left out.", "completion")
    ]
    name: Annotated[Text, about("Its name, for people.", "fractions, easy: right in 21 s")]
    p_change: Annotated[float, about("What it adds to the probability.", 0.031)]
    seconds_change: Annotated[float, about("What it adds to the seconds.", -1.8)]
    number: Annotated[Number | None, about("Of a completion: its number.", 98)] = None
    is_correct: Annotated[bool | None, about("Of a completion: its answer.", True)] = None
    completed_at: Annotated[
        Time | None, about("Of a completion: when.", "2026-03-01T11:58:00Z")
    ] = None


class Why(Reply):
    """What moved a prediction, the strongest first, and the same in a few sentences."""

    task_id: TaskId
    user_id: UserId
    topic: Subject
    difficulty: Difficulty
    p_correct: Probability
    expected_seconds: ExpectedSeconds
    source: Source
    reason: Reason
    effects: tuple[Effect, ...] = Field(description="The strongest first.")
    words: tuple[Text, ...] = Field(
        description="The same in a few sentences.",
        examples=[["Recent right answers raise it by 3 points."]],
    )
    history_length: HistoryLength
    model_version: Version | None = None
    model_revision: Revision | None = None


class Refusal(Reply):
    """A request that could not be read: it is a dead letter, and why."""

    reason: Annotated[Text, about("Why.", "not answered: user_id: Field required")]
