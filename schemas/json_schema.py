"""The events' JSON Schemas (2020-12), generated from events.py and replies.py.

One schema serves who writes an event and who reads it: required is what every message holds, old
ones too; unknown fields are ignored. What is demanded of every text and time is said by patterns,
plain enough for every language; that of times repeats their format, which few validators check.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from schemas import events, topics

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
DEFINED = "#/$defs/"
NO_NUL = r"^[^\u0000]*$"
RFC3339 = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]+)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)


def json_schema(event: type[events.Event]) -> Schema:
    """An event's JSON Schema, with a whole example."""
    made = _tidy(event.model_json_schema(by_alias=True, schema_generator=_Plain))
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


class _Plain(GenerateJsonSchema):
    """Texts and times have their patterns; fields no titles, which would repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def str_schema(self, schema: Any) -> Schema:
        return {"pattern": NO_NUL, **super().str_schema(schema)}

    def datetime_schema(self, schema: Any) -> Schema:
        return {**super().datetime_schema(schema), "pattern": RFC3339}


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
