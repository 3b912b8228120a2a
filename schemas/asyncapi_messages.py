"""The messages of the AsyncAPI document: payloads, headers, keys and examples.

AsyncAPI's own schemas are JSON Schema draft 07 and have one place for definitions, so the events'
schemas are moved there; nothing in them needs a newer draft. Headers are those of codec.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from schemas import codec, topics
from schemas.events import REPLY_TOPIC, Event
from schemas.json_schema import DEFINED, Schema, json_schema
from schemas.topics import Topic

BINDING = "0.5.0"
PLACE = "#/components/schemas/"
HEADERS = "CloudEvents 1.0 in binary mode. Retrace writes all of `ce_…` and requires none."
CORRELATION: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 128,
    "description": "What ties a reply to its request; at most 128 bytes.",
}
CLOUD_EVENT: dict[str, Schema] = {
    "ce_id": {"type": "string", "description": "The same again where an event is repeated."},
    "ce_source": {"type": "string", "format": "uri-reference", "description": "Who wrote it."},
    "ce_type": {"type": "string", "description": "Tells the events of one topic apart."},
    "ce_specversion": {"type": "string", "const": codec.SPEC_VERSION},
    "ce_time": {"type": "string", "format": "date-time", "description": "When it happened."},
    "content-type": {"type": "string", "const": "application/json"},
}
_ADDRESS = {
    "reply-topic": {
        "type": "string",
        "pattern": f"^{REPLY_TOPIC}$",
        "description": "Where the asker wants the answer too.",
    },
    "correlation-id": CORRELATION,
}
_FAILED_AS = {
    "topic": "Where it was.",
    "partition": "In decimal digits.",
    "offset": "In decimal digits.",
    "stage": "What failed: decode, validate, record.",
    "class": "The kind of failure, like `conflict`.",
    "message": "What is wrong, without any of the data.",
    "at": "When it failed, RFC 3339.",
    "attempts": "How often it was tried, in decimal digits.",
}


def of(topic: Topic, name: str) -> dict[str, Schema]:
    """Every message that a topic carries, by its name in the document."""
    if topic.event is None:
        return {name: _dead_letter(topic)}
    also = {f"{name}-{e.__name__.lower()}": _message(topic, e) for e in topic.also}
    return {name: _message(topic, topic.event), **also}


def schemas(every: Iterable[Topic]) -> dict[str, Schema]:
    """The events' schemas and what they are made of, by name, each once."""
    found: dict[str, Schema] = {}
    for topic in every:
        for event in (topic.event, *topic.also) if topic.event else ():
            schema = json_schema(event)
            parts = {**schema.pop("$defs", {}), schema["title"]: schema}
            found |= {name: _moved(part) for name, part in parts.items()}
    return found


def _moved(node: Any) -> Any:
    """A schema with its references to the document's place; draft 07 ignores what is beside one."""
    if isinstance(node, list):
        return [_moved(each) for each in node]
    if not isinstance(node, dict):
        return node
    moved = {name: _moved(value) for name, value in node.items() if name != "$schema"}
    if "$ref" not in moved:
        return moved
    ref = {"$ref": moved.pop("$ref").replace(DEFINED, PLACE)}
    return {"allOf": [ref], **moved} if moved else ref


def _message(topic: Topic, event: type[Event]) -> Schema:
    schema = json_schema(event)
    sample = event.model_validate_json(json.dumps(schema["examples"][0]))
    sent = codec.encode(topic, sample, topic.sent_by[0])
    headers = {name: (value or b"").decode() for name, value in sent.headers}
    message: Schema = {
        "name": event.__name__,
        "title": schema["title"],
        "summary": schema["description"],
        "contentType": "application/json",
        "headers": _headers(topic, event),
        "payload": {"$ref": PLACE + event.__name__},
        "examples": [
            {"name": "example", "headers": headers, "payload": schema["examples"][0]},
        ],
    }
    if topic.is_reply or topic is topics.PREDICTION_REQUEST:
        message["correlationId"] = {"location": "$message.header#/correlation-id"}
    key = _key(topic, schema)
    return message | ({"bindings": _keyed(key)} if key else {})


def _headers(topic: Topic, event: type[Event]) -> Schema:
    known = dict(CLOUD_EVENT)
    known["ce_type"] = {**known["ce_type"], "const": topic.kind(event)}
    if topic is topics.PREDICTION_REQUEST:
        known |= _ADDRESS
    if topic.is_reply:
        known["correlation-id"] = CORRELATION
    return {"type": "object", "description": HEADERS, "properties": known}


def _key(topic: Topic, schema: Schema) -> Schema | None:
    if topic.is_reply:
        return CORRELATION
    return None if topic.key is None else dict(schema["properties"][topic.key])


def _keyed(key: Schema) -> Schema:
    return {"kafka": {"key": key, "bindingVersion": BINDING}}


def _dead_letter(topic: Topic) -> Schema:
    """As received, with the headers that the codec adds."""
    raw = codec.Raw("task-completed", 3, 1199, b"ada", b"{}")
    bad = codec.Bad(raw, "validate", "invalid", "user_id: Field required")
    headers = {
        name: (value or b"").decode()
        for name, value in bad.headers(datetime(2026, 3, 1, 12, tzinfo=UTC))
    }
    known = {codec.ERROR_PREFIX + name: about for name, about in _FAILED_AS.items()}
    return {
        "name": "DeadLetter",
        "title": "Dead letter",
        "summary": "Key, value and headers exactly as received, and what was wrong.",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "properties": {
                name: {"type": "string", "description": known[name]} for name in headers
            },
            "required": list(headers),
        },
        "payload": {"description": "The value as received, byte for byte; it may be null."},
        "bindings": _keyed({"description": "As received; it may be null."}),
        "examples": [{"name": "example", "headers": headers, "payload": {}}],
    }
