"""The embedded broker's configuration: its text, and why a value differs from Kafka's own."""

from __future__ import annotations

from pathlib import Path

LARGEST_MESSAGE_BYTES = 1_310_720

# One node holds every copy of everything.
SINGLE_NODE = {
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
}

# Topics are declared, never made by a typing error; the limits follow from the contract.
CONTRACT = {
    "auto.create.topics.enable": "false",
    "message.max.bytes": str(LARGEST_MESSAGE_BYTES),
    "replica.fetch.max.bytes": str(LARGEST_MESSAGE_BYTES),
    "log.retention.hours": "168",
    "offsets.retention.minutes": str(90 * 24 * 60),
}

# The broker after kill -9 may register again only when its last session is over: 9 s by default.
# The log cleaner takes 128 MB of the heap by default. Sessions of consumers may be as short as our
# setting's least.
SMALL_AND_QUICK = {
    "group.min.session.timeout.ms": "1000",
    "group.initial.rebalance.delay.ms": "0",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": str(16 * 1024**2),
}


def server_properties(port: int, controller_port: int, data: Path) -> str:
    """The text of ``server.properties``."""
    node = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"BROKER://127.0.0.1:{port}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": _escaped(data),
    }
    return _lines(node | SINGLE_NODE | CONTRACT | SMALL_AND_QUICK)


def logging_config(path: Path) -> str:
    """A log4j2 configuration: one file of 10 MB at most, and three older ones."""
    appender = {
        "type": "RollingFile",
        "name": "file",
        "fileName": _escaped(path),
        "filePattern": f"{_escaped(path)}.%i",
        "layout.type": "PatternLayout",
        "layout.pattern": "%d{ISO8601} %-5p %c{1}: %m%n",
        "policies.type": "Policies",
        "policies.size.type": "SizeBasedTriggeringPolicy",
        "policies.size.size": "10MB",
        "strategy.type": "DefaultRolloverStrategy",
        "strategy.max": "3",
    }
    root = {"rootLogger.level": "info", "rootLogger.appenderRef.file.ref": "file"}
    return _lines({f"appender.file.{key}": value for key, value in appender.items()} | root)


def _lines(settings: dict[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def _escaped(path: Path) -> str:
    """A path as a Java properties file spells it."""
    return str(path).replace("\\", "\\\\")
