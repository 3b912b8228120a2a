"""Every topic, bound once to its event, key, partitions, retention and single writer."""

from __future__ import annotations

from dataclasses import dataclass, replace

from schemas import events, replies

DAY = 86_400
MIB = 1_048_576
KIB = 1_024
# What a broker accepts for any source topic, and for dead letters, which add headers.
SOURCE_LIMIT = 2 * MIB
DEAD_LETTER_LIMIT = SOURCE_LIMIT + 64 * KIB


@dataclass(frozen=True)
class Topic:
    """A topic of the contract.

    ``key`` is the event's field that is the message key; ``kept_seconds`` None means for ever;
    ``also`` are further events that it carries, told apart by their ``ce_type``;
    ``sent_by`` and ``read_by`` are those of Retrace's own services that do;
    ``max_bytes`` is what a decoder accepts, smaller than what the broker takes, so that an
    over-long value becomes a dead letter rather than a producer's mystery.
    """

    name: str
    event: type[events.Event] | None
    key: str | None
    partitions: int
    kept_seconds: int | None
    writer: str
    compacted: bool = False
    max_bytes: int = 64 * KIB
    about: str = ""
    also: tuple[type[events.Event], ...] = ()
    sent_by: tuple[str, ...] = ()
    read_by: tuple[str, ...] = ()

    @property
    def is_reply(self) -> bool:
        return self.name.startswith("reply.")

    def kind(self, event: events.Event | type[events.Event]) -> str:
        """The CloudEvents type of one of its events."""
        made = event if isinstance(event, type) else type(event)
        word = made.__name__.lower() if made in self.also else self.name.split(".")[0]
        return f"retrace.{word}"

    def spread(self, partitions: int) -> Topic:
        """This topic with so many partitions, unless it is one of a single partition."""
        return replace(self, partitions=partitions) if self.partitions > 1 else self

    def config(self) -> dict[str, str]:
        """The topic's broker configuration."""
        limit = DEAD_LETTER_LIMIT if self.event is None else SOURCE_LIMIT
        kept = -1 if self.kept_seconds is None else self.kept_seconds * 1000
        return {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "retention.ms": str(kept),
            "max.message.bytes": str(limit),
        }


TASK_COMPLETED = Topic(
    "task-completed",
    events.TaskCompleted,
    "user_id",
    6,
    None,
    "producers",
    max_bytes=16 * KIB,
    about="a learner finished a task",
    sent_by=("gateway", "operators"),
    read_by=("streams",),
)
COMPLETIONS = Topic(
    "completions",
    events.Completions,
    None,
    1,
    7 * DAY,
    "streams",
    max_bytes=MIB,
    about="completions as recorded, with their numbers, one message per batch",
    sent_by=("streams",),
    read_by=("streams", "operators"),
)
TRAIN_REQUEST = Topic(
    "train-request",
    events.TrainRequest,
    None,
    1,
    30 * DAY,
    "streams, operators",
    max_bytes=MIB,
    about="rebuild the models",
    sent_by=("streams", "gateway", "operators"),
    read_by=("training", "gateway", "operators"),
)
TRAINING_PROGRESS = Topic(
    "training-progress",
    events.TrainingProgress,
    "request_id",
    1,
    7 * DAY,
    "training",
    about="started, epoch, published, superseded, rejected, failed",
    sent_by=("training", "operators"),
    read_by=("gateway", "operators"),
)
MODEL_UPDATED = Topic(
    "model-updated",
    events.ModelUpdated,
    "model",
    1,
    None,
    "training",
    compacted=True,
    about="the model version to serve from now on",
    sent_by=("training", "gateway", "operators"),
    read_by=("inference", "gateway", "operators"),
)
PREDICTION_REQUEST = Topic(
    "prediction-request",
    events.PredictionRequest,
    "user_id",
    6,
    7 * DAY,
    "askers",
    max_bytes=MIB,
    about="what will this learner do on this task?",
    sent_by=("gateway", "operators"),
    read_by=("inference",),
)
PREDICTION = Topic(
    "prediction",
    events.Prediction,
    "user_id",
    6,
    30 * DAY,
    "inference",
    about="the answer",
    sent_by=("inference",),
    read_by=("streams", "operators"),
)
PREDICTION_SCORE = Topic(
    "prediction-score",
    events.PredictionScore,
    None,
    1,
    30 * DAY,
    "streams",
    about="how predictions compared with what happened",
    sent_by=("streams",),
)
DEAD_LETTERS = Topic(
    "dead-letters",
    None,
    None,
    6,
    30 * DAY,
    "every consumer",
    max_bytes=SOURCE_LIMIT,
    about="what could not be processed, byte for byte",
    sent_by=("streams", "training", "inference"),
    read_by=("gateway", "operators"),
)

LETTER_REDRIVEN = Topic(
    "letter-redriven",
    events.LetterRedriven,
    None,
    1,
    30 * DAY,
    "operators",
    about="a dead letter was sent back to its source topic",
    sent_by=("gateway", "operators"),
    read_by=("gateway", "operators"),
)
LEARNER_FORGOTTEN = Topic(
    "learner-forgotten",
    events.LearnerForgotten,
    "learner",
    1,
    None,
    "operators, streams",
    compacted=True,
    about="a learner is forgotten, told by a keyed hash",
    sent_by=("streams", "operators"),
    read_by=("streams", "operators"),
)

ALL: tuple[Topic, ...] = (
    TASK_COMPLETED,
    COMPLETIONS,
    TRAIN_REQUEST,
    TRAINING_PROGRESS,
    MODEL_UPDATED,
    PREDICTION_REQUEST,
    PREDICTION,
    PREDICTION_SCORE,
    DEAD_LETTERS,
    LETTER_REDRIVEN,
    LEARNER_FORGOTTEN,
)
# The counting table's log, which Faust names after its app; no part of the contract.
COUNTER_CHANGELOG = Topic(
    "retrace-count-state-changelog", None, None, 1, None, "streams", compacted=True
)
EVERY = (*ALL, COUNTER_CHANGELOG)
# What consumers of ours read and bury from: a dead letter may be sent back to these and no other.
REDRIVABLE = (TASK_COMPLETED, COMPLETIONS, TRAIN_REQUEST, PREDICTION_REQUEST, PREDICTION)


def reply(name: str) -> Topic:
    """A reply topic of one asker; ``name`` is below the ``reply.`` namespace."""
    return Topic(
        f"reply.{name}",
        events.Prediction,
        None,
        1,
        3600,
        "inference",
        max_bytes=MIB,
        about="answers for one asker",
        also=(replies.Forecast, replies.Why, replies.Refusal),
        sent_by=("inference",),
        read_by=("gateway",),
    )
