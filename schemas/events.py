"""The event types of the contract: frozen, validated on the way in and on the way out.

Strict: a number is not a string, null is not false, NaN is not a duration. Unknown fields are
ignored, so that an older consumer reads a newer producer. Times are kept in UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

MAX_AHEAD = timedelta(minutes=5)
PLACE = r"[0-9]{1,9}@[0-9]{1,19}"
REPLY_TOPIC = r"reply\.[A-Za-z0-9._-]{1,120}"


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("time outside the years 1 to 9999 in UTC") from None


def _without_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not hold a NUL character")
    return value


Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_without_nul)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=32), AfterValidator(_without_nul)]
Text = Annotated[str, StringConstraints(max_length=500), AfterValidator(_without_nul)]
Count = Annotated[int, Field(ge=0, le=2**62)]
Number = Annotated[int, Field(ge=1, le=2**62)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Probability = Annotated[float, Field(ge=0.01, le=0.99)]
ExpectedSeconds = Annotated[float, Field(ge=5, le=600)]


class Event(BaseModel):
    """Base of all events. ``identity`` is its CloudEvents id, ``occurred_at`` its time."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        strict=True,
        allow_inf_nan=False,
        populate_by_name=True,
        protected_namespaces=(),
    )

    def identity(self) -> str:
        raise NotImplementedError

    def occurred_at(self) -> datetime:
        raise NotImplementedError


class TaskCompleted(Event):
    """A learner finished a task. A task completes once: ``task_id`` is unique."""

    task_id: Id
    user_id: Id
    topic: Id
    difficulty: Label
    started_at: Time | None = None
    completed_at: Time
    is_correct: bool
    actual_time_seconds: Seconds
    timed_out: bool | None = None

    @field_validator("completed_at")
    @classmethod
    def _not_far_ahead(cls, value: datetime, info: ValidationInfo) -> datetime:
        """The clock comes in as validation context ``now``; without one nothing is checked."""
        now = (info.context or {}).get("now")
        if now is not None and value > now + MAX_AHEAD:
            raise ValueError("more than five minutes ahead of now")
        return value

    @model_validator(mode="after")
    def _start_exists(self) -> Self:
        self.start()
        return self

    def start(self) -> datetime:
        """When the task was started: as told, else the completion minus its duration."""
        if self.started_at is not None:
            return self.started_at
        try:
            return self.completed_at - timedelta(seconds=self.actual_time_seconds)
        except OverflowError:
            raise ValueError("completed_at minus actual_time_seconds is before year 1") from None

    def identity(self) -> str:
        return self.task_id

    def occurred_at(self) -> datetime:
        return self.completed_at


class NumberedCompletion(Event):
    """One recorded completion: its place in the store's order and its event time."""

    number: Number
    completed_at: Time


class Completions(Event):
    """Completions as recorded, a message a batch. ``generation`` tells a rebuilt store apart."""

    generation: Number
    items: tuple[NumberedCompletion, ...] = Field(max_length=10_000)

    def identity(self) -> str:
        numbers = [item.number for item in self.items]
        return (
            f"{self.generation}-{min(numbers, default=0)}-{max(numbers, default=0)}-{len(numbers)}"
        )

    def occurred_at(self) -> datetime:
        return max((item.completed_at for item in self.items), default=datetime.now(UTC))


class OffsetRange(Event):
    """Offsets of one partition, ``first`` included, ``end`` not."""

    partition: Count
    first: Count
    end: Count


class DataRange(Event):
    """What to learn from: the whole store, or a range of the log by time or by offsets."""

    source: Literal["store", "log"] = Field(default="store", alias="from")
    since: Time | None = None
    until: Time | None = None
    offsets: tuple[OffsetRange, ...] | None = Field(default=None, max_length=10_000)


class TrainRequest(Event):
    """Rebuild the models. ``completions``: how many were recorded when it was asked for."""

    request_id: Id
    trigger: Literal["count", "manual", "replay"]
    completions: Count
    requested_at: Time
    data: DataRange = DataRange()

    @model_validator(mode="after")
    def _id_matches_trigger(self) -> Self:
        if self.trigger == "count" and self.request_id != f"count-{self.completions}":
            raise ValueError("a count request is called count-<completions>")
        if self.trigger != "count" and not self.request_id.startswith(f"{self.trigger}-"):
            raise ValueError("request_id does not begin with its trigger")
        return self

    def identity(self) -> str:
        return self.request_id

    def occurred_at(self) -> datetime:
        return self.requested_at


Outcome = Literal["published", "superseded", "rejected", "failed"]


class TrainingProgress(Event):
    """How a train-request goes; exactly one of its states is an outcome."""

    request_id: Id
    state: Literal["started", "epoch", "published", "superseded", "rejected", "failed"]
    at: Time
    model: Literal["correctness", "time"] | None = None
    epoch: Number | None = None
    epochs: Number | None = None
    loss: float | None = None
    val_loss: float | None = None
    reason: Text | None = None
    version: Number | None = None

    def identity(self) -> str:
        step = f"/{self.model}/{self.epoch}" if self.state == "epoch" else ""
        return f"{self.request_id}/{self.state}{step}"

    def occurred_at(self) -> datetime:
        return self.at


class Scores(Event):
    """How predictions compared with what happened; null where undefined (see docs)."""

    rows: Count
    log_loss: float | None = None
    auc: float | None = None
    accuracy: float | None = None
    brier: float | None = None
    ece: float | None = None
    mae_seconds: float | None = None
    log_rmse: float | None = None
    coverage_80: float | None = None


class ModelMetrics(Scores):
    """A version's scores on rows it had not learned, beside its peers' on the same rows."""

    lnirt: Scores | None = None
    topic_difficulty: Scores | None = None
    serving: Scores | None = None


class ModelUpdated(Event):
    """The version to serve from now on. Consumers obey the highest ``revision`` they have seen."""

    model: Id
    revision: Number
    version: Number
    request_id: Id
    artifact: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    trained_at: Time
    completions: Count
    users: Count
    topics: Count
    difficulties: Count
    metrics: ModelMetrics

    def identity(self) -> str:
        return f"{self.model}/{self.revision}"

    def occurred_at(self) -> datetime:
        return self.trained_at


class Candidate(Event):
    """One cell of a forecast."""

    topic: Id
    difficulty: Label


class PredictionRequest(Event):
    """What will this learner do on this task?"""

    request_id: Id
    task_id: Id
    user_id: Id
    topic: Id
    difficulty: Label
    started_at: Time
    purpose: Literal["practice", "forecast", "why"] = "practice"
    candidates: tuple[Candidate, ...] | None = Field(default=None, max_length=500)
    after: Annotated[str, StringConstraints(pattern=r"^\d{1,9}@\d{1,18}$")] | None = None
    expires_at: Time | None = None

    def identity(self) -> str:
        return self.request_id

    def occurred_at(self) -> datetime:
        return self.started_at


Source = Literal["lstm", "lnirt", "default"]
Arm = Literal["champion", "challenger"]


class Prediction(Event):
    """The answer. ``reason`` says why it comes from that source."""

    request_id: Id
    task_id: Id
    user_id: Id
    topic: Id
    difficulty: Label
    started_at: Time
    p_correct: Probability
    expected_seconds: ExpectedSeconds
    seconds_low: Annotated[float, Field(gt=0)]
    seconds_high: Annotated[float, Field(gt=0)]
    source: Source
    reason: Text
    arm: Arm = "champion"
    model_version: Number | None = None
    model_revision: Number | None = None
    history_length: Count
    predicted_at: Time

    def identity(self) -> str:
        return self.request_id

    def occurred_at(self) -> datetime:
        return self.predicted_at


class PredictionScore(Scores):
    """The live accuracy of one version, source and arm in one window."""

    window_start: Time
    window_seconds: Number
    version: Number | None = None
    source: Source
    arm: Arm

    def identity(self) -> str:
        start = self.window_start.isoformat()
        return f"{start}/{self.version}/{self.source}/{self.arm}"

    def occurred_at(self) -> datetime:
        return self.window_start


class LetterRedriven(Event):
    """A dead letter was sent back to its source topic.

    ``letter`` is its "partition@offset" in the dead-letter topic whose id is ``topic_id``;
    ``attempts`` is how often it had failed.
    """

    letter: Annotated[str, StringConstraints(pattern=rf"^{PLACE}$")]
    topic_id: Id
    topic: Id
    attempts: Number
    redriven_at: Time

    def identity(self) -> str:
        return f"{self.topic_id}/{self.letter}/{self.attempts}"

    def occurred_at(self) -> datetime:
        return self.redriven_at


ALL: tuple[type[Event], ...] = (
    TaskCompleted,
    Completions,
    TrainRequest,
    TrainingProgress,
    ModelUpdated,
    PredictionRequest,
    Prediction,
    PredictionScore,
    LetterRedriven,
)


def dump(event: Event) -> dict[str, Any]:
    """The event as JSON-able values: times RFC 3339 in UTC, undefined values null."""
    return event.model_dump(mode="json", by_alias=True)
