"""The AsyncAPI 3.0 document and the JSON Schemas, generated from topics.py."""

from __future__ import annotations

from typing import Any

from schemas import events, topics

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(event: type[events.Event]) -> dict[str, Any]:
    """An event's JSON Schema as a writer must produce it and a reader may expect it."""
    schema = event.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": DIALECT, **schema}


def json_schemas() -> dict[str, dict[str, Any]]:
    """File name to JSON Schema, one for each topic that carries an event."""
    replies = topics.reply("{asker}").also
    own = {f"{t.name}.schema.json": json_schema(t.event) for t in topics.ALL if t.event}
    return own | {f"reply.{e.__name__.lower()}.schema.json": json_schema(e) for e in replies}


def document(version: str) -> dict[str, Any]:
    """The AsyncAPI 3.0 document of all topics."""
    all_topics = [*topics.ALL, topics.reply("{asker}")]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Retrace",
            "version": version,
            "description": "Counts completed tasks, retrains at every fifth, serves the models.",
        },
        "defaultContentType": "application/json",
        "channels": {_id(t): _channel(t) for t in all_topics},
        "operations": {f"write-{_id(t)}": _operation(t) for t in all_topics},
        "components": {"messages": {i: m for t in all_topics for i, m in _messages(t).items()}},
    }


def _id(topic: topics.Topic) -> str:
    return "reply" if topic.name.startswith("reply.") else topic.name


def _channel(topic: topics.Topic) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": topic.name,
        "description": f"{topic.about}; written by {topic.writer}",
        "messages": {i: {"$ref": f"#/components/messages/{i}"} for i in _messages(topic)},
        "bindings": {
            "kafka": {
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": ["compact" if topic.compacted else "delete"],
                    "retention.ms": int(topic.config()["retention.ms"]),
                    "max.message.bytes": int(topic.config()["max.message.bytes"]),
                },
                "bindingVersion": "0.5.0",
            }
        },
    }
    if "{asker}" in topic.name:
        channel["parameters"] = {"asker": {"description": "the asker's own name"}}
    return channel


def _operation(topic: topics.Topic) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{_id(topic)}"},
        "summary": topic.about,
        "messages": [{"$ref": f"#/channels/{_id(topic)}/messages/{i}"} for i in _messages(topic)],
    }


def _messages(topic: topics.Topic) -> dict[str, dict[str, Any]]:
    """Every message that a topic carries, by its name in the document."""
    if topic.event is None:
        plain = {"name": topic.name, "contentType": "application/octet-stream", "payload": {}}
        return {_id(topic): plain}
    also = {f"{_id(topic)}-{e.__name__.lower()}": _message(topic, e) for e in topic.also}
    return {_id(topic): _message(topic, topic.event), **also}


def _message(topic: topics.Topic, event: type[events.Event]) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": event.__name__,
        "contentType": "application/json",
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-07",
            "schema": json_schema(event),
        },
    }
    if topic.key:
        message["bindings"] = {
            "kafka": {
                "key": {"type": "string", "description": topic.key},
                "bindingVersion": "0.5.0",
            }
        }
    return message
