"""The trainer: train-request to model-updated.

One request at a time. The consumer keeps polling, paused, while a training runs beside it in a
thread, so a long training never costs the group membership. Offsets are committed when every
request of a queue has its outcome published; a redelivered request that has ended is only
announced again. Nothing is trained twice: the registry's row decides.
"""

from __future__ import annotations

import contextvars
import os
import signal
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from schemas import codec, topics
from schemas.codec import Bad
from schemas.events import TrainRequest
from schemas.settings import Settings
from streams import database, declare, kafka, probe, traces
from streams import health as health_edge
from streams.consumption import Consumption
from streams.health import Health
from streams.patience import Patience, Stopped, first_line
from streams.store import Store
from training import meters
from training.announce import Announcer
from training.job import Interrupted, Job
from training.registry import Ended, Registry
from training.requests import Plan, plan

log = structlog.get_logger("retrace")
GROUP = "retrace-trainer"
RECONCILE_SECONDS = 30.0
STILL_AFTER = 900.0  # the longest that a training may take between two epochs


class Trainer:
    """The service's loop."""

    def __init__(self, settings: Settings, patience: Patience, fitter: Any) -> None:
        self.settings, self.patience = settings, patience
        # Reading a long history and uploading a version inside the registry's lock take their time.
        url = settings.database_url.get_secret_value()
        engine = database.connect(url, "trainer", statement_seconds=0)
        self.registry = Registry(engine, settings.model_store_url())
        self.announcer = Announcer(settings, patience, self.registry)
        self.job = Job(settings, patience, Store(engine), self.registry, self.announcer, fitter)
        self.consumption = patience.health.watch(
            Consumption(settings, topics.TRAIN_REQUEST, GROUP, STILL_AFTER)
        )
        self.backlog: list[KafkaMessage] = []
        self._reconciled = float("-inf")

    def run(self) -> None:
        """Serve requests until asked to stop."""
        consumer = kafka.consumer(self.settings, GROUP, **{"enable.partition.eof": True})
        mine = self.consumption
        consumer.subscribe([mine.topic], on_assign=mine.assigned, on_revoke=self._revoked)
        try:
            while not self.patience.stop.is_set():
                self._turn(consumer)
        except (Stopped, Interrupted):
            log.info("stopped with open requests; they are read again")
        finally:
            consumer.close()
            self.announcer.publisher.flush()

    def _revoked(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        """A partition that goes while it is paused would still be when it comes back."""
        consumer.resume(places)
        self.backlog.clear()
        self.consumption.revoked(consumer, places)

    def _turn(self, consumer: Consumer) -> None:
        self.patience.health.beat()
        if time.monotonic() - self._reconciled > RECONCILE_SECONDS:
            self.announcer.reconcile()
            self._reconciled = time.monotonic()
        queue = self._queue(consumer)
        if queue:
            began = time.monotonic()
            self._serve(consumer, self._plan(queue))
            _commit(consumer, queue)
            self.consumption.handled(len(queue), time.monotonic() - began)

    def _queue(self, consumer: Consumer) -> list[KafkaMessage]:
        """Everything that waits: the newest request is known before an older one is trained."""
        queue, self.backlog = self.backlog, []
        wait = 0.0 if queue else 0.5
        while (message := consumer.poll(wait)) is not None:
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                break
            if kafka.is_data(message, self.consumption.refuse):
                queue.append(message)
            wait = 1.0
        return queue

    def _plan(self, queue: Sequence[KafkaMessage]) -> tuple[Plan, dict[str, Ended]]:
        requests = self._decoded(queue)
        away = database.is_away
        ended = self.patience.call("store", away, self.registry.note, requests)
        published = self.patience.call("store", away, self.registry.most_published)
        return plan(requests, ended, published), ended

    def _decoded(self, queue: Sequence[KafkaMessage]) -> list[TrainRequest]:
        good: list[TrainRequest] = []
        self.announcer.contexts = {}
        for message in queue:
            raw, now = kafka.raw(message), datetime.now(UTC)
            request = codec.decode(TrainRequest, topics.TRAIN_REQUEST.max_bytes, raw, now)
            if isinstance(request, Bad):
                self.announcer.bury([request])
                continue
            good.append(request)
            if context := traces.carried(raw.headers):
                self.announcer.contexts[request.request_id] = context
        return good

    def _serve(self, consumer: Consumer, planned: tuple[Plan, dict[str, Ended]]) -> None:
        todo, ended = planned
        self.announcer.outcomes((r.request_id, ended[r.request_id]) for r in todo.again)
        if todo.superseded:
            gone = self.patience.call(
                "store", database.is_away, self.registry.supersede, todo.superseded, todo.by
            )
            self.announcer.outcomes(gone.items())
            meters.TRAININGS.labels("superseded").inc(len(gone))
            log.info("superseded", count=len(gone), by=todo.by)
        for request in todo.train:
            name = request.request_id
            parent = self.announcer.contexts.get(name)
            with traces.span("train", parent, attributes={"retrace.request_id": name}):
                self.announcer.outcomes([(name, self._train(consumer, request))])

    def _train(self, consumer: Consumer, request: TrainRequest) -> Ended:
        """Train in a thread while the paused consumer keeps its place in the group."""
        outcome: list[Ended | BaseException] = []

        def work() -> None:
            try:
                outcome.append(self.job.run(request))
            except BaseException as error:
                outcome.append(error)

        within = contextvars.copy_context()
        thread = threading.Thread(target=within.run, args=(work,), name="training", daemon=True)
        thread.start()
        while thread.is_alive():
            self.patience.health.beat()
            consumer.pause(consumer.assignment())
            message = consumer.poll(0.2)
            if message is not None and kafka.is_data(message, self.consumption.refuse):
                self.backlog.append(message)
        consumer.resume(consumer.assignment())
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]


def _commit(consumer: Consumer, queue: Sequence[KafkaMessage]) -> None:
    last = queue[-1]
    place = TopicPartition(last.topic() or "", last.partition() or 0, (last.offset() or 0) + 1)
    try:
        consumer.commit(offsets=[place], asynchronous=False)
    except KafkaException as error:
        log.info("not committed; these requests are read again", because=first_line(error))


def run(settings: Settings) -> None:
    """Run the trainer until it is told to stop. Low priority: serving beside it comes first."""
    health = Health("trainer", needs=("tensorflow", "kafka", "store"))
    health_edge.tell_disk(settings.data_dir)
    health_edge.serve(health, settings.host, settings.trainer_port)
    patience = Patience(health, threading.Event())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: patience.stop.set())
    os.nice(10)
    try:
        from training.fit import Fitter

        health.set("tensorflow", True)
        patience.call("kafka", kafka.is_away, declare.declare, settings)
        trainer = Trainer(settings, patience, Fitter(threads=settings.train_threads))
        patience.call("store", database.is_away, database.migrate, trainer.registry.engine)
        probe.start(settings, patience, trainer.registry.engine)
        log.info("trainer runs")
        trainer.run()
    except Stopped:
        log.info("stopped while waiting")
