"""What happens in the system as a stream of events, and each event as one line for people.

Shared by `retrace watch`, `retrace up` and the pages. Turning events into lines is pure.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import singledispatch

from confluent_kafka import TopicPartition

from gateway.numerals import dots, grouped, plural
from schemas import codec, events, topics
from schemas.codec import Bad, Raw
from schemas.settings import Settings
from streams import tails

TOPICS = (
    topics.COMPLETIONS, topics.TRAIN_REQUEST, topics.TRAINING_PROGRESS,
    topics.MODEL_UPDATED, topics.PREDICTION, topics.DEAD_LETTERS,
)  # fmt: skip
NOW = dict.fromkeys(TOPICS, 0)


@dataclass(frozen=True)
class Letter:
    """A dead letter: where the message came from, why it failed and when; never its data."""

    place: str
    cause: str
    message: str
    failed_at: str | None = None


@dataclass(frozen=True)
class Happening:
    """An event of the feed and its topic's name without the prefix."""

    topic: str
    at: datetime
    event: events.Event | Letter


@dataclass(frozen=True)
class Line:
    """One line: a word of what happened, the details, and rich's style of the word."""

    word: str
    text: str
    style: str = ""


def begin(settings: Settings, back: Mapping[topics.Topic, int] = NOW) -> list[TopicPartition]:
    """So many messages ago in each partition of these topics. Raises ``Unreachable``."""
    most = {settings.topic_prefix + topic.name: each for topic, each in back.items()}
    return tails.before_ends(settings, most)


def follow(
    settings: Settings, stop: threading.Event, places: Sequence[TopicPartition] | None = None
) -> Iterator[Happening]:
    """What happens from these places on, by default from now on, until ``stop`` is set.

    Raises ``Unreachable``.
    """
    first = begin(settings) if places is None else places
    for raw in tails.follow_from(settings, first, stop=stop):
        yield decode(raw, settings.topic_prefix, datetime.now(UTC))


def decode(raw: Raw, prefix: str, now: datetime) -> Happening:
    """A message of one of ``TOPICS`` as a happening; what cannot be read is a letter."""
    topic = {prefix + topic.name: topic for topic in TOPICS}[raw.topic]
    if topic.event is None:
        return Happening(topic.name, now, _letter(raw))
    event = codec.decode(topic.event, topic.max_bytes, raw, now)
    if isinstance(event, Bad):
        place = f"{raw.topic}/{raw.partition}@{raw.offset}"
        return Happening(topic.name, now, Letter(place, event.cause, event.message))
    return Happening(topic.name, now, event)


def _letter(raw: Raw) -> Letter:
    facts = codec.error_facts(raw.headers)
    place = "{}/{}@{}".format(*(facts.get(name, "?") for name in ("topic", "partition", "offset")))
    return Letter(place, facts.get("class", "?"), facts.get("message", ""), facts.get("at"))


def when(happening: Happening) -> datetime:
    """When it happened, as far as the event says so; else when it was seen."""
    event = happening.event
    if not isinstance(event, Letter):
        return event.occurred_at()
    try:
        return datetime.fromisoformat(event.failed_at or "").astimezone(UTC)
    except (ValueError, OverflowError):
        return happening.at


def as_json(happening: Happening) -> dict[str, object]:
    """A happening as an object: the topic, when it was seen, and the event as on the topic."""
    event = happening.event
    values = vars(event) if isinstance(event, Letter) else events.dump(event)
    return {"topic": happening.topic, "seen_at": codec.rfc3339(happening.at), "event": values}


@singledispatch
def line(event: events.Event | Letter, every: int) -> Line:
    """One line about an event; ``every`` is how many completions make a train-request."""
    return Line("event", type(event).__name__)


@line.register
def _completions(event: events.Completions, every: int) -> Line:
    number = max((item.number for item in event.items), default=0)
    k = number % every or every
    added = f"  (+{grouped(len(event.items))})" if len(event.items) > 1 else ""
    return Line("completed", f"{dots(k, every)}  {grouped(number)} in all{added}", "green")


@line.register
def _request(event: events.TrainRequest, every: int) -> Line:
    asked = plural(event.completions, "completion")
    return Line("request", f"{event.request_id}  train on {asked}", "yellow")


@line.register
def _progress(event: events.TrainingProgress, every: int) -> Line:
    if event.state == "epoch":
        return Line("epoch", f"{event.request_id}  {epoch_words(event)}", "dim")
    if event.state == "published":
        return Line("published", f"{event.request_id}  version {event.version}", "bold green")
    if event.state == "started":
        return Line("training", event.request_id, "yellow")
    style = "dim" if event.state == "superseded" else "bold red"
    return Line(event.state, f"{event.request_id}  {event.reason or 'no reason given'}", style)


def epoch_words(event: events.TrainingProgress) -> str:
    """Model, epoch and losses of an epoch."""
    step = f"{event.epoch or 0:>2}/{event.epochs or 0}"
    return f"{event.model or '':<11}  {step}  loss {_loss(event.loss)}  val {_loss(event.val_loss)}"


def _loss(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


@line.register
def _model(event: events.ModelUpdated, every: int) -> Line:
    learned = f"learned from {plural(event.completions, 'completion')}"
    text = f"version {event.version}  {learned}  {score_words(event.metrics)}"
    return Line("model", text, "bold green")


def score_words(metrics: events.ModelMetrics) -> str:
    """A version's log loss beside the topic × difficulty baseline's on the same rows."""
    ours, base = metrics.log_loss, metrics.topic_difficulty
    if ours is None:
        return "not scored yet (too few new rows)"
    beside = base.log_loss if base is not None else None
    baseline = "" if beside is None else f" (topic × difficulty {beside:.3f})"
    return f"log loss {ours:.3f}{baseline}"


@line.register
def _prediction(event: events.Prediction, every: int) -> Line:
    who = f"{event.user_id}  {event.topic} {event.difficulty}"
    times = f"{event.expected_seconds:.0f} s ({event.seconds_low:.0f}–{event.seconds_high:.0f})"
    return Line("predicted", f"{who}  p {event.p_correct:.2f}  {times}  {source_words(event)}")


def source_words(event: events.Prediction) -> str:
    """Where a prediction came from: its source and version, or why it is the default."""
    if event.model_version is None:
        return f"{event.source}: {event.reason}"
    return f"{event.source} v{event.model_version}"


@line.register
def _dead(event: Letter, every: int) -> Line:
    return Line("dead letter", f"{event.place}  {event.cause}: {event.message}", "bold red")
