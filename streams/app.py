"""The Faust app: the record service, the count agent with its table, the healing timer.

Only this file and beside.py import faust. What it leaves to others, and why, is in record.py and
count.py; Faust brings the group membership, the table with its changelog, and the life cycle.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

import faust
import structlog
from faust.types import TP

from schemas import topics
from schemas.codec import Raw
from schemas.errors import MachineError
from schemas.settings import Settings
from streams import database, declare, kafka, probe, security
from streams import health as health_edge
from streams.beside import Forget, Keep, Record, Watch
from streams.count import GROUP, Count
from streams.forgetter import Forgetter
from streams.health import Health
from streams.patience import Patience, Stopped
from streams.predictions import Keeper
from streams.record import Recorder
from streams.scoring import Scoring
from streams.store import Store

log = structlog.get_logger("retrace")
APP_ID = GROUP
TABLE = "state"
GLOBAL = "global"


def build(settings: Settings, store: Store, patience: Patience) -> faust.App:
    """The app, wired but not started."""
    app = faust.App(
        settings.topic_prefix + APP_ID,
        broker=_broker(settings),
        broker_credentials=_credentials(settings),
        store="memory://",
        datadir=str(_folder(settings)),
        topic_partitions=1,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=1.0,
        broker_session_timeout=settings.kafka_session_seconds,
        broker_heartbeat_interval=settings.kafka_session_seconds / 4,
        table_standby_replicas=0,
        producer_max_request_size=topics.DEAD_LETTER_LIMIT,
        consumer_max_fetch_size=topics.DEAD_LETTER_LIMIT,
        worker_redirect_stdouts=False,
    )
    app.on_rebalance_complete.connect(_hold_flow)
    count = Count(settings, store, patience)
    _add_count(app, settings, count)
    app.add_dependency(
        Watch(app, settings, count, patience)
    )  # runs from before the first recovery on
    app.service(Record(Recorder(settings, store, patience)))
    app.service(Keep(Keeper(settings, store.engine, patience)))
    app.service(Forget(Forgetter(settings, store.engine, patience)))
    _add_scores(app, settings, Scoring(settings, store.engine, patience))
    return app


def _folder(settings: Settings) -> Path:
    """Where Faust makes folders, which stay empty: its table is in memory, and in Kafka."""
    folder = settings.data_dir / "faust"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(
            f"{folder} cannot be made ({error.strerror}). "
            "Let RETRACE_DATA_DIR be a folder that this user may write to."
        ) from None
    return folder


async def _hold_flow(app: faust.App, **_: Any) -> None:
    """Keep messages waiting before the agent's queue until Faust has emptied it, which follows.

    Faust reads again before it empties the queue: what came in between was lost until the next
    rebalance (its issue 596). To stop reading instead would lose as much: where nothing was
    committed yet, the position does not go back.
    """
    app.flow_control.suspend()


def _add_scores(app: faust.App, settings: Settings, scoring: Scoring) -> None:
    place = TP(settings.topic_prefix + topics.COMPLETIONS.name, 0)

    @app.timer(interval=settings.score_seconds)
    async def score() -> None:
        """By whoever counts, so that one worker does."""
        if app.rebalancing or place not in app.consumer.assignment():
            return
        try:
            await asyncio.to_thread(scoring.turn)
        except Stopped:
            return


def _add_count(app: faust.App, settings: Settings, count: Count) -> None:
    name = settings.topic_prefix + topics.COMPLETIONS.name
    topic = app.topic(
        name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw",
        partitions=1, internal=True,
    )  # fmt: skip
    table = app.Table(TABLE, partitions=1, key_type=str, value_type=bytes, default=bytes)
    handled = {"offset": -1}

    @app.agent(topic, name="count", concurrency=1)
    async def counted(stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            state = table[GLOBAL]
            after = await asyncio.to_thread(count.handle, state, _raw(name, message))
            if after != state:
                table[GLOBAL] = after
            await stream.ack(event)
            handled["offset"] = message.offset

    @app.timer(interval=settings.heal_seconds)
    async def heal() -> None:
        place = TP(name, 0)
        count.consumption.hold([0] if _counts(app, place) else [])
        if not _is_caught_up(app, place, handled["offset"]):
            return
        try:
            await asyncio.to_thread(count.heal, table[GLOBAL])
        except Stopped:
            return


def _counts(app: faust.App, place: TP) -> bool:
    """Whether messages come to this worker: it counts, and has its table back."""
    return not (
        app.rebalancing or app.tables.recovery.in_recovery or place not in app.consumer.assignment()
    )


def _is_caught_up(app: faust.App, place: TP, handled: int) -> bool:
    """Whether this worker counts, has its table back, and has nothing waiting.

    After a restart nothing has been handled yet: then what was committed before stands for it.
    """
    if app.rebalancing or place not in app.consumer.assignment():
        return False
    highwater = app.consumer.highwater(place) or 0
    committed = app.consumer._committed_offset.get(place) or 0
    return max(handled + 1, committed) >= highwater


def _raw(topic: str, message: Any) -> Raw:
    headers = message.headers
    pairs = headers.items() if isinstance(headers, dict) else headers or ()
    return Raw(topic, message.partition, message.offset, message.key, message.value, tuple(pairs))


def _broker(settings: Settings) -> str:
    servers = kafka.client(settings)["bootstrap.servers"]
    return ";".join(f"kafka://{server.strip()}" for server in servers.split(","))


def _credentials(settings: Settings) -> Any:
    protocol = settings.kafka_security_protocol
    if protocol == "PLAINTEXT":
        return None
    context = security.context(settings)
    if protocol == "SSL":
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=settings.kafka_sasl_username,
        password=settings.kafka_sasl_password.get_secret_value(),
        mechanism=settings.kafka_sasl_mechanism,
        ssl_context=context,
    )


def run(settings: Settings) -> None:
    """Run streams until it is told to stop. Waits for Kafka and the store before and after."""
    health = Health("streams")
    health_edge.tell_disk(settings.data_dir)
    server = health_edge.serve(health, settings.host, settings.streams_port)
    patience = Patience(health, threading.Event())
    store = Store(database.connect(settings.database_url.get_secret_value(), "streams"))
    _prepare(settings, store, patience)
    probe.start(settings, patience, store.engine)  # before, the store would be ready without tables
    worker = faust.Worker(
        build(settings, store, patience),
        loglevel=settings.log_level,
        override_logging=False,
        redirect_stdouts=False,
        quiet=True,
        daemon=True,
    )
    gc.freeze()  # what is imported stays; looking for garbage in it took a fifth of the time
    log.info("streams runs", every=settings.train_every, port=server.server_address[1])
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        if not end.code or worker._shutdown_immediately:  # set by SIGTERM and SIGINT only
            raise
    server.server_close()
    _begin_again()


def _prepare(settings: Settings, store: Store, patience: Patience) -> None:
    patience.call("kafka", kafka.is_away, declare.declare, settings)
    patience.call("store", database.is_away, store.prepare, settings.train_every)


def _begin_again() -> NoReturn:
    """Faust gives up where a broker stays away; this service does not."""
    log.warning("the worker stopped by itself; starting it again")
    time.sleep(2.0)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606
