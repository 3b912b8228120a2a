"""The gateway's link to Kafka: asks for predictions and publishes completions.

One thread reads the gateway's own reply topic and hands each answer to the request that waits for
it; another publishes claims that no broker has acknowledged yet. The event loop is never blocked.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from typing import ParamSpec, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from gateway.places import Places
from gateway.tasks import Tasks
from schemas import codec, topics
from schemas.codec import Bad, Message
from schemas.errors import Unreachable
from schemas.events import Event, Prediction, PredictionRequest, TaskCompleted
from schemas.replies import Refusal
from schemas.settings import Settings
from streams import database, declare, kafka, tails, traces
from streams.patience import Patience, Stopped, first_line

P = ParamSpec("P")
R = TypeVar("R")
E = TypeVar("E", bound=Event)
log = structlog.get_logger("retrace")
REPUBLISH_SECONDS = 5.0
CHECK_SECONDS = 10.0


class Link:
    """Starts with ``start``; ``ask`` and ``publish`` may be called from the event loop."""

    def __init__(self, settings: Settings, patience: Patience, tasks: Tasks) -> None:
        self.settings, self.patience, self.tasks = settings, patience, tasks
        host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:60]
        self.reply = topics.reply(f"gateway-{host}-{settings.gateway_port}")
        self.publisher = kafka.Publisher(settings, **{"linger.ms": 0})
        self.linked = threading.Event()
        self.places = Places()
        self._waiting: dict[str, tuple[asyncio.Future[Event], type[Event]]] = {}
        self._acknowledged: SimpleQueue[str] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._forever, args=(work,), name=name, daemon=True)
            for name, work in (("replies", self._read_replies), ("outbox", self._empty_outbox))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the threads; what is under way is waited for, shortly."""
        self.patience.stop.set()
        for thread in self._threads:
            if thread.is_alive():  # not so where the store was never reached
                thread.join(5.0)
        self.publisher.flush(2.0)

    async def ask(self, request: PredictionRequest, seconds: float) -> Prediction | None:
        """The answer, or None where none comes in time. It knows the learner's completions that
        were published here."""
        try:
            async with asyncio.timeout(seconds):
                after, is_newest = await self.places.of(request.user_id)
                known = request.model_copy(update={"after": after})
                prediction = await self.inquire(known, Prediction)
        except TimeoutError:
            return None
        if not isinstance(prediction, Prediction):
            return None
        if is_newest:
            return prediction
        reason = f"without a completion that Kafka has not taken yet; {prediction.reason}"
        return prediction.model_copy(update={"reason": reason})

    async def inquire(self, request: PredictionRequest, kind: type[E]) -> E | Refusal | None:
        """The reply of this kind, or why there is none; None where Kafka cannot be asked.

        Raises ``TimeoutError`` only where the caller set a time.
        """
        if not self.linked.is_set():
            return None
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._waiting[request.request_id] = (future, kind)
        try:
            self.publisher.send(self._question(request))
            return await future  # type: ignore[return-value]
        except (KafkaException, Unreachable):
            return None
        finally:
            self._waiting.pop(request.request_id, None)

    def publish(self, event: TaskCompleted) -> None:
        """Hand a completion to the producer; its acknowledgement is noted in the store."""

        def delivered(error: KafkaError | None, message: KafkaMessage) -> None:
            place = None
            if error is None:
                self._acknowledged.put(event.task_id)
                place = f"{message.partition()}@{message.offset()}"
            self.places.delivered(event.user_id, place)

        prefix = self.settings.topic_prefix
        plain = codec.encode(topics.TASK_COMPLETED, event, "gateway", prefix=prefix)
        message = traces.onto(plain, traces.current() or traces.of_task(event.task_id))
        self.places.published(event.user_id)
        try:
            self.publisher.send(message, delivered)
        except (KafkaException, Unreachable) as error:
            self.places.delivered(event.user_id, None)
            log.warning("published later", task_id=event.task_id, because=first_line(error))

    def _question(self, request: PredictionRequest) -> Message:
        prefix = self.settings.topic_prefix
        plain = codec.encode(topics.PREDICTION_REQUEST, request, "gateway", prefix=prefix)
        address = [
            ("reply-topic", self.reply.name.encode()),
            ("correlation-id", request.request_id.encode()),
        ]
        headers = [*plain.headers, *address]
        return traces.onto(Message(plain.topic, plain.key, plain.value, headers))

    def _forever(self, work: Callable[[], None]) -> None:
        while not self.patience.stop.is_set():
            try:
                work()
            except Stopped:
                return
            except Exception:
                log.exception("the link to Kafka failed; it is made again")
                self.patience.stop.wait(1.0)

    def _read_replies(self) -> None:
        consumer = kafka.consumer(self.settings, "retrace-replies", **{"fetch.wait.max.ms": 50})
        try:
            self._attach(consumer)
            checked = time.monotonic()
            while not self.patience.stop.is_set():
                for message in kafka.drain(consumer, 500, 0.2):
                    self._hand_over(kafka.raw(message))
                if time.monotonic() - checked > CHECK_SECONDS:
                    checked = time.monotonic()
                    if self._declare():
                        return
        finally:
            self.linked.clear()
            consumer.close()

    def _attach(self, consumer: Consumer) -> None:
        """Read the reply topic from its end on, which is known before the first question."""
        self._declare()
        place = TopicPartition(self._reply_name, 0)
        _, high = self.patience.call("kafka", kafka.is_away, tails.bounds, consumer, place)
        consumer.assign([TopicPartition(self._reply_name, 0, high)])
        self.linked.set()

    def _declare(self) -> list[str]:
        """Create what is missing, the reply topic too; the names of what was."""
        created = self.patience.call("kafka", kafka.is_away, declare.declare, self.settings)
        edge = kafka.admin(self.settings)
        if self._reply_name not in self.patience.call(
            "kafka", kafka.is_away, declare.partitions, edge
        ):
            wanted = [(self._reply_name, self.reply)]
            replication = self.settings.kafka_replication
            self.patience.call("kafka", kafka.is_away, declare.create, edge, wanted, replication)
            created.append(self._reply_name)
        return created

    def _hand_over(self, raw: codec.Raw) -> None:
        headers = dict(raw.headers)
        asker = self._waiting.get((headers.get("correlation-id") or b"").decode("ascii", "replace"))
        if asker is None:
            return
        future, wanted = asker
        is_refusal = headers.get("ce_type") == self.reply.kind(Refusal).encode()
        kind = Refusal if is_refusal else wanted
        reply = codec.decode(kind, self.reply.max_bytes, raw, datetime.now(UTC))
        if isinstance(reply, Bad):
            log.warning("an unreadable reply is passed over", because=reply.message)
            return
        future.get_loop().call_soon_threadsafe(_resolve, future, reply)

    def _empty_outbox(self) -> None:
        """Serve delivery reports; publish again what was never acknowledged."""
        again_at = 0.0
        while not self.patience.stop.is_set():
            self.patience.health.beat()
            self.publisher.poll(0.1)
            done = self._drained()
            if done:
                self._stored(self.tasks.mark_published, done)
            if time.monotonic() >= again_at:
                again_at = time.monotonic() + REPUBLISH_SECONDS
                before = datetime.now(UTC) - timedelta(seconds=REPUBLISH_SECONDS)
                for event in self._stored(self.tasks.unpublished, before, 500):
                    self.publish(event)

    def _stored(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return self.patience.call("store", database.is_away, work, *args, **kwargs)

    def _drained(self) -> list[str]:
        done: list[str] = []
        while len(done) < 500:
            try:
                done.append(self._acknowledged.get_nowait())
            except Empty:
                break
        return done

    @property
    def _reply_name(self) -> str:
        return self.settings.topic_prefix + self.reply.name


def _resolve(future: asyncio.Future[Event], reply: Event) -> None:
    if not future.done():
        future.set_result(reply)
