"""The embedded servers and the four services, as one stack of supervised processes."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from ops import local
from ops.embedded_kafka import EmbeddedKafka
from ops.embedded_postgres import EmbeddedPostgres
from ops.kafka_jars import kafka_libraries
from ops.machine import free_port, make_folder, require_free_port
from ops.supervisor import Event, Process, Supervisor
from schemas.errors import MachineError
from schemas.settings import PREFIX, Settings

SERVICES = ("streams", "trainer", "inference", "gateway")
PORTS = tuple(f"{name}_port" for name in SERVICES)
SERVER_SECONDS = 90.0
Say = Callable[[str], None]


@dataclass
class Stack:
    """What `retrace up` runs. ``settings`` name the servers once they are up."""

    settings: Settings
    supervisor: Supervisor
    say: Say
    kafka: EmbeddedKafka | None = None
    postgres: EmbeddedPostgres | None = None
    events: list[Event] = field(default_factory=list)

    def start(self) -> None:
        """Start everything at once: services wait for the servers by themselves."""
        self.start_servers()
        local.write(self.settings)
        self._start_services()

    def start_servers(self) -> None:
        """Start the embedded servers that no setting names."""
        if not self.settings.kafka_bootstrap:
            self.kafka = self._kafka()
        if not self.settings.database_url.get_secret_value():
            self.postgres = EmbeddedPostgres(self._folder("postgres"), self.settings.postgres_port)
            self.postgres.prepare()
            self.supervisor.start(self.postgres.process())
        if self.kafka is not None:
            self.supervisor.start(self.kafka.process())
        self.settings = self._found()

    def _start_services(self) -> None:
        """Start the four services, in the order of the flow."""
        environment = self._environment()
        for name in SERVICES:
            argv = [sys.executable, "-m", "ops.cli", name]
            log = self.log_path(name)
            self.supervisor.start(Process(name, argv, environment, log, stop_timeout=20.0))

    def log_path(self, name: str) -> Path:
        return self.settings.data_dir.resolve() / "logs" / f"{name}.log"

    def _kafka(self) -> EmbeddedKafka:
        libraries = kafka_libraries(self.say)
        port = self.settings.kafka_port
        kafka = EmbeddedKafka(self._folder("kafka"), port, libraries=libraries)
        kafka.prepare()
        return kafka

    def _folder(self, name: str) -> Path:
        return self.settings.data_dir.resolve() / name

    def await_servers(self) -> None:
        deadline = time.monotonic() + SERVER_SECONDS
        for name, server in (("PostgreSQL", self.postgres), ("Kafka", self.kafka)):
            while server is not None and not server.ready():
                self.events += self.supervisor.poll()
                if time.monotonic() > deadline:
                    raise MachineError(
                        f"{name} did not start in {SERVER_SECONDS:.0f} s; see {server.log_path}"
                    )
                time.sleep(0.1)

    def _found(self) -> Settings:
        ports = {name: getattr(self.settings, name) or free_port() for name in PORTS}
        found: dict[str, object] = dict(ports)
        if self.kafka is not None:
            found["kafka_bootstrap"] = self.kafka.bootstrap
        if self.postgres is not None:
            found["database_url"] = SecretStr(self.postgres.url)
        return self.settings.model_copy(update=found)

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            PREFIX + "KAFKA_BOOTSTRAP": self.settings.kafka_bootstrap,
            PREFIX + "DATABASE_URL": self.settings.database_url.get_secret_value(),
            PREFIX + "DATA_DIR": str(self.settings.data_dir.resolve()),
            **{PREFIX + name.upper(): str(getattr(self.settings, name)) for name in PORTS},
            PREFIX + "LOG_FORMAT": "json",
            "PYTHONUNBUFFERED": "1",
        }


@contextmanager
def running(settings: Settings, say: Say) -> Iterator[Stack]:
    """A stack with its servers up, its services starting; leaving stops all in reverse order."""
    folder = settings.data_dir.resolve()
    make_folder(folder)
    with _alone(folder):
        require_ports(settings)
        try:
            with Supervisor() as supervisor:
                stack = Stack(settings, supervisor, say)
                stack.start()
                stack.await_servers()
                yield stack
        finally:
            (folder / local.FILE).unlink(missing_ok=True)


@contextmanager
def servers(settings: Settings, say: Say) -> Iterator[Settings]:
    """The embedded servers without any service, where neither a setting nor a stack that runs names
    others; for what nothing may run beside."""
    if settings.kafka_bootstrap and settings.database_url.get_secret_value():
        yield settings
        return
    folder = settings.data_dir.resolve()
    make_folder(folder)
    with _alone(folder), Supervisor() as supervisor:
        stack = Stack(settings, supervisor, say)
        stack.start_servers()
        stack.await_servers()
        yield stack.settings


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the data folder; raise where another stack already runs in it."""
    with (folder / "up.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MachineError(
                f"Another `retrace up` already runs in {folder}. Stop it, or choose another "
                "folder with RETRACE_DATA_DIR."
            ) from None
        yield


def require_ports(settings: Settings) -> None:
    """Raise where a service's port is taken, before anything is started."""
    for name in SERVICES:
        port = getattr(settings, f"{name}_port")
        if port:
            require_free_port(port, f"{PREFIX}{name.upper()}_PORT")
