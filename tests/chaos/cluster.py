"""Three Kafka nodes as three processes, each a broker and a controller; one may always be lost.

Every topic has three replicas, and a write is acknowledged when two have it, so that any one node
may be killed and nothing is lost and nothing waits for it.
"""

from __future__ import annotations

import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from ops.kafka_config import CONTRACT, SINGLE_NODE, SMALL_AND_QUICK, logging_config
from ops.kafka_jars import find_java
from ops.machine import answers
from ops.processes import Process

NODES = 3
# Every copy three times; of what must be at least two, two.
REPLICATED = {
    name: value if name.endswith("partitions") else "2" if "min" in name else str(NODES)
    for name, value in SINGLE_NODE.items()
}
# Leaders go back to the replica that is named first, soon after that is there again.
REBALANCED = {
    "leader.imbalance.check.interval.seconds": "3",
    "leader.imbalance.per.broker.percentage": "0",
}


class Node:
    """One of the nodes, in a folder of its own."""

    def __init__(self, folder: Path, number: int, ports: Sequence[int], libraries: Path) -> None:
        """``ports``: a broker's and a controller's of each node, in turn."""
        self.folder, self.number, self.libraries = folder, number, libraries
        self.port, self.controller = ports[2 * number - 2 : 2 * number]
        self.voters = [f"{n}@127.0.0.1:{port}" for n, port in enumerate(ports[1::2], 1)]
        self.java = find_java()

    def prepare(self, cluster: str) -> None:
        """Write the configuration and format the storage."""
        (self.folder / "logs").mkdir(parents=True)
        (self.folder / "log4j2.properties").write_text(
            logging_config(self.folder / "logs" / "server.log")
        )
        settings = self._settings() | REPLICATED | REBALANCED | CONTRACT | SMALL_AND_QUICK
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self.folder / "server.properties").write_text(text)
        options = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
        config = str(self.folder / "server.properties")
        argv = self._jvm(
            options, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", config
        )
        subprocess.run(argv, check=True, capture_output=True)

    def process(self) -> Process:
        options = (
            *("-Xmx384m", "-Xms128m", "-XX:+UseSerialGC", "-XX:-UsePerfData"),
            *("-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true"),
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
        )
        argv = self._jvm(options, "kafka.Kafka", str(self.folder / "server.properties"))
        log = self.folder / "logs" / "stdout.log"
        return Process(f"kafka-{self.number}", argv, None, log, stop_timeout=30.0)

    def _settings(self) -> dict[str, str]:
        return {
            "process.roles": "broker,controller",
            "node.id": str(self.number),
            "controller.quorum.voters": ",".join(self.voters),
            "listeners": f"BROKER://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller}",
            "advertised.listeners": f"BROKER://127.0.0.1:{self.port}",
            "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "BROKER",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.folder / "data"),
        }

    def _jvm(self, options: Sequence[str], main: str, *arguments: str) -> list[str]:
        return [self.java, *options, "-cp", f"{self.libraries}/*", main, *arguments]


class Cluster:
    """The nodes, and what an operator asks of them."""

    def __init__(self, folder: Path, ports: Sequence[int], libraries: Path) -> None:
        self.nodes = [
            Node(folder / f"node-{number}", number, ports, libraries)
            for number in range(1, NODES + 1)
        ]

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def prepare(self) -> None:
        """Format every node for one cluster."""
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        for node in self.nodes:
            node.prepare(cluster)

    def whole(self) -> bool:
        """Whether every node answers and every partition has all its replicas in sync."""
        if not all(answers(node.port) for node in self.nodes):
            return False
        try:
            found = self._admin().list_topics(timeout=3.0)
        except KafkaException:
            return False
        places = [p for topic in found.topics.values() for p in topic.partitions.values()]
        return len(found.brokers) == NODES and all(len(place.isrs) == NODES for place in places)

    def leaders(self) -> dict[tuple[str, int], int]:
        """The leader of each partition."""
        found = self._admin().list_topics(timeout=10.0).topics
        return {(n, p): at.leader for n, t in found.items() for p, at in t.partitions.items()}

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
