"""The event types of the contract: frozen, validated on the way in and on the way out.

Strict: a number is not a string, null is not false, NaN is not a duration. Unknown fields are
ignored, so that an older consumer reads a newer producer. Times are kept in UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from schemas.fields import (
    Arm,
    CompletedAt,
    Count,
    Difficulty,
    ExpectedSeconds,
    HistoryLength,
    Id,
    ModelName,
    Number,
    PredictedAt,
    Probability,
    Reason,
    RequestId,
    Revision,
    Seconds,
    SecondsHigh,
    SecondsLow,
    Source,
    StartedAt,
    Subject,
    TaskId,
    Text,
    Time,
    TrainId,
    UserId,
    Version,
    about,
)

MAX_AHEAD = timedelta(minutes=5)
HEX_64 = r"^[0-9a-f]{64}$"
PLACE = r"[0-9]{1,9}@[0-9]{1,19}"
REPLY_TOPIC = r"reply\.[A-Za-z0-9._-]{1,120}"


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

    task_id: TaskId
    user_id: UserId
    topic: Subject
    difficulty: Difficulty
    started_at: Annotated[
        StartedAt | None, about("When the learner began; else `completed_at` minus the seconds.")
    ] = None
    completed_at: Annotated[
        CompletedAt, about("When the learner finished; at most five minutes ahead of now.")
    ]
    is_correct: Annotated[bool, about("Whether the answer was right.", True)]
    actual_time_seconds: Annotated[Seconds, about("Seconds that it took.", 21.5)]
    timed_out: Annotated[bool | None, about("Whether the clock ended it.", False)] = None

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

    number: Annotated[Number, about("Its place: 1, 2, 3 … without a gap.", 105)]
    completed_at: CompletedAt


class Completions(Event):
    """Completions as recorded, a message a batch. ``generation`` tells a rebuilt store apart."""

    generation: Annotated[
        Number, about("When this store began to number, ms since 1970; the higher counts.",
                      1_772_000_000_000)
    ]  # fmt: skip
    items: tuple[NumberedCompletion, ...] = Field(
        max_length=10_000, description="The batch, in the order of the numbers."
    )

    def identity(self) -> str:
        numbers = [item.number for item in self.items]
        return (
            f"{self.generation}-{min(numbers, default=0)}-{max(numbers, default=0)}-{len(numbers)}"
        )

    def occurred_at(self) -> datetime:
        return max((item.completed_at for item in self.items), default=datetime.now(UTC))


class OffsetRange(Event):
    """Offsets of one partition, ``first`` included, ``end`` not."""

    partition: Annotated[Count, about("Partition of `task-completed`.", 3)]
    first: Annotated[Count, about("First offset.", 0)]
    end: Annotated[Count, about("Offset after the last.", 1200)]


class DataRange(Event):
    """What to learn from: the whole store, or a range of the log by time or by offsets."""

    source: Literal["store", "log"] = Field(
        default="store", alias="from", description="The store, or the log of `task-completed`."
    )
    since: Annotated[Time | None, about("Of the log: messages of that time or later.")] = None
    until: Annotated[Time | None, about("Of the log: messages before that time.")] = None
    offsets: tuple[OffsetRange, ...] | None = Field(
        default=None, max_length=10_000, description="Of the log: these offsets."
    )


_ID_OF = {"count": "^count-(0|[1-9][0-9]*)$", "manual": "^manual-", "replay": "^replay-"}


def _named(trigger: str) -> dict[str, Any]:
    """As much of ``_id_matches_trigger`` as JSON Schema can say."""
    return {
        "if": {"properties": {"trigger": {"const": trigger}}},
        "then": {"properties": {"request_id": {"pattern": _ID_OF[trigger]}}},
    }


class TrainRequest(Event):
    """Rebuild the models."""

    model_config = ConfigDict(json_schema_extra={"allOf": [_named(t) for t in _ID_OF]})

    request_id: TrainId
    trigger: Annotated[
        Literal["count", "manual", "replay"], about("The counter, an operator, or a replay.")
    ]
    completions: Annotated[Count, about("Completions recorded when it was asked for.", 105)]
    requested_at: Annotated[Time, about("When it was asked for.", "2026-03-01T12:00:00.100Z")]
    data: Annotated[DataRange, about("What to learn from.")] = DataRange()

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

    request_id: TrainId
    state: Annotated[
        Literal["started", "epoch", "published", "superseded", "rejected", "failed"],
        about("The last four are outcomes; every request ends in exactly one.", "epoch"),
    ]
    at: Annotated[Time, about("When it came to that.", "2026-03-01T12:00:02Z")]
    model: Annotated[
        Literal["correctness", "time"] | None, about("Of an epoch: which network.", "correctness")
    ] = None
    epoch: Annotated[Number | None, about("Of an epoch: which, from 1 on.", 3)] = None
    epochs: Annotated[Number | None, about("Of an epoch: how many there will be.", 14)] = None
    loss: Annotated[float | None, about("Of an epoch: the training loss.", 0.6412)] = None
    val_loss: Annotated[float | None, about("Of an epoch: on held-out rows.", 0.6533)] = None
    reason: Annotated[Text | None, about("Of an outcome: why, in words for people.")] = None
    version: Annotated[Number | None, about("The model version, published or rejected.")] = None

    def identity(self) -> str:
        step = f"/{self.model}/{self.epoch}" if self.state == "epoch" else ""
        return f"{self.request_id}/{self.state}{step}"

    def occurred_at(self) -> datetime:
        return self.at


class Scores(Event):
    """How predictions compared with what happened; null where undefined (see docs)."""

    rows: Annotated[Count, about("Predictions that were compared.", 250)]
    log_loss: Annotated[
        float | None, about("Mean -log of the probability given to what happened, nats.", 0.571)
    ] = None
    auc: Annotated[
        float | None, about("Chance that a right answer got more than a wrong one.", 0.74)
    ] = None
    accuracy: Annotated[float | None, about("Share on the right side of 0.5.", 0.7)] = None
    brier: Annotated[float | None, about("Mean squared error of the probability.", 0.19)] = None
    ece: Annotated[float | None, about("Calibration error over 15 equal bins.", 0.04)] = None
    mae_seconds: Annotated[float | None, about("Mean absolute error, seconds.", 11.2)] = None
    log_rmse: Annotated[float | None, about("Root mean squared error of log seconds.", 0.52)] = None
    coverage_80: Annotated[float | None, about("Share inside the 80 % interval.", 0.81)] = None


class ModelMetrics(Scores):
    """A version's scores on rows it had not learned, beside its peers' on the same rows."""

    lnirt: Annotated[Scores | None, about("LNIRT alone.")] = None
    topic_difficulty: Annotated[Scores | None, about("Means by topic and difficulty.")] = None
    serving: Annotated[Scores | None, about("The version that was serving.")] = None


class ModelUpdated(Event):
    """The version to serve from now on. Consumers obey the highest ``revision`` they have seen."""

    model: ModelName
    revision: Annotated[Number, about("Strictly ascending: obey the highest.", 17)]
    version: Annotated[Number, about("A rollback names an older one again.", 15)]
    request_id: TrainId
    artifact: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"),
        about("Its folder below the model store.", "v000015"),
    ]
    sha256: Annotated[
        str,
        StringConstraints(pattern=HEX_64),
        about("Of the folder's manifest.", "5f70bf18a086007016e948b04aed3b82" * 2),
    ]
    trained_at: Annotated[Time, about("When it was trained.", "2026-03-01T12:00:04Z")]
    completions: Annotated[Count, about("Completions that it has learned from.", 105)]
    users: Annotated[Count, about("Learners that it knows.", 20)]
    topics: Annotated[Count, about("Topics that it knows.", 6)]
    difficulties: Annotated[Count, about("Difficulties that it knows.", 3)]
    metrics: Annotated[ModelMetrics, about("On rows that it had not learned yet.")]

    def identity(self) -> str:
        return f"{self.model}/{self.revision}"

    def occurred_at(self) -> datetime:
        return self.trained_at


class Candidate(Event):
    """One cell of a forecast."""

    topic: Subject
    difficulty: Difficulty


class PredictionRequest(Event):
    """What will this learner do on this task?"""

    request_id: RequestId
    task_id: TaskId
    user_id: UserId
    topic: Subject
    difficulty: Difficulty
    started_at: StartedAt
    purpose: Annotated[
        Literal["practice", "forecast", "why"],
        about("`forecast` and `why` are answered on the asker's reply topic only.", "practice"),
    ] = "practice"
    candidates: tuple[Candidate, ...] | None = Field(
        default=None,
        max_length=500,
        description="Of a forecast: what to tell of; without it all that the version knows.",
    )
    after: Annotated[
        Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}@[0-9]{1,18}$")] | None,
        about("`partition@offset` of a completion that the answer must know.", "3@1199"),
    ] = None
    expires_at: Annotated[
        Time | None, about("Then the cheap default is enough.", "2026-03-01T11:59:39.200Z")
    ] = None

    def identity(self) -> str:
        return self.request_id

    def occurred_at(self) -> datetime:
        return self.started_at


class Prediction(Event):
    """The answer. ``reason`` says why it comes from that source."""

    request_id: RequestId
    task_id: TaskId
    user_id: UserId
    topic: Subject
    difficulty: Difficulty
    started_at: StartedAt
    p_correct: Probability
    expected_seconds: ExpectedSeconds
    seconds_low: SecondsLow
    seconds_high: SecondsHigh
    source: Source
    reason: Reason
    arm: Arm = "champion"
    model_version: Version | None = None
    model_revision: Revision | None = None
    history_length: HistoryLength
    predicted_at: PredictedAt

    def identity(self) -> str:
        return self.request_id

    def occurred_at(self) -> datetime:
        return self.predicted_at


CALIBRATION_BINS = 10  # of equal width, in what is kept of calibration


class PredictionScore(Scores):
    """The live accuracy of one version, source and arm in one window."""

    window_start: Annotated[Time, about("Of completions from then on.", "2026-03-01T12:00:00Z")]
    window_seconds: Annotated[Number, about("For so long.", 900)]
    version: Version | None = None
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

    letter: Annotated[
        str,
        StringConstraints(pattern=rf"^{PLACE}$"),
        about("Where it is in `dead-letters`, partition@offset.", "3@17"),
    ]
    topic_id: Annotated[Id, about("Kafka's id of that topic.", "Zx3rQ2m1TgKqvVvHnE0b1w")]
    topic: Annotated[Id, about("Where it was sent back to.", "task-completed")]
    attempts: Annotated[Number, about("How often it had failed.", 1)]
    redriven_at: Annotated[Time, about("When it was sent back.", "2026-03-01T13:00:00Z")]

    def identity(self) -> str:
        return f"{self.topic_id}/{self.letter}/{self.attempts}"

    def occurred_at(self) -> datetime:
        return self.redriven_at


class LearnerForgotten(Event):
    """A learner is forgotten, for good. Told by a keyed hash, so that nobody is named."""

    learner: Annotated[
        str,
        StringConstraints(pattern=HEX_64),
        about("HMAC-SHA-256 under `salt` of `user/` and the learner's id, in hex.", "9f" * 32),
    ]
    salt: Annotated[
        str, StringConstraints(pattern=HEX_64), about("The hash's key, in hex.", "0b" * 32)
    ]
    forgotten_at: Annotated[Time, about("When it was asked for.", "2026-03-01T13:00:00Z")]

    def identity(self) -> str:
        return self.learner

    def occurred_at(self) -> datetime:
        return self.forgotten_at


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
    LearnerForgotten,
)


def dump(event: Event) -> dict[str, Any]:
    """The event as JSON-able values: times RFC 3339 in UTC, undefined values null."""
    return event.model_dump(mode="json", by_alias=True)
