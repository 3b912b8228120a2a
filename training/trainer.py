"""The trainer: train-request to model-updated.

One request at a time. The consumer keeps polling, paused, while a training runs beside it in a
thread, so a long training never costs the group membership. Offsets are committed when every
request of a queue has its outcome published; a redelivered request that has ended is only
announced again. Nothing is trained twice: the registry's row decides.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from schemas import codec, events, topics
from schemas.codec import Bad, Message
from schemas.errors import NotEnoughData, RetraceError, TrainingFailed
from schemas.events import ModelUpdated, TrainRequest
from schemas.settings import Settings
from streams import health as health_edge
from streams import history, kafka, probe
from streams import store as database
from streams.health import Health
from streams.patience import Patience, Stopped, first_line
from streams.store import Store
from training.registry import Ended, Registry
from training.requests import plan

P = ParamSpec("P")
R = TypeVar("R")
log = structlog.get_logger("retrace")
GROUP = "retrace-trainer"
RECONCILE_SECONDS = 30.0
STORE_SECONDS = 60.0


class Interrupted(Exception):
    """A training was stopped because the service was; its request stays open."""


class Trainer:
    """The service. ``fitter`` is kept warm between requests."""

    def __init__(self, settings: Settings, patience: Patience, fitter: Any) -> None:
        self.settings, self.patience, self.fitter = settings, patience, fitter
        engine = database.connect(settings.database_url.get_secret_value(), "trainer")
        self.store = Store(engine)
        self.registry = Registry(engine, settings.model_store_url())
        self.publisher = kafka.Publisher(settings)
        self.backlog: list[KafkaMessage] = []
        self._reconciled = 0.0

    def run(self) -> None:
        """Serve requests until asked to stop."""
        consumer = kafka.consumer(self.settings, GROUP, **{"enable.partition.eof": True})
        consumer.subscribe([self._name(topics.TRAIN_REQUEST)])
        try:
            while not self.patience.stop.is_set():
                self._turn(consumer)
        except (Stopped, Interrupted):
            log.info("stopped with open requests; they are read again")
        finally:
            consumer.close()
            self.publisher.flush()

    def _turn(self, consumer: Consumer) -> None:
        self.patience.health.beat()
        if time.monotonic() - self._reconciled > RECONCILE_SECONDS:
            self._reconcile()
        queue = self._queue(consumer)
        if queue:
            self._serve(consumer, queue)
            self._commit(consumer, queue)

    def _queue(self, consumer: Consumer) -> list[KafkaMessage]:
        """Everything that waits: the newest request is known before an older one is trained."""
        queue, self.backlog = self.backlog, []
        wait = 0.0 if queue else 0.5
        while (message := consumer.poll(wait)) is not None:
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                break
            if error is None:
                queue.append(message)
            wait = 1.0
        return queue

    def _serve(self, consumer: Consumer, queue: Sequence[KafkaMessage]) -> None:
        requests = self._decoded(queue)
        noted = {r.request_id: self._stored(self.registry.note, r) for r in requests}
        ended = {request_id: end for request_id, end in noted.items() if end is not None}
        todo = plan(requests, ended, self._stored(self.registry.most_published))
        for request in todo.again:
            self._announce(request, ended[request.request_id])
        self._supersede(todo.superseded)
        for request in todo.train:
            self._train_beside(consumer, request)

    def _decoded(self, queue: Sequence[KafkaMessage]) -> list[TrainRequest]:
        good: list[TrainRequest] = []
        for message in queue:
            raw, now = kafka.raw(message), datetime.now(UTC)
            request = codec.decode(TrainRequest, topics.TRAIN_REQUEST.max_bytes, raw, now)
            if isinstance(request, Bad):
                name = self._name(topics.DEAD_LETTERS)
                self._publish(codec.dead_letter(request, name, now))
                log.warning("dead letter", cause=request.cause, because=request.message)
            else:
                good.append(request)
        return good

    def _supersede(self, superseded: Sequence[tuple[TrainRequest, str]]) -> None:
        for request, by in superseded:
            reason = f"{by} asks for more completions"
            ended = self._stored(self.registry.end, request.request_id, "superseded", reason)
            self._announce(request, ended)
        if superseded:
            log.info("superseded", count=len(superseded), by=superseded[0][1])

    def _train_beside(self, consumer: Consumer, request: TrainRequest) -> None:
        """Train in a thread while the paused consumer keeps its place in the group."""
        done = threading.Event()
        outcome: list[Ended | BaseException] = []

        def work() -> None:
            try:
                outcome.append(self._train(request))
            except BaseException as error:
                outcome.append(error)
            finally:
                done.set()

        thread = threading.Thread(target=work, name="training", daemon=True)
        thread.start()
        while not done.is_set():
            self.patience.health.beat()
            consumer.pause(consumer.assignment())
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                self.backlog.append(message)
        consumer.resume(consumer.assignment())
        result = outcome[0]
        if isinstance(result, BaseException):
            raise result
        self._announce(request, result)

    def _train(self, request: TrainRequest) -> Ended:
        """One training from request to outcome."""
        log.info("training", request_id=request.request_id, completions=request.completions)
        self.patience.health.note(training=request.request_id)
        self._stored(self.registry.start, request.request_id)
        self._progress(request.request_id, "started")
        began = time.monotonic()
        try:
            ended = self._published(request)
        except NotEnoughData as error:
            ended = self._end(request, "rejected", str(error))
        except (Stopped, Interrupted):
            raise
        except Exception as error:
            if self.patience.stop.is_set():
                raise Interrupted from error
            log.warning("training failed", exc_info=not isinstance(error, RetraceError))
            ended = self._end(request, "failed", _reason(error))
        seconds = round(time.monotonic() - began, 2)
        self.patience.health.note(training=None, last_training_seconds=seconds)
        log.info("trained", request_id=request.request_id, state=ended.state, seconds=seconds)
        return ended

    def _published(self, request: TrainRequest) -> Ended:
        from training import export  # TensorFlow: only in this process

        if request.data.source != "store":
            raise TrainingFailed("training from a range of the log is not available yet")
        self._await_store(request.completions)
        past = self._stored(history.everything, self.registry.engine, request.completions)
        fitted = self.fitter.fit(
            past,
            epochs=self.settings.train_epochs,
            patience=self.settings.train_patience,
            seed=self.settings.seed,
            on_epoch=lambda report: self._epoch(request.request_id, report),
            should_stop=self.patience.stop.is_set,
        )
        files = export.files(fitted)
        metrics = events.ModelMetrics.model_validate(fitted.metrics)
        updated = self._stored(self.registry.publish, request, files, fitted.metadata(), metrics)
        if updated is None:
            return self._end(request, "failed", "ended by another trainer")
        self._prune()
        return Ended("published", None, updated.version)

    def _await_store(self, completions: int) -> None:
        """A store that was just restored may still be reading the log."""
        deadline = time.monotonic() + STORE_SECONDS
        while (held := self._stored(self.store.standing)[1]) < completions:
            if time.monotonic() > deadline:
                raise TrainingFailed(f"the store holds {held} of {completions} completions")
            if self.patience.stop.wait(0.5):
                raise Stopped

    def _end(self, request: TrainRequest, state: events.Outcome, reason: str) -> Ended:
        return self._stored(self.registry.end, request.request_id, state, reason)

    def _announce(self, request: TrainRequest, ended: Ended) -> None:
        """Publish an outcome; for a version, what serves now comes first."""
        if ended.state == "published":
            serving = self._stored(self.registry.serving)
            if serving is not None:
                self._publish_model(serving)
        self._publish(
            self._progress_message(
                request.request_id, ended.state, reason=ended.reason, version=ended.version
            )
        )

    def _publish_model(self, updated: ModelUpdated) -> None:
        self._publish(
            codec.encode(
                topics.MODEL_UPDATED, updated, "training", prefix=self.settings.topic_prefix
            )
        )
        self.patience.health.note(version=updated.version, revision=updated.revision)

    def _reconcile(self) -> None:
        seen = self._seen()
        serving = self._stored(self.registry.reconcile, seen)
        if serving is not None:
            log.info("announcing again", version=serving.version, revision=serving.revision)
            self._publish_model(serving)
        self._reconciled = time.monotonic()

    def _seen(self) -> ModelUpdated | None:
        """The newest announcement on the topic."""
        name = self._name(topics.MODEL_UPDATED)
        tail = self.patience.call(
            "kafka", kafka.is_away, kafka.last_messages, self.settings, name, 100
        )
        limit, now = topics.MODEL_UPDATED.max_bytes, datetime.now(UTC)
        found = [codec.decode(ModelUpdated, limit, raw, now) for raw in tail]
        good = [event for event in found if isinstance(event, ModelUpdated)]
        return max(good, key=lambda event: event.revision, default=None)

    def _epoch(self, request_id: str, report: Any) -> None:
        self.patience.health.beat()
        self._progress(
            request_id, "epoch", model=report.model, epoch=report.epoch, epochs=report.epochs,
            loss=report.loss, val_loss=report.val_loss,
        )  # fmt: skip

    def _progress(self, request_id: str, state: str, **facts: Any) -> None:
        """Progress on the way may be lost with a broker; outcomes are published and awaited."""
        self.publisher.send(self._progress_message(request_id, state, **facts))
        self.publisher.poll()

    def _progress_message(self, request_id: str, state: str, **facts: Any) -> Message:
        values = {"request_id": request_id, "state": state, "at": datetime.now(UTC), **facts}
        event = events.TrainingProgress.model_validate(values)
        prefix = self.settings.topic_prefix
        return codec.encode(topics.TRAINING_PROGRESS, event, "training", prefix=prefix)

    def _prune(self) -> None:
        young = timedelta(seconds=self.settings.models_young_seconds)
        removed = self._stored(
            self.registry.prune, self.settings.models_kept, young, datetime.now(UTC)
        )
        if removed:
            log.info("removed old versions", versions=removed)

    def _commit(self, consumer: Consumer, queue: Sequence[KafkaMessage]) -> None:
        last = queue[-1]
        place = TopicPartition(last.topic() or "", last.partition() or 0, (last.offset() or 0) + 1)
        try:
            consumer.commit(offsets=[place], asynchronous=False)
        except KafkaException as error:
            log.info("not committed; these requests are read again", because=first_line(error))

    def _publish(self, *messages: Message) -> None:
        self.patience.call("kafka", kafka.is_away, self.publisher.publish, messages)

    def _stored(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return self.patience.call("store", database.is_away, work, *args, **kwargs)

    def _name(self, topic: topics.Topic) -> str:
        return self.settings.topic_prefix + topic.name


def _reason(error: BaseException) -> str:
    if isinstance(error, RetraceError):
        return str(error)[:500]
    return f"{type(error).__name__}: {first_line(error)}"[:500]


def run(settings: Settings) -> None:
    """Run the trainer until it is told to stop. Low priority: serving beside it comes first."""
    health = Health("trainer", needs=("tensorflow", "kafka", "store"))
    health_edge.serve(health, settings.host, settings.trainer_port)
    patience = Patience(health, threading.Event())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: patience.stop.set())
    os.nice(10)
    try:
        from training.fit import Fitter

        health.set("tensorflow", True)
        patience.call("kafka", kafka.is_away, kafka.declare, settings)
        trainer = Trainer(settings, patience, Fitter(threads=settings.train_threads))
        patience.call("store", database.is_away, database.migrate, trainer.store.engine)
        probe.start(settings, patience, trainer.store.engine)
        log.info("trainer runs")
        trainer.run()
    except Stopped:
        log.info("stopped while waiting")
