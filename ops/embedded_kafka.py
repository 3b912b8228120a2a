"""Apache Kafka itself as a child process: one node, loopback only, no Docker.

A broker and controller in one (KRaft) below one folder:

    server.properties, log4j2.properties    written at every start
    kafka.version                           of the Kafka that made the folder
    data/                                   formatted aside, then renamed: never half made
    logs/                                   server.log rolls; stdout.log holds what the JVM says

The controller is named by a static quorum, so both ports may change between two starts.
"""

from __future__ import annotations

import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from ops.kafka_config import logging_config, server_properties
from ops.kafka_jars import find_java, kafka_version
from ops.machine import GIB, answers, free_port, make_folder, require_free_port, require_room
from ops.processes import Process
from schemas.errors import MachineError

HEAP = "512m"
PORT_VARIABLE = "RETRACE_KAFKA_PORT"
CONTROLLER_PORT_VARIABLE = "RETRACE_KAFKA_CONTROLLER_PORT"
REQUIRED_META = {"version", "cluster.id", "node.id", "directory.id"}


class EmbeddedKafka:
    """One Kafka node. ``prepare`` once, then run ``command``; it is up when ``ready``."""

    def __init__(
        self,
        directory: Path,
        port: int,
        controller_port: int = 0,
        *,
        libraries: Path,
        path: str | None = None,
        minimum_free: int = GIB,
    ) -> None:
        """``controller_port`` 0 takes any free one; ``path`` is where to look for Java."""
        self.directory = directory.resolve()
        self.port = port
        self.controller_port = controller_port or free_port()
        self.log_path = self.directory / "logs" / "stdout.log"
        self._data = self.directory / "data"
        self._libraries = libraries
        self._java = find_java(path)
        self._minimum_free = minimum_free

    @property
    def bootstrap(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Check ports, disk and folder; write the configuration; format the storage once."""
        make_folder(self.directory / "logs")
        require_free_port(self.port, PORT_VARIABLE)
        require_free_port(self.controller_port, CONTROLLER_PORT_VARIABLE)
        require_room(self.directory, self._minimum_free)
        self._write_configuration()
        if self._data.exists():
            self._check_version()
            self._check_meta()
        else:
            self._format()

    def command(self) -> list[str]:
        """The broker's argv; it stops gracefully on SIGTERM."""
        options = [
            *(f"-Xmx{HEAP}", "-Xms128m", "-XX:+UseSerialGC", "-XX:-UsePerfData"),
            *("-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true"),
            f"-Dlog4j2.configurationFile={self.directory / 'log4j2.properties'}",
        ]
        return self._jvm(options, "kafka.Kafka", str(self.directory / "server.properties"))

    def process(self) -> Process:
        """The broker, for the supervisor."""
        return Process("kafka", self.command(), None, self.log_path, stop_timeout=30.0)

    def ready(self) -> bool:
        """Whether the broker answers a metadata request and is registered."""
        if not answers(self.port):
            return False
        try:
            client = AdminClient(self.client())
            return bool(client.list_topics(timeout=2.0).brokers)
        except KafkaException:
            return False

    def properties(self, data: Path) -> str:
        """The text of ``server.properties`` for this data folder."""
        return server_properties(self.port, self.controller_port, data)

    def formatted_with(self) -> tuple[str, ...]:
        """More that the storage is formatted with; users, where the broker knows any."""
        return ()

    def client(self) -> dict[str, Any]:
        """How to ask whether it is up."""
        return {"bootstrap.servers": self.bootstrap, "log_level": 0}

    def _write_configuration(self) -> None:
        (self.directory / "server.properties").write_text(self.properties(self._data))
        (self.directory / "log4j2.properties").write_text(
            logging_config(self.directory / "logs" / "server.log")
        )

    def _format(self) -> None:
        aside = self.directory / "data.new"
        shutil.rmtree(aside, ignore_errors=True)
        config = self.directory / "format.properties"
        config.write_text(self.properties(aside))
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        arguments = ("format", f"--cluster-id={cluster}", "--config", str(config))
        argv = self._jvm(options, "kafka.tools.StorageTool", *arguments, *self.formatted_with())
        result = subprocess.run(argv, capture_output=True, text=True, check=False)
        if result.returncode:
            reason = (result.stderr or result.stdout).strip().splitlines()
            raise MachineError(f"Kafka could not format {aside}: {reason[-1] if reason else '?'}")
        config.unlink()
        self._version_file.write_text(kafka_version() + "\n")
        aside.rename(self._data)

    def _check_version(self) -> None:
        ours = kafka_version()
        theirs = self._version_file.read_text().strip() if self._version_file.exists() else ours
        if _release(theirs) > _release(ours):
            raise MachineError(
                f"The Kafka data folder {self.directory} was made by Kafka {theirs}, newer than "
                f"this {ours}. Use that version, or move the folder away to start empty."
            )

    def _check_meta(self) -> None:
        meta = self._data / "meta.properties"
        lines = meta.read_text(errors="replace").splitlines() if meta.exists() else []
        found = dict(line.split("=", 1) for line in lines if "=" in line)
        if not found.keys() >= REQUIRED_META or found["node.id"] != "1" or found["version"] != "1":
            raise MachineError(
                f"The Kafka data folder {self.directory} is damaged or of another version "
                f"({meta}). Restore it from a backup, or move it away to start empty."
            )

    @property
    def _version_file(self) -> Path:
        return self.directory / "kafka.version"

    def _jvm(self, options: list[str], main: str, *arguments: str) -> list[str]:
        return [self._java, *options, "-cp", f"{self._libraries}/*", main, *arguments]


def _release(version: str) -> tuple[int, ...]:
    """Major and minor: what a folder's format may depend on."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
