"""What is kept of answers: predictions, and requests that could not be read.

Nobody waits for it, and what a processor does right after a reply holds the reply up on its way: a
batch's part is handed over when no request comes for a moment, at the latest after the next batch's
replies, and before any offset is committed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaException

from inference import metrics
from inference.answers import Answered
from schemas import codec, topics
from schemas.codec import Bad, Message
from schemas.errors import Unreachable
from schemas.events import Prediction
from streams import kafka, traces
from streams.burial import Burial
from streams.consumption import Consumption
from streams.patience import Patience


@dataclass(frozen=True)
class Batch:
    """What came of so many messages in so many seconds: each answer with its trace context."""

    answered: Sequence[tuple[Answered, str | None]]
    bad: Sequence[Bad]
    messages: int
    seconds: float


class Keeping:
    """``settle`` before an offset is committed: each request's answer is kept at least once."""

    def __init__(
        self, patience: Patience, publisher: kafka.Publisher, consumption: Consumption
    ) -> None:
        self.patience, self.publisher, self.consumption = patience, publisher, consumption
        self.settings = consumption.settings
        self._bury = Burial(self.settings, publisher, patience)
        self._batch: Batch | None = None
        self._flight = publisher.begin([])

    @property
    def is_due(self) -> bool:
        """Whether there is something to hand over."""
        return self._batch is not None

    def put(self, batch: Batch) -> None:
        """Keep this later, and what was put before now."""
        self.hand_over()
        self._batch = batch

    def hand_over(self) -> None:
        """Hand over what was put, and count it; ``settle`` waits until the broker has it."""
        if (batch := self._batch) is None:
            return
        if batch.messages:
            self.consumption.handled(batch.messages, batch.seconds)
        _count(batch.answered)
        lasting = [
            traces.onto(self._encoded(prediction), context)
            for each, context in batch.answered
            for prediction in (each.told, each.kept)
            if prediction is not None
        ]
        self._land()
        self._flight = self.patience.call("kafka", kafka.is_away, self.publisher.begin, lasting)
        self._bury(batch.bad)
        self.forget()

    def settle(self) -> None:
        """Wait until the broker has all that was put; what failed goes again."""
        self.hand_over()
        self._land()

    def forget(self) -> None:
        """Hand over nothing of what was put."""
        self._batch = None

    def _land(self) -> None:
        flight, self._flight = self._flight, self.publisher.begin([])
        try:
            self.publisher.settle(flight)
        except (KafkaException, Unreachable) as error:
            if not kafka.is_away(error):
                raise
            self.patience.call("kafka", kafka.is_away, self.publisher.publish, flight.messages)

    def _encoded(self, prediction: Prediction) -> Message:
        prefix = self.settings.topic_prefix
        return codec.encode(topics.PREDICTION, prediction, "inference", prefix=prefix)


def _count(answered: Sequence[tuple[Answered, str | None]]) -> None:
    alike = Counter((each.told.source, each.cause, each.told.arm) for each, _ in answered)
    for labels, number in alike.items():
        metrics.PREDICTIONS.labels(*labels).inc(number)
