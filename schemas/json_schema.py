"""The events' JSON Schemas (2020-12), generated from events.py and replies.py.

One schema serves who writes an event and who reads it: required is what every message holds, old
ones too; unknown fields are ignored. Formats and patterns say the same, since validators need not
check formats.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from schemas import events, topics

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
DEFINED = "#/$defs/"


def json_schema(event: type[events.Event]) -> Schema:
    """An event's JSON Schema, with a whole example."""
    made = _tidy(event.model_json_schema(by_alias=True, schema_generator=_Untitled))
    return {"$schema": DIALECT, **made, "examples": [example(made, made.get("$defs", {}))]}


def json_schemas() -> dict[str, Schema]:
    """File name to JSON Schema, one for each event that a topic carries."""
    replies = topics.reply("any").also
    own = {f"{t.name}.schema.json": json_schema(t.event) for t in topics.ALL if t.event}
    return own | {f"reply.{e.__name__.lower()}.schema.json": json_schema(e) for e in replies}


def example(schema: Schema, defined: dict[str, Schema]) -> Any:
    """A value that fits: examples first, then defaults, then what the fields' own ones make."""
    if "examples" in schema:
        return schema["examples"][0]
    if "default" in schema:
        return schema["default"]
    if "$ref" in schema:
        return example(defined[schema["$ref"].removeprefix(DEFINED)], defined)
    if "enum" in schema:
        return schema["enum"][0]
    if schema["type"] == "array":
        return [example(schema["items"], defined)]
    return {name: example(field, defined) for name, field in schema["properties"].items()}


class _Untitled(GenerateJsonSchema):
    """Without a title for every field, which would repeat its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _tidy(node: Any) -> Any:
    """Descriptions on one line, and of what may be null beside the choice, not in it."""
    if isinstance(node, list):
        return [_tidy(each) for each in node]
    if not isinstance(node, dict):
        return node
    tidied = {name: _tidy(value) for name, value in node.items()}
    if isinstance(words := tidied.get("description"), str):
        tidied["description"] = " ".join(words.split()).replace("``", "`")
    for choice in tidied.get("anyOf", ()):
        for name in ("description", "examples"):
            if name in choice and "$ref" not in choice:
                tidied.setdefault(name, choice.pop(name))
    return tidied
