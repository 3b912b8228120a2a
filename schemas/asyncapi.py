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
    return {f"{t.name}.schema.json": json_schema(t.event) for t in topics.ALL if t.event}


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
        "components": {"messages": {_id(t): _message(t) for t in all_topics}},
    }


def _id(topic: topics.Topic) -> str:
    return "reply" if topic.name.startswith("reply.") else topic.name


def _channel(topic: topics.Topic) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": topic.name,
        "description": f"{topic.about}; written by {topic.writer}",
        "messages": {_id(topic): {"$ref": f"#/components/messages/{_id(topic)}"}},
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
        "messages": [{"$ref": f"#/channels/{_id(topic)}/messages/{_id(topic)}"}],
    }


def _message(topic: topics.Topic) -> dict[str, Any]:
    if topic.event is None:
        return {"name": topic.name, "contentType": "application/octet-stream", "payload": {}}
    schema = json_schema(topic.event)
    message: dict[str, Any] = {
        "name": topic.event.__name__,
        "contentType": "application/json",
        "payload": {"schemaFormat": "application/schema+json;version=draft-07", "schema": schema},
    }
    if topic.key:
        message["bindings"] = {
            "kafka": {
                "key": {"type": "string", "description": topic.key},
                "bindingVersion": "0.5.0",
            }
        }
    return message
