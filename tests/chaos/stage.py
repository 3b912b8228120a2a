"""The servers and workers that are hurt: child processes that may be killed, frozen and restarted.

Unlike the supervisor's children these stay down until told otherwise. They end with this process
(the kernel's parent-death signal), so start them from the main thread.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from ops.embedded_kafka import EmbeddedKafka
from ops.embedded_postgres import EmbeddedPostgres
from ops.kafka_jars import kafka_libraries
from ops.machine import free_port
from ops.processes import Process, launch
from schemas.settings import Settings
from tests.chaos.journal import Journal
from tests.running import environment, settings_of
from tests.servers import START_SECONDS, wait_until

S = TypeVar("S", bound="Stage")


class Child:
    """One process. ``wanted``: it is meant to run, so an end of its own is news."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.popen: subprocess.Popen[bytes] | None = None
        self.wanted = self.frozen = False

    @property
    def name(self) -> str:
        return self.process.name

    def start(self) -> None:
        """Nothing where it runs: of two who killed it, both start it again."""
        if not self.runs():
            environment = dict(self.process.env or os.environ)
            self.popen = launch(self.process, environment, guarded=False)
            self.frozen = False
        self.wanted = True

    def runs(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        """Let it go on; nothing where it has been killed and started again meanwhile."""
        if self.frozen:
            self._signal(signal.SIGCONT)
        self.frozen = False

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def end(self, number: int | None = None, seconds: float = 30.0) -> None:
        """Send the signal, or what stops it politely; wait until it is gone."""
        self.wanted = False
        if self.popen is None:
            return
        self.thaw()
        self._signal(self.process.stop_signal if number is None else number)
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait(10)

    def _signal(self, number: int) -> None:
        if self.runs():
            assert self.popen is not None
            self.popen.send_signal(number)


class Stage:
    """A Kafka and a PostgreSQL of its own, on ports that no outgoing connection takes."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.folder, self.journal = folder, journal
        self.kafka = EmbeddedKafka(
            folder / "kafka", free_port(), free_port(), libraries=kafka_libraries(print)
        )
        self.postgres = EmbeddedPostgres(folder / "postgres", free_port())
        self.broker: Child | None = None
        self.database: Child | None = None

    def start_kafka(self) -> None:
        self.kafka.prepare()
        self.broker = Child(self.kafka.process())
        self.broker.start()
        wait_until(self.kafka.ready, START_SECONDS)

    def start_postgres(self) -> None:
        self.postgres.prepare()
        self.database = Child(self.postgres.process())
        self.database.start()
        wait_until(self.postgres.ready, START_SECONDS)

    def empty_kafka(self) -> None:
        """After the broker's end: a new Kafka on the same port."""
        shutil.rmtree(self.kafka.directory / "data")

    def copy_store(self, source: str, target: str) -> None:
        """A file copy of a stopped server's data folder, owners and modes included."""
        home = self.postgres.directory
        subprocess.run(["rm", "-rf", str(home / target)], check=True)
        subprocess.run(["cp", "-a", str(home / source), str(home / target)], check=True)

    @property
    def bootstrap(self) -> str:
        return self.kafka.bootstrap

    def settings(self, name: str) -> Settings:
        """Settings with a database and topics of their own."""
        engine = create_engine(self.postgres.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        url = make_url(self.postgres.url).set(database=name)
        folder = self.folder / name
        folder.mkdir()
        address = url.render_as_string(hide_password=False)
        settings = settings_of(self.bootstrap, address, folder)
        default = Settings.model_fields["heal_seconds"].default
        return settings.model_copy(update={"heal_seconds": default})

    def stop(self) -> None:
        for child in (self.broker, self.database):
            if child is not None:
                child.end()


class Workers:
    """Two streams workers of one application."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self.journal = journal
        ports = (settings.streams_port, free_port())
        self.all = [
            Child(service("streams", settings.model_copy(update={"streams_port": port}), which))
            for which, port in enumerate(ports, 1)
        ]
        self.ended: list[int] = []

    @property
    def tended(self) -> list[Child]:
        """Those that are started again where they end by themselves."""
        return self.all

    def start(self) -> None:
        for child in self.all:
            if not child.runs():
                child.start()

    def kill(self) -> None:
        """All at once: frozen first, so that none sees the others go."""
        for child in self.all:
            child.freeze()
        for child in self.all:
            child.wanted = child.frozen = False
            if child.popen is not None:
                child.popen.kill()
                child.popen.wait(10)

    def stop(self) -> None:
        for child in self.all:
            child.end()

    def tend(self) -> None:
        """Start again what has ended by itself, as any supervisor would."""
        for child in self.tended:
            if child.wanted and not child.runs():
                assert child.popen is not None
                self.journal.note("ended by itself", worker=child.name, code=child.popen.returncode)
                self.ended.append(child.popen.returncode)
                child.start()

    def largest(self) -> float:
        """MiB that the largest worker of streams holds now."""
        held = [0.0]
        for child in self.all:
            if child.popen is not None and child.runs():
                held.append(psutil.Process(child.popen.pid).memory_info().rss / 2**20)
        return max(held)


@contextmanager
def staged(stage: S) -> Iterator[S]:
    """Both servers up; gone afterwards."""
    began = time.monotonic()
    try:
        stage.start_postgres()
        stage.start_kafka()
        stage.journal.note("servers up", took=round(time.monotonic() - began, 1))
        yield stage
    finally:
        stage.stop()


def service(kind: str, settings: Settings, which: int) -> Process:
    """A service of Retrace, the ``which``-th of its kind."""
    more = {"RETRACE_LOG_FORMAT": "json", "PYTHONUNBUFFERED": "1"}
    argv = [sys.executable, "-m", "ops.cli", kind]
    name = f"{kind}-{which}"
    return Process(name, argv, environment(settings) | more, settings.data_dir / f"{name}.log")
