"""The doctor's questions to Kafka. Nothing is written to find out."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation  # type: ignore[attr-defined]

from ops.findings import Finding
from schemas import topics
from schemas.settings import PREFIX, Settings
from streams import declare, kafka


def reachable(settings: Settings) -> Finding:
    began = time.monotonic()
    declare.partitions(kafka.admin(settings), 5.0)
    milliseconds = (time.monotonic() - began) * 1000
    return "ok", f"{settings.kafka_bootstrap} answers in {milliseconds:.0f} ms", ""


def declared(settings: Settings) -> Finding:
    present = declare.partitions(kafka.admin(settings), 5.0)
    several = settings.kafka_partitions
    wanted = {settings.topic_prefix + t.name: t.spread(several).partitions for t in topics.ALL}
    missing = [name for name in wanted if name not in present]
    wrong = [
        f"{name} has {present[name]} partitions, {count} are declared"
        for name, count in wanted.items()
        if present.get(name, count) != count
    ]
    if wrong:
        advice = (
            f"Counts are fixed once created: set {PREFIX}KAFKA_PARTITIONS to what is there, use "
            f"another {PREFIX}TOPIC_PREFIX, or delete the topic."
        )
        return "fail", "; ".join(wrong), advice
    if missing:
        advice = "Every service creates them when it starts: `retrace up`, or `retrace streams`."
        return "warn", f"missing: {', '.join(missing)}", advice
    return "ok", f"{len(wanted)} as declared", ""


def permitted(settings: Settings) -> Finding:
    """What the brokers say this client may do; nothing is written to find out."""
    edge = kafka.admin(settings)
    present = declare.partitions(edge, 5.0)
    names = [n for t in topics.ALL if (n := settings.topic_prefix + t.name) in present]
    if not names:
        return "warn", "no topic to ask about yet", "Start a service, then ask again."
    described = edge.describe_topics(
        TopicCollection(names), include_authorized_operations=True, request_timeout=10
    )
    lacking = [lack for name, future in described.items() if (lack := _lack(name, future))]
    if lacking:
        return "fail", "; ".join(lacking), "Grant this user READ, WRITE and DESCRIBE on them."
    return "ok", f"may read and write {len(names)} topics", ""


def _lack(name: str, future: Any) -> str:
    try:
        allowed = future.result().authorized_operations
    except KafkaException as error:
        return f"{name}: {error.args[0].str()}"
    wanted = {AclOperation.READ: "read", AclOperation.WRITE: "write"}
    missing = [word for operation, word in wanted.items() if operation not in (allowed or wanted)]
    return f"may not {' or '.join(missing)} {name}" if missing else ""
