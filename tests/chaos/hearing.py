"""What the system says while it is hurt: announcements, progress, and who is ready."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from confluent_kafka import TopicPartition

from schemas import codec, topics
from schemas.codec import Bad
from schemas.events import ModelUpdated, TrainingProgress
from schemas.settings import Settings
from streams import kafka
from tests.chaos.stage import Child
from tests.chaos.threefold import Troupe, port_of

LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Heard:
    """An announcement or progress; ``at`` is when it came."""

    at: datetime
    event: ModelUpdated | TrainingProgress


class Hearing(threading.Thread):
    """Follows model-updated and training-progress from their start."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="hearing", daemon=True)
        prefix = settings.topic_prefix
        self.kinds = {prefix + topics.MODEL_UPDATED.name: (topics.MODEL_UPDATED, ModelUpdated)}
        self.kinds |= {
            prefix + topics.TRAINING_PROGRESS.name: (topics.TRAINING_PROGRESS, TrainingProgress)
        }  # type: ignore[dict-item]
        self.settings = settings
        self.heard: list[Heard] = []
        self.stop = threading.Event()

    def run(self) -> None:
        consumer = kafka.consumer(self.settings, "chaos-hearing")
        consumer.assign([TopicPartition(name, 0, 0) for name in self.kinds])
        while not self.stop.is_set():
            for message in kafka.drain(consumer, 500, 0.05):
                raw, now = kafka.raw(message), datetime.now(UTC)
                topic, kind = self.kinds[raw.topic]
                event = codec.decode(kind, topic.max_bytes, raw, now)
                if not isinstance(event, Bad):
                    self.heard.append(Heard(now, event))
        consumer.close()

    def next(
        self, wanted: Callable[[ModelUpdated | TrainingProgress], bool], seconds: float, since: int
    ) -> ModelUpdated | TrainingProgress | None:
        """The first that is wanted, of those from the ``since``-th on; None where none comes."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            fresh, since = self.heard[since:], max(since, len(self.heard))
            for one in fresh:
                if wanted(one.event):
                    return one.event
            time.sleep(0.002)
        return None

    @property
    def updates(self) -> list[Heard]:
        return [one for one in self.heard if isinstance(one.event, ModelUpdated)]


class Pulse(threading.Thread):
    """Looks at inference: ``revisions`` are (process, revision) in the order seen."""

    def __init__(self, troupe: Troupe) -> None:
        super().__init__(name="pulse", daemon=True)
        self.troupe = troupe
        self.revisions: list[tuple[int, int]] = []
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(LOOK_SECONDS):
            for child in self.troupe.inferences:
                self._look(child)

    def _look(self, child: Child) -> None:
        pid = child.popen.pid if child.popen is not None else 0
        said = readiness(child)
        if not said or child.popen is None or child.popen.pid != pid:
            return
        if said.get("revision") is not None:
            self.revisions.append((pid, int(said["revision"])))


def readiness(child: Child) -> dict[str, Any]:
    """What a service's /readyz says; empty while it does not answer."""
    try:
        url = f"http://127.0.0.1:{port_of(child)}/readyz"
        return dict(httpx.get(url, timeout=1.0, trust_env=False).json())
    except (httpx.HTTPError, ValueError):
        return {}
