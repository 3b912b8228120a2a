"""Count: ``completions`` to train-requests and the windowed counter's next state.

What the Faust agent (app.py) does with each message, without Faust: the state goes in as bytes
and comes out as bytes; the train-requests are acknowledged before the state may be written.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from schemas import codec, events, topics
from schemas.codec import Bad, Message, Raw
from schemas.settings import Settings
from streams import counting, database, kafka, metrics, traces
from streams.burial import Burial
from streams.common_metrics import reached
from streams.consumption import Consumption
from streams.counting import Cadence, Counter, Interval
from streams.patience import Patience
from streams.store import Store
from streams.windows import Rule

log = structlog.get_logger("retrace")
GROUP = "retrace-count"
HEAL_ITEMS, HEAL_MESSAGES = 1000, 100


def rule(settings: Settings) -> Rule:
    return Rule(
        settings.window_seconds, settings.window_grace_seconds, settings.window_kept_seconds
    )


def requests(
    fresh: Sequence[int], cadences: Sequence[Cadence], now: datetime
) -> list[events.TrainRequest]:
    """The train-requests that these numbers are."""
    return [
        events.TrainRequest(
            request_id=f"count-{number}", trigger="count", completions=number, requested_at=now
        )
        for number in fresh
        if counting.is_due(number, cadences)
    ]


def _completed_at(batch: events.Completions, number: int) -> datetime:
    return next(item.completed_at for item in reversed(batch.items) if item.number == number)


class Count:
    """The count agent's work, and the healing of what it has not seen."""

    def __init__(self, settings: Settings, store: Store, patience: Patience) -> None:
        self.settings, self.store, self.patience = settings, store, patience
        self.publisher = kafka.Publisher(settings)
        self._bury = Burial(settings, self.publisher, patience)
        self.consumption = patience.health.watch(Consumption(settings, topics.COMPLETIONS, GROUP))
        self.rule = rule(settings)
        self._state: tuple[bytes, Counter] = (b"", Counter())
        self._standing = (0, 0)
        self._lock = threading.Lock()  # the agent and the timer call from threads of their own

    def counter(self, state: bytes) -> Counter:
        """The counter that a table's value holds."""
        if self._state[0] != state:
            self._state = (state, counting.load(state))
        return self._state[1]

    def stalls(self) -> int | None:
        """What stays the same while messages wait and none is in hand; None: it goes on.

        Every offset of ``completions`` is a message that comes to us in time, so that waiting
        alone is a sign here.
        """
        idle = self.consumption.waiting and not self._lock.locked()
        return self.consumption.moves if idle else None

    def handle(self, state: bytes, raw: Raw) -> bytes:
        """The next state after a message. Its train-requests are published when this returns."""
        began = time.monotonic()
        with self._lock, self.consumption.span([raw]):
            after = self._handled(state, raw)
        self.consumption.handled(1, time.monotonic() - began)
        return after

    def _handled(self, state: bytes, raw: Raw) -> bytes:
        now = datetime.now(UTC)
        batch = codec.decode(events.Completions, topics.COMPLETIONS.max_bytes, raw, now)
        if isinstance(batch, Bad):
            self._bury([batch])
            return state
        counter, fresh = counting.count(self.counter(state), batch, self.rule)
        if not fresh:
            return state
        reached("counted", batch.items[-1].completed_at)
        due = requests(fresh, self._cadences(), now)
        self._request(due)
        if due:
            reached("requested", _completed_at(batch, due[-1].completions))
        self._state = (counting.dump(counter), counter)
        metrics.COUNTED.set(len(counter.seen))
        return self._state[0]

    def heal(self, state: bytes) -> int:
        """Announce again what the store holds and the counter has not seen; how much it was.

        Only what was recorded before the previous call, so that what is under way is left alone.
        """
        with self._lock:
            return self._healed(state)

    def _healed(self, state: bytes) -> int:
        before, self._standing = self._standing, self._stored_standing()
        generation, highest = before
        counter = self.counter(state)
        if counting.is_ahead(counter, *self._standing):
            begin = self.store.begin_generation
            self.patience.call("store", database.is_away, begin, counter.generation)
            return 0
        if generation != self._standing[0]:
            return 0
        seen = counter.seen if counter.generation == generation else counting.Intervals()
        healed = 0
        for spans in counting.portions(seen.gaps(highest), HEAL_ITEMS, HEAL_MESSAGES):
            healed += self._announce(generation, spans)
        if healed:
            metrics.HEALED.inc(healed)
            log.warning("healed a gap", announced_again=healed, of=highest)
        return healed

    def _announce(self, generation: int, spans: Sequence[Interval]) -> int:
        items = self.patience.call("store", database.is_away, self.store.numbered, *spans)
        event = events.Completions(generation=generation, items=tuple(items))
        self._publish(codec.encode(topics.COMPLETIONS, event, "streams", prefix=self._prefix))
        return len(items)

    def _request(self, due: Sequence[events.TrainRequest]) -> None:
        self._publish(
            *(
                traces.onto(
                    codec.encode(topics.TRAIN_REQUEST, request, "streams", prefix=self._prefix)
                )
                for request in due
            )
        )
        metrics.REQUESTED.inc(len(due))
        if due:
            names = [request.request_id for request in due]
            log.info("train-requests", count=len(names), first=names[0], last=names[-1])

    def _publish(self, *messages: Message) -> None:
        if messages:
            self.patience.call("kafka", kafka.is_away, self.publisher.publish, messages)

    def _cadences(self) -> tuple[Cadence, ...]:
        return self.patience.call("store", database.is_away, self.store.cadences)

    def _stored_standing(self) -> tuple[int, int]:
        return self.patience.call("store", database.is_away, self.store.standing)

    @property
    def _prefix(self) -> str:
        return self.settings.topic_prefix
