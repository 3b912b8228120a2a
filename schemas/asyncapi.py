"""The AsyncAPI 3.0 document, generated from topics.py and events.py, for teams beside Retrace.

It is written from Retrace's side: what it ``receive``s is what others may send. Names are without
the prefix that ``RETRACE_TOPIC_PREFIX`` may put before them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemas import asyncapi_messages as messages
from schemas import topics
from schemas.events import REPLY_TOPIC
from schemas.json_schema import Schema
from schemas.topics import Topic

BINDING = messages.BINDING
ABOUT = """\
Retrace counts completed tasks exactly, retrains at every fifth, and serves the newest models.

Seen from Retrace's side: what it receives, others send; what it sends, others may read. Times are
RFC 3339 with offset, durations seconds, values JSON in UTF-8. Unknown fields are ignored and new
ones are optional. Keyed messages are placed by the murmur2 partitioner (librdkafka:
`murmur2_random`). A setting, RETRACE_TOPIC_PREFIX, may put a prefix before every channel's address.
What cannot be processed is in `dead-letters`."""
SERVICES = {
    "streams": "records, counts and scores",
    "training": "makes the models",
    "inference": "answers prediction-requests",
    "gateway": "REST calls",
    "operators": "the command line",
}
# AsyncAPI's name of each mechanism that RETRACE_KAFKA_SASL_MECHANISM may name.
MECHANISMS = {
    "PLAIN": "plain",
    "SCRAM-SHA-256": "scramSha256",
    "SCRAM-SHA-512": "scramSha512",
}
SERVERS = {
    "plain": ("kafka", "PLAINTEXT: on one machine or a trusted network."),
    "secure": ("kafka-secure", "TLS, with SASL (SASL_SSL) or a client's certificate (SSL)."),
}


def document(version: str) -> Schema:
    """The AsyncAPI 3.0 document of all topics."""
    every = [*topics.ALL, topics.reply("any")]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Retrace", "version": version, "description": ABOUT, "tags": _tags()},
        "defaultContentType": "application/json",
        "servers": {name: _server(name, *said) for name, said in SERVERS.items()},
        "channels": {_id(t): _channel(t) for t in every},
        "operations": {name: op for t in every for name, op in _operations(t)},
        "components": {
            "messages": {name: m for t in every for name, m in messages.of(t, _id(t)).items()},
            "schemas": messages.schemas(every),
            "securitySchemes": _schemes(),
        },
    }


def _id(topic: Topic) -> str:
    return "reply" if topic.is_reply else topic.name


def _tags() -> list[Schema]:
    return [{"name": name, "description": does} for name, does in SERVICES.items()]


def _server(name: str, protocol: str, about: str) -> Schema:
    server = {
        "host": "{bootstrap}",
        "protocol": protocol,
        "description": about,
        "variables": {
            "bootstrap": {
                "default": "127.0.0.1:9092",
                "description": "Kafka's address, host:port; RETRACE_KAFKA_BOOTSTRAP.",
            }
        },
    }
    schemes = [{"$ref": f"#/components/securitySchemes/{each}"} for each in _schemes()]
    return {**server, "security": schemes} if name == "secure" else server


def _schemes() -> dict[str, Schema]:
    users = {
        name: {"type": name, "description": f"SASL {mechanism} over TLS."}
        for mechanism, name in MECHANISMS.items()
    }
    certificate = {"type": "X509", "description": "A client's certificate (mutual TLS)."}
    return {**users, "certificate": certificate}


def _channel(topic: Topic) -> Schema:
    readers = f"; read by {', '.join(topic.read_by)}" if topic.read_by else ""
    return {
        # A reply goes where its request says, so the document cannot name the address.
        "address": None if topic.is_reply else topic.name,
        "title": _id(topic),
        "summary": topic.about,
        "description": f"Written by {topic.writer}{readers}. {_limits(topic)}",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _names(topic)},
        "bindings": {"kafka": _kafka(topic)},
    }


def _limits(topic: Topic) -> str:
    words = f"A value is at most {topic.max_bytes // topics.KIB} KiB."
    if topic.is_reply:
        words += f" Its name is what the request's `reply-topic` header says: `{REPLY_TOPIC}`."
    return words


def _kafka(topic: Topic) -> Schema:
    config = topic.config()
    return {
        "partitions": topic.partitions,
        "topicConfiguration": {
            "cleanup.policy": [config["cleanup.policy"]],
            "retention.ms": int(config["retention.ms"]),
            "max.message.bytes": int(config["max.message.bytes"]),
        },
        "bindingVersion": BINDING,
    }


def _operations(topic: Topic) -> Iterator[tuple[str, Schema]]:
    """What each of Retrace's services does with a topic."""
    for service in topic.sent_by:
        yield f"{service}-sends-{_id(topic)}", _operation(topic, service, "send")
    for service in topic.read_by:
        yield f"{service}-reads-{_id(topic)}", _operation(topic, service, "receive")


def _operation(topic: Topic, service: str, action: str) -> Schema:
    made: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": f"#/channels/{_id(topic)}"},
        "summary": f"{service}: {topic.about}",
        "tags": [{"name": service}],
        "messages": _refs(topic),
    }
    if topic is topics.PREDICTION_REQUEST:
        made["reply"] = {
            "address": {
                "location": "$message.header#/reply-topic",
                "description": "A topic below `reply.`, made by the asker.",
            },
            "channel": {"$ref": "#/channels/reply"},
            "messages": _refs(topics.reply("any")),
        }
    return made


def _refs(topic: Topic) -> list[Schema]:
    return [{"$ref": f"#/channels/{_id(topic)}/messages/{name}"} for name in _names(topic)]


def _names(topic: Topic) -> list[str]:
    return list(messages.of(topic, _id(topic)))
