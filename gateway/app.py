"""The gateway's FastAPI app and its process."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import structlog
import uvicorn
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from gateway import pages, problems
from gateway.drain import Drain, Parting, Server
from gateway.face import Face
from gateway.guard import Guard
from gateway.headers import Secured
from gateway.hosts import Hosts
from gateway.keys import Keys
from gateway.link import Link
from gateway.metrics import Measured
from gateway.routes import router
from gateway.sessions import Sessions
from gateway.sign_outs import SignOuts
from gateway.tasks import Tasks
from schemas.errors import MachineError
from schemas.settings import Settings
from streams import database, probe
from streams.group_lags import GroupLags
from streams.health import Health, tell_disk
from streams.patience import Patience, Stopped

log = structlog.get_logger("retrace")


def create(settings: Settings) -> FastAPI:
    """The app; its link to Kafka lives as long as it does."""
    health = Health("gateway")
    tell_disk(settings.data_dir)
    patience = Patience(health, threading.Event())
    engine = database.connect(settings.database_url.get_secret_value(), "gateway", pool=10)
    tasks = Tasks(engine, settings.train_every)
    link = Link(settings, patience, tasks)
    keys = Keys(settings.api_keys)
    sessions = Sessions(keys, settings.data_dir)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=_begin, args=(patience, tasks, link), daemon=True).start()
        if keys:
            outs = SignOuts(engine, sessions, patience.stop)
            threading.Thread(target=outs.run, name="sign-outs", daemon=True).start()
        yield
        link.stop()
        engine.dispose()

    app: FastAPI = FastAPIOffline(
        title="Retrace",
        version=version("retrace"),
        description="Practice tasks with predictions; see the README for the events behind them.",
        lifespan=lifespan,
    )
    problems.install(app)
    hosts = Hosts(settings.host, settings.allowed_hosts)
    app.add_middleware(Guard, keys=keys, sessions=sessions, hosts=hosts)
    app.add_middleware(Measured)
    app.state.drain = Drain(health, settings.drain_seconds)
    app.add_middleware(Parting, drain=app.state.drain)
    face = Face(settings, health, link, tasks, keys, sessions, GroupLags(settings))
    app.include_router(router(face))
    pages.install(app, face)
    return app


def _begin(patience: Patience, tasks: Tasks, link: Link) -> None:
    """Reach the store, then link to Kafka, while health already answers."""
    try:
        patience.call("store", database.is_away, database.migrate, tasks.engine)
    except Stopped:
        return
    probe.start(link.settings, patience, tasks.engine)  # before, the store would lack its tables
    link.start()


def run(settings: Settings) -> None:
    """Serve until told to stop. Raises ``MachineError`` where the port is taken."""
    app = create(settings)
    config = uvicorn.Config(
        Secured(app),
        host=settings.host,
        port=settings.gateway_port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        server_header=False,
    )
    listener = _listen(settings.host, settings.gateway_port)
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again when it is done
        signal.signal(number, lambda *_: None)
    log.info("gateway runs", host=settings.host, port=listener.getsockname()[1])
    Server(config, app.state.drain).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket that names its protocol: only then does asyncio send without delay."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise MachineError(
            f"Port {port} on {host} cannot be used ({error.strerror}). "
            "Stop what uses it, or choose another with RETRACE_GATEWAY_PORT."
        ) from None
    return listener
