"""What runs beside the counting agent, as services of the Faust app: the loops, and the watch."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import faust
import structlog
from aiokafka.errors import KafkaError as AiokafkaError
from confluent_kafka import KafkaError, KafkaException
from mode import Service

from schemas import topics
from schemas.errors import RetraceError, Unreachable
from schemas.settings import Settings
from streams import declare, kafka
from streams.count import Count
from streams.forgetter import Forgetter
from streams.health import Stillness
from streams.patience import Patience
from streams.predictions import Keeper
from streams.record import Recorder

log = structlog.get_logger("retrace")
STILL_SESSIONS = 3


class CannotGoOn(RetraceError):
    """This worker won't count again by itself; one that begins again will."""


class Loop(Service):
    """A loop in a thread; its failure is the app's failure."""

    def __init__(self, loop: Recorder | Keeper | Forgetter, **kwargs: Any) -> None:
        self.work = loop
        super().__init__(**kwargs)

    @Service.task
    async def _run(self) -> None:
        await asyncio.to_thread(self.work.run)

    async def on_stop(self) -> None:
        self.work.patience.stop.set()


class Record(Loop):
    """task-completed to the store."""


class Keep(Loop):
    """Predictions to the store."""


class Forget(Loop):
    """Nothing kept of who is forgotten."""


class Watch(Service):
    """Looks for what Faust does not get out of. Most of it ends the worker, which is started again.

    An agent can wait for ever for messages that were taken from the broker and never came to it.
    On a new, empty Kafka a group whose leader joined while the topics were gone assigns them to
    nobody, for as long as he leads. A recovery that another rebalance interrupts can wait for ever
    for what it has read, or for the mark of a transaction, which is never delivered.

    A group that refuses this worker is told of, and asked again: its consumer keeps the error until
    somebody takes it, which Faust never does.
    """

    def __init__(
        self, app: faust.App, settings: Settings, count: Count, patience: Patience
    ) -> None:
        self.faust, self.settings, self.count = app, settings, count
        self.name = settings.topic_prefix + topics.COMPLETIONS.name
        self.edge = kafka.admin(settings)
        self.known = patience.call("kafka", kafka.is_away, declare.topic_id, self.edge, self.name)
        patient = STILL_SESSIONS * settings.kafka_session_seconds
        self.recovery, self.counting = Stillness(patient), Stillness(patient)
        super().__init__()

    @Service.task
    async def _run(self) -> None:
        async for _ in self.itertimer(self.settings.heal_seconds):
            self._look_admitted()
            recovery = self.faust.tables.recovery
            read = dict(recovery.active_offsets) if recovery.in_recovery else None
            if self.recovery.lasts(read, time.monotonic()):
                raise CannotGoOn("the counter's recovery stands still")
            if self.counting.lasts(self.count.stalls(), time.monotonic()):
                raise CannotGoOn("the counter stands still, though completions wait")
            if await self._is_made_anew():
                raise CannotGoOn("the topics were made anew")

    def _look_admitted(self) -> None:
        thread: Any = self.faust.consumer._thread
        coordinator = thread._consumer and thread._consumer._coordinator
        if coordinator is None:
            return
        error = coordinator._pending_exception
        if error is None:
            self.count.consumption.admit()
            return
        thread.thread_loop.call_soon_threadsafe(_take, coordinator)
        try:
            self.count.consumption.refuse(KafkaError(error.errno))
        except KafkaException:
            raise CannotGoOn(f"the counter's group fails: {error}") from error

    async def _is_made_anew(self) -> bool:
        try:
            return await asyncio.to_thread(declare.topic_id, self.edge, self.name) != self.known
        except (KafkaException, Unreachable) as error:
            log.debug("topics not looked at", because=str(error))
            return False


def _take(coordinator: Any) -> None:
    """After this it asks to be let in again."""
    with suppress(AiokafkaError):
        coordinator.check_errors()
