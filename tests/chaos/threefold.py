"""The whole system's stage: three Kafka nodes, PostgreSQL, and every service, most of them twice.

The model store is a small file system of its own where this user may mount one, so that it can be
filled up.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from ops.kafka_jars import kafka_libraries
from ops.machine import free_port
from schemas.settings import Settings
from tests.chaos.cluster import NODES, Cluster
from tests.chaos.journal import Journal
from tests.chaos.stage import Child, Stage, Workers, service
from tests.servers import START_SECONDS, wait_until

STORE_MIB = 64
# Small trainings, so that many are under way while others are hurt.
SMALL = {
    "train_epochs": 2,
    "train_rows": 1000,
    "models_kept": 5,
    "models_young_seconds": 15,
    "score_seconds": 10.0,
}


class Threefold(Stage):
    """``nodes``: Kafka's processes, started and ended one by one."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        super().__init__(folder, journal)
        libraries = kafka_libraries(print)
        self.cluster = Cluster(folder / "kafka", [free_port() for _ in range(2 * NODES)], libraries)
        self.nodes = [Child(node.process()) for node in self.cluster.nodes]
        self._mounted: Path | None = None

    @property
    def bootstrap(self) -> str:
        return self.cluster.bootstrap

    def start_kafka(self) -> None:
        """Format and start all; afterwards, start what was ended. Whole when this returns."""
        if not self.cluster.nodes[0].folder.exists():
            self.cluster.prepare()
        for node in self.nodes:
            if not node.runs():
                node.start()
        wait_until(self.cluster.whole, START_SECONDS)

    def settings(self, name: str) -> Settings:
        """A session of the present length, a store of few megabytes, and short trainings."""
        settings = super().settings(name)
        self._mount(settings.data_dir / "models")
        return settings.model_copy(update=SMALL)

    @property
    def small_store(self) -> Path | None:
        """The model store where it can be filled up; None where nothing may be mounted."""
        return self._mounted

    def _mount(self, folder: Path) -> None:
        folder.mkdir()
        argv = ["mount", "-t", "tmpfs", "-o", f"size={STORE_MIB}m", "retrace-chaos", str(folder)]
        try:
            result = subprocess.run(argv, capture_output=True, text=True, check=False)
            refused = result.stderr.strip() if result.returncode else ""
        except OSError as error:
            refused = str(error)
        if refused:
            self.journal.note("no small model store", because=refused)
        else:
            self._mounted = folder

    def stop(self) -> None:
        super().stop()
        for node in self.nodes:
            node.kill()
        if self._mounted is not None:
            subprocess.run(["umount", "--lazy", str(self._mounted)], check=False)


class Troupe(Workers):
    """Two each of streams (``all``), inference and trainer, and one gateway."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        super().__init__(settings, journal)
        self.trainers = _two("trainer", settings)
        self.inferences = _two("inference", settings)
        self.gateway = Child(service("gateway", settings, 1))

    @property
    def others(self) -> list[Child]:
        return [*self.trainers, *self.inferences, self.gateway]

    def start_others(self) -> None:
        for child in self.others:
            if not child.runs():
                child.start()

    @property
    def tended(self) -> list[Child]:
        return [*self.all, *self.others]

    def stop_others(self) -> None:
        """At once: what they did has been judged."""
        for child in self.others:
            child.kill()


def _two(kind: str, settings: Settings) -> list[Child]:
    field = f"{kind}_port"
    ports = (getattr(settings, field), free_port())
    return [
        Child(service(kind, settings.model_copy(update={field: port}), which))
        for which, port in enumerate(ports, 1)
    ]


def port_of(child: Child) -> int:
    """Where a service answers over HTTP."""
    kind = child.name.split("-")[0].upper()
    return int((child.process.env or {})[f"RETRACE_{kind}_PORT"])
