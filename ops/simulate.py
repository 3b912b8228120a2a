"""`retrace simulate`: learners who answer through the public topics, as any producer would.

For each task a prediction-request, then the task-completed; some of these are published again
later. Each batch is acknowledged by the broker before the next, and waits where Kafka is away.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush

from ops.learners import Attempt, Classroom
from schemas import codec, events, topics
from schemas.codec import Message
from schemas.settings import Settings
from streams import declare, kafka
from streams.health import Health
from streams.patience import Patience, Stopped

# A completion follows its prediction-request by so much, for the prediction to come before it.
LEAD_SECONDS = 0.5
REPEATED_WITHIN = 50
BATCH = 500


@dataclass(frozen=True)
class Plan:
    """What to simulate. ``rate`` tasks a second, 0 as fast as possible; ``seconds`` 0 endless;
    ``duplicates`` percent; ``completions`` None for no limit."""

    learners: int
    rate: float
    seconds: float = 0.0
    duplicates: float = 0.0
    completions: int | None = None
    seed: int | None = None


@dataclass
class Published:
    """What was published and acknowledged."""

    completions: int = 0
    duplicates: int = 0
    prediction_requests: int = 0
    seconds: float = 0.0


@dataclass
class Simulation:
    """One run. ``advance`` is called with what was acknowledged so far, after each batch."""

    settings: Settings
    plan: Plan
    stop: threading.Event
    advance: Callable[[Published], None] = lambda _published: None
    published: Published = field(default_factory=Published)

    def __post_init__(self) -> None:
        self.classroom = Classroom(self.plan.learners, self.plan.seed)
        self.run_id = uuid.uuid4().hex[:12]
        self.publisher = kafka.Publisher(self.settings)
        self.lead = LEAD_SECONDS if self.plan.rate else 0.0
        self._begun = 0
        self._completed_at: dict[str, datetime] = {}
        self._due: list[tuple[float, int, Message]] = []
        self._again: list[tuple[int, int, Message]] = []

    def run(self) -> dict[str, object]:
        """Publish until the plan is done or ``stop`` is set; what was published."""
        patience = Patience(Health("simulate", ("kafka",)), self.stop)
        began = time.monotonic()
        try:
            patience.call("kafka", kafka.is_away, declare.declare, self.settings)
            began = time.monotonic()
            for batch in self._batches(began):
                patience.call("kafka", kafka.is_away, self.publisher.publish, batch.messages)
                self._note(batch)
        except Stopped:
            pass
        self.published.seconds = round(time.monotonic() - began, 3)
        return asdict(self.published)

    def _batches(self, began: float) -> Iterator[_Batch]:
        """Whatever is due, then a pause until more is. A stop still completes what was begun."""
        while not self.stop.is_set() and not self._is_over(began):
            now = time.monotonic()
            batch = _Batch()
            for _ in range(self._owed(now - began)):
                self._begin(batch, now)
            self._complete(batch, now)
            if batch.messages:
                yield batch
            self.stop.wait(self._pause(began))
        rest = _Batch()
        self._complete(rest, float("inf"))
        self._repeat(rest, everything=True)
        yield rest

    def _is_over(self, began: float) -> bool:
        enough = self.plan.completions is not None and self._begun >= self.plan.completions
        late = self.plan.seconds and time.monotonic() - began >= self.plan.seconds
        return bool(late or (enough and not self._due))

    def _owed(self, elapsed: float) -> int:
        """How many tasks to begin now."""
        owed = BATCH
        if self.plan.rate:
            owed = min(int(elapsed * self.plan.rate) + 1 - self._begun, BATCH)
        if self.plan.completions is not None:
            owed = min(owed, self.plan.completions - self._begun)
        return max(owed, 0)

    def _pause(self, began: float) -> float:
        """Seconds until the next task begins or completes."""
        if not self.plan.rate:
            return 0.0
        next_begin = began + self._begun / self.plan.rate
        next_completion = self._due[0][0] if self._due else float("inf")
        return min(max(min(next_begin, next_completion) - time.monotonic(), 0.001), 0.5)

    def _begin(self, batch: _Batch, now: float) -> None:
        self._begun += 1
        attempt = self.classroom.attempt()
        task = self._task(attempt, datetime.now(UTC) + timedelta(seconds=self.lead))
        batch.add(self._encoded(topics.PREDICTION_REQUEST, _request(task)), requests=1)
        completed = self._encoded(topics.TASK_COMPLETED, task)
        heappush(self._due, (now + self.lead, self._begun, completed))
        if self.classroom.random.random() * 100 < self.plan.duplicates:
            again = self._begun + 1 + int(self.classroom.random.integers(REPEATED_WITHIN))
            heappush(self._again, (again, self._begun, completed))

    def _complete(self, batch: _Batch, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            batch.add(heappop(self._due)[2], completions=1)
            batch.last = self.published.completions + batch.counts.completions
            self._repeat(batch)

    def _repeat(self, batch: _Batch, *, everything: bool = False) -> None:
        while self._again and (everything or self._again[0][0] <= batch.last):
            batch.add(heappop(self._again)[2], duplicates=1)

    def _task(self, attempt: Attempt, completed_at: datetime) -> events.TaskCompleted:
        """The completion. A learner's tasks follow each other, so none starts before the last."""
        started_at = completed_at - timedelta(seconds=attempt.seconds)
        started_at = max(started_at, self._completed_at.get(attempt.learner, started_at))
        self._completed_at[attempt.learner] = completed_at
        return events.TaskCompleted(
            task_id=f"sim-{self.run_id}-{self._begun}",
            user_id=attempt.learner,
            topic=attempt.topic,
            difficulty=attempt.difficulty,
            started_at=started_at,
            completed_at=completed_at,
            is_correct=attempt.is_correct,
            actual_time_seconds=attempt.seconds,
        )

    def _encoded(self, topic: topics.Topic, event: events.Event) -> Message:
        return codec.encode(topic, event, "simulate", prefix=self.settings.topic_prefix)

    def _note(self, batch: _Batch) -> None:
        self.published.completions += batch.counts.completions
        self.published.duplicates += batch.counts.duplicates
        self.published.prediction_requests += batch.counts.prediction_requests
        self.advance(self.published)


@dataclass
class _Batch:
    messages: list[Message] = field(default_factory=list)
    counts: Published = field(default_factory=Published)
    last: int = 0

    def add(
        self, message: Message, *, completions: int = 0, duplicates: int = 0, requests: int = 0
    ) -> None:
        self.messages.append(message)
        self.counts.completions += completions
        self.counts.duplicates += duplicates
        self.counts.prediction_requests += requests


def _request(task: events.TaskCompleted) -> events.PredictionRequest:
    return events.PredictionRequest(
        request_id=f"{task.task_id}-prediction",
        task_id=task.task_id,
        user_id=task.user_id,
        topic=task.topic,
        difficulty=task.difficulty,
        started_at=task.start(),
    )
