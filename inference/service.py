"""The inference service: prediction-request to prediction, with the newest model.

What waits is answered together: one query for the histories, one call per network. While nothing
waits, held learners' new completions are learned before they ask. The broker acknowledges
predictions while the next requests are answered, and before any request's offset is committed, so
each is answered at least once. Never imports TensorFlow.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from inference import metrics
from inference.ahead import Ahead
from inference.answers import Answers
from inference.challenge import Challenger
from inference.explanations import Explanations, refusal
from inference.keeping import Batch, Keeping
from inference.learners import FEW
from inference.models import Models
from inference.reads import Reads
from inference.waiting import Asked, Waiting, first_of
from schemas import codec, topics
from schemas.codec import Bad, Message, Raw
from schemas.events import Prediction, PredictionRequest
from schemas.replies import Reply
from schemas.settings import Settings
from streams import declare, kafka, probe, traces
from streams import health as health_edge
from streams.consumption import Consumption
from streams.health import Health
from streams.patience import Patience, Stopped, first_line

log = structlog.get_logger("retrace")
GROUP = "retrace-inference"
BATCH = 256
# How long a poll waits: for what is to be recorded, for replies to be on their way, for anything.
RECORDED_SECONDS, REPLIED_SECONDS, IDLE_SECONDS = 0.005, 0.001, 0.2
COMMIT_SECONDS, BUSY_COMMIT_SECONDS = 0.2, 0.5
MOST_LATER = 100
LOAD_SECONDS = 20.0


class Inference:
    """The service's loop."""

    def __init__(self, settings: Settings, patience: Patience, models: Models) -> None:
        self.settings, self.patience, self.models = settings, patience, models
        self.reads = Reads(settings, patience.health)
        self.waiting = Waiting(self.reads.positions)
        challenger = Challenger.of(settings.challenger, shadow=settings.challenger_shadow)
        self.answers = Answers(self.reads.newer, challenger, self.reads.forgotten)
        self.explanations = Explanations(self.reads.newer, self.answers)
        self.ahead = Ahead(self.reads.active, partial(self.reads.newer, most=FEW + 1))
        self.later: deque[tuple[Asked, str]] = deque()
        # An answer is alone in its batch: gathering and compressing would only take time.
        alone = {"linger.ms": 0, "compression.type": "none"}
        self.publisher = kafka.Publisher(settings, **alone)
        self.consumption = patience.health.watch(
            Consumption(settings, topics.PREDICTION_REQUEST, GROUP)
        )
        self.keeping = Keeping(patience, self.publisher, self.consumption)
        self.next: dict[int, int] = {}
        self._committed: tuple[float, dict[int, int]] = (time.monotonic(), {})
        metrics.PUT_OFF.set_function(lambda: len(self.waiting.held))
        metrics.LEARNERS.set_function(lambda: models.current.predictor.learners_held)

    def run(self) -> None:
        """Answer until asked to stop."""
        extra = {"fetch.wait.max.ms": 50, "on_commit": self._told}
        consumer = kafka.consumer(self.settings, GROUP, **extra)
        mine = self.consumption
        consumer.subscribe(
            [mine.topic],
            on_assign=mine.assigned,
            on_revoke=self._revoked,
            on_lost=self._lost,
        )
        try:
            while not self.patience.stop.is_set():
                self._turn(consumer)
            self.answer([], at_once=True)
            self.keeping.settle()
        except Stopped:
            log.info("stopped while waiting")
            self._forget()
        except BaseException:
            self._forget()
            raise
        finally:
            consumer.close()
            self.publisher.flush()

    def _forget(self) -> None:
        """What the broker may not have is not committed, so that it is read again."""
        self.next.clear()
        self.keeping.forget()
        self.waiting.held.clear()
        self.later.clear()

    def _turn(self, consumer: Consumer) -> None:
        self.patience.health.beat()
        taken = self.consumption.take(consumer, BATCH, self._wait())
        raws = [kafka.raw(message) for message in taken]
        busy = bool(raws) or self.keeping.is_due
        if not raws:
            self.keeping.hand_over()
        if not raws and self.later:
            self._explain(*self.later.popleft())
        elif not raws and not self.waiting.held and self.ahead.is_due:
            self.ahead.go_on(self.models.current.predictor)
        for raw in raws:
            self.next[raw.partition] = max(self.next.get(raw.partition, 0), raw.offset + 1)
        if raws or self.waiting.held:
            self.answer(raws)
        seconds = BUSY_COMMIT_SECONDS if busy else COMMIT_SECONDS
        if time.monotonic() > self._committed[0] + seconds:
            self._commit(consumer)

    def _wait(self) -> float:
        """How long to wait for requests, in seconds."""
        if self.later:
            return 0.0
        if self.keeping.is_due:
            return REPLIED_SECONDS
        if self.waiting.held:
            return RECORDED_SECONDS
        return 0.0 if self.ahead.goes_on else IDLE_SECONDS

    def _told(self, error: KafkaError | None, _places: object) -> None:
        """A commit that was refused is made again."""
        if error is not None:
            self._committed = (self._committed[0], {})

    def _revoked(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        """Whoever gets the partitions goes on behind what was answered."""
        self._commit(consumer)
        self._lost(consumer, places)

    def _lost(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        self.next.clear()
        self.consumption.revoked(consumer, places)

    def _commit(self, consumer: Consumer) -> None:
        """Up to the first request that is put off: what is not answered is read again."""
        self.keeping.settle()
        self.publisher.poll()
        answered = {**self.next, **first_of([*self.waiting.held, *(one for one, _ in self.later)])}
        answered = {p: offset for p, offset in answered.items() if p in self.consumption.mine}
        before, self._committed = self._committed[1], (time.monotonic(), {})
        name = self.consumption.topic
        places = [TopicPartition(name, p, offset) for p, offset in answered.items()]
        try:
            if places and answered != before:
                consumer.commit(offsets=places, asynchronous=True)
            self._committed = (self._committed[0], answered)
        except KafkaException as error:
            log.debug("not committed", because=first_line(error))

    def answer(self, raws: Sequence[Raw], *, at_once: bool = False) -> None:
        """Answer a batch: replies now; predictions and dead letters are kept behind them.

        Requests that must know a completion which is not recorded yet are put off, shortly; with
        ``at_once`` nothing is.
        """
        now, began = datetime.now(UTC), time.monotonic()
        new, bad = self._sorted(raws, now)
        ready = self.waiting.ready(new, at_once=at_once)
        practice = [pair for pair in ready if pair[0].request.purpose == "practice"]
        for one, lacks in ready:
            if one.request.purpose != "practice":
                self._put_after(one, lacks)
        answers = self.answers.of(practice, self.models.current, now)
        answered = [(each, self._context(each.asked, began)) for each in answers]
        for each, context in answered:
            self._reply(each.asked.raw, each.told, context)
        if raws or answered:
            self.keeping.put(Batch(answered, bad, len(raws), time.monotonic() - began))

    def _context(self, one: Asked, began: float) -> str | None:
        """The trace context of an answer: its own step's, where that is exported."""
        about = {"retrace.request_id": one.request.request_id}
        return self.consumption.step(one.raw, began, about)

    def _put_after(self, one: Asked, lacks: str) -> None:
        """What only its asker waits for comes after predictions; not more than a few of them."""
        if len(self.later) < MOST_LATER:
            self.later.append((one, lacks))
        else:
            words = "too many forecasts and explanations wait; ask again later"
            self._reply(one.raw, refusal(one.request.request_id, words))

    def _explain(self, one: Asked, lacks: str) -> None:
        began, now = time.monotonic(), datetime.now(UTC)
        reply = self.explanations.of(one, lacks, self.models.current, now)
        self._reply(one.raw, reply, self._context(one, began))
        metrics.EXPLANATIONS.labels(one.request.purpose).inc()

    def _sorted(self, raws: Sequence[Raw], now: datetime) -> tuple[list[Asked], list[Bad]]:
        asked, refused = [], []
        limit = topics.PREDICTION_REQUEST.max_bytes
        for raw in raws:
            request = codec.decode(PredictionRequest, limit, raw, now)
            if isinstance(request, Bad):
                refused.append(request)
                self._refuse(request)
            else:
                asked.append(Asked(request, raw))
        return asked, refused

    def _refuse(self, bad: Bad) -> None:
        """Tell an asker, where it can be told, that its request could not be read."""
        address = codec.reply_address(bad.raw.headers)
        name = address[1].decode("utf-8", "ignore").replace("\x00", "") if address else ""
        if name:
            self._reply(bad.raw, refusal(name[:128], f"not answered: {bad.message}"[:500]))

    def _reply(self, raw: Raw, reply: Prediction | Reply, context: str | None = None) -> None:
        """Best effort: an asker that is gone must not hold up the others."""
        address = codec.reply_address(raw.headers)
        if address is None:
            return
        name, correlation = address
        answer = codec.encode(topics.reply(name.removeprefix("reply.")), reply, "inference")
        headers = [*answer.headers, ("correlation-id", correlation)]
        topic = self.settings.topic_prefix + name
        message = Message(topic, correlation, answer.value, headers)
        self.publisher.send(traces.onto(message, context))


def run(settings: Settings) -> None:
    """Run inference until it is told to stop."""
    health = Health("inference")
    health_edge.tell_disk(settings.data_dir)
    health_edge.serve(health, settings.host, settings.inference_port)
    patience = Patience(health, threading.Event())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: patience.stop.set())
    try:
        patience.call("kafka", kafka.is_away, declare.declare, settings)
        models = Models(settings, patience)
        inference = Inference(settings, patience, models)
        models.read = Reads(settings, patience.health).newer
        probe.start(settings, patience, inference.reads.engine)
        with followed(models):
            models.caught_up.wait(10.0)
            log.info("inference runs")
            inference.run()
    except Stopped:
        log.info("stopped while waiting")


@contextmanager
def followed(models: Models) -> Iterator[None]:
    """Announcements are followed beside, and not any more afterwards: a process that ends while a
    thread of it loads a network is aborted."""
    thread = threading.Thread(target=_follow, args=(models,), name="models", daemon=True)
    thread.start()
    try:
        yield
    finally:
        models.patience.stop.set()
        thread.join(LOAD_SECONDS)


def _follow(models: Models) -> None:
    """Follow announcements; an unexpected error is logged, and following begins again."""
    while not models.patience.stop.is_set():
        try:
            models.follow()
        except Exception:
            log.exception("following model updates failed")
            models.patience.stop.wait(2.0)
