"""What the trainer says: progress on the way, outcomes, and the version that serves."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import structlog

from schemas import codec, events, topics
from schemas.codec import Message
from schemas.events import ModelUpdated
from schemas.settings import Settings
from streams import database, kafka, tails, traces
from streams.burial import Burial
from streams.patience import Patience
from training import meters
from training.registry import Ended, Registry

log = structlog.get_logger("retrace")


class Announcer:
    """Publishes for the trainer; outcomes and versions are acknowledged by the broker.

    ``contexts``: the trace context that each request under way came with, if it had one.
    """

    def __init__(self, settings: Settings, patience: Patience, registry: Registry) -> None:
        self.settings, self.patience, self.registry = settings, patience, registry
        self.publisher = kafka.Publisher(settings)
        self.bury = Burial(settings, self.publisher, patience)
        self.contexts: dict[str, str] = {}

    def progress(self, request_id: str, state: str, **facts: Any) -> None:
        """Progress on the way; it may be lost with a broker."""
        self.publisher.send(self._progress(request_id, state, **facts))
        self.publisher.poll()

    def outcomes(self, ended: Iterable[tuple[str, Ended]]) -> None:
        """Publish outcomes; where a version is among them, what serves now comes first."""
        known = list(ended)
        if any(outcome.state == "published" for _, outcome in known):
            serving = self.patience.call("store", database.is_away, self.registry.revisions.serving)
            if serving is not None:
                self.model(serving)
        self._publish(
            *(
                self._progress(name, outcome.state, reason=outcome.reason, version=outcome.version)
                for name, outcome in known
            )
        )

    def model(self, updated: ModelUpdated) -> None:
        """Announce the version that serves."""
        prefix = self.settings.topic_prefix
        message = codec.encode(topics.MODEL_UPDATED, updated, "training", prefix=prefix)
        self._publish(traces.onto(message))
        meters.announced(updated)
        self.patience.health.note(version=updated.version, revision=updated.revision)

    def reconcile(self) -> None:
        """Make registry, model store and topic agree after one of them was lost."""
        seen = self.patience.call("kafka", kafka.is_away, newest, self.settings)
        if seen is not None:
            meters.announced(seen)
        reconcile = self.registry.revisions.reconcile
        serving = self.patience.call("store", database.is_away, reconcile, seen)
        if serving is not None:
            log.info("announcing again", version=serving.version, revision=serving.revision)
            self.model(serving)

    def _progress(self, request_id: str, state: str, **facts: Any) -> Message:
        values = {"request_id": request_id, "state": state, "at": datetime.now(UTC), **facts}
        event = events.TrainingProgress.model_validate(values)
        prefix = self.settings.topic_prefix
        message = codec.encode(topics.TRAINING_PROGRESS, event, "training", prefix=prefix)
        return traces.onto(message, traces.current() or self.contexts.get(request_id))

    def _publish(self, *messages: Message) -> None:
        if messages:
            self.patience.call("kafka", kafka.is_away, self.publisher.publish, messages)


def newest(settings: Settings) -> ModelUpdated | None:
    """The newest announcement on the topic. Raises ``Unreachable`` where Kafka does not answer."""
    name = settings.topic_prefix + topics.MODEL_UPDATED.name
    limit, now = topics.MODEL_UPDATED.max_bytes, datetime.now(UTC)
    tail = tails.last_messages(settings, name, 100)
    found = [codec.decode(ModelUpdated, limit, raw, now) for raw in tail]
    good = [event for event in found if isinstance(event, ModelUpdated)]
    return max(good, key=lambda event: event.revision, default=None)
