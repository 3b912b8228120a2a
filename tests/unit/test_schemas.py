"""The exported schemas: complete in words, and of one mind with the codec."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import Draft7Validator, Draft202012Validator, meta
from pydantic import ValidationError

from schemas import asyncapi, codec, events, json_schema, topics
from schemas.codec import Bad, Raw
from schemas.settings import Settings
from tests.unit import generated
from tests.unit.test_codec_fuzz import json_values, paths, put

EVERY = [*topics.ALL, topics.reply("any")]
TOPIC_OF = {event: t for t in reversed(EVERY) if t.event for event in (t.event, *t.also)}
KINDS = list(TOPIC_OF)
DOCUMENT = json.loads(json.dumps(asyncapi.document("1.0.0")))
VALIDATORS = {
    kind: Draft202012Validator(json_schema.json_schema(kind), validate_formats=True)
    for kind in KINDS
}
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
# What the codec demands and JSON Schema cannot say.
UNSAID = (
    "a count request is called",  # compares two fields
    "before year 1",  # adds two fields
    "time outside the years 1 to 9999",
    "year 0 is out of range",
)
TELLING = [
    None, True, False, 0, -1, 1, 2**62, 2**62 + 1, 0.5, -0.5, 0.01, 0.009, 0.99, 0.991, 4.9, 5, 600,
    600.5, 86_400, 86_400.5, 1e300, "", "a", "a\x00", "\n", "é", "x" * 32, "x" * 33, "x" * 128,
    "x" * 129, "x" * 500, "x" * 501, "lstm", "default", "challenger", "failed", "time", "log",
    "why", "inputs", "count", "manual", "manual-1", "count-1", "count-01", "replay-", "0@0", "٣@٤",
    "3@-1", "v1", ".v1", "v1\n", "0" * 64, "G" * 64, "2026-03-01T12:00:00Z", "2026-03-01T12:00:00",
    "2026-03-01t12:00:00.123456789+05:45", "2026-03-01T12:00:60Z", "2026-02-29T12:00:00Z",
    "2026-03-01 12:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1772000000",
    [], {}, [None], [{}],
]  # fmt: skip


def read(kind: type[events.Event], values: Any) -> events.Event | list[str]:
    """The event, as the codec reads it, or what is wrong; without a clock and a limit of bytes."""
    try:
        return kind.model_validate_json(json.dumps(values))
    except ValidationError as error:
        return [problem["msg"] for problem in error.errors()]


def schemas_of(schema: Any) -> Iterator[dict[str, Any]]:
    for part in [schema, *schema.get("$defs", {}).values()]:
        yield from part["properties"].values()


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_says_what_it_means(kind: type[events.Event]) -> None:
    schema = json_schema.json_schema(kind)
    meta.validate(schema)
    assert all(part["description"] for part in (schema, *schema.get("$defs", {}).values()))
    for field in schemas_of(schema):
        assert field["description"].endswith("."), field
        assert "title" not in field


@pytest.mark.parametrize("kind", KINDS)
def test_its_example_is_an_event(kind: type[events.Event]) -> None:
    """For the schema and for the codec; and each field's own examples fit the field."""
    (example,) = json_schema.json_schema(kind)["examples"]
    VALIDATORS[kind].validate(example)
    raw = Raw("any", 0, 0, None, json.dumps(example).encode())
    read_back = codec.decode(
        kind, TOPIC_OF[kind].max_bytes, raw, datetime(2026, 3, 1, 12, tzinfo=UTC)
    )
    assert isinstance(read_back, kind)
    assert events.dump(read_back).keys() == example.keys()


@pytest.mark.parametrize("kind", KINDS)
@given(st.data())
def test_what_is_written_fits_both_documents(kind: type[events.Event], data: st.DataObject) -> None:
    """Values, headers and keys, by the JSON Schema and by the AsyncAPI document."""
    topic = TOPIC_OF[kind]
    sent = codec.encode(topic, data.draw(generated.events_of(kind)), "tests")
    value = json.loads(sent.value or b"")
    VALIDATORS[kind].validate(value)
    message = message_of(kind)
    validator(message["payload"]).validate(value)
    validator(message["headers"]).validate(headers_of(sent.headers))
    if topic.key:
        validator(message["bindings"]["kafka"]["key"]).validate((sent.key or b"").decode())


def agree(kind: type[events.Event], values: Any) -> None:
    """What the codec takes fits the schema, and what it refuses does not."""
    event, fits = read(kind, values), VALIDATORS[kind].is_valid(values)
    if isinstance(event, list):
        assert not fits or any(words in problem for problem in event for words in UNSAID), event
    elif not fits:  # times may come in more forms than RFC 3339
        VALIDATORS[kind].validate(with_times_of(values, events.dump(event)))


@pytest.mark.parametrize("kind", KINDS)
def test_schema_and_codec_agree_on_every_limit(kind: type[events.Event]) -> None:
    """Each field of the example in turn: every telling value, and without it."""
    (example,) = json_schema.json_schema(kind)["examples"]
    for path in paths(example):
        for value in TELLING:
            changed = copy.deepcopy(example)
            put(changed, path, copy.deepcopy(value))
            agree(kind, changed)
        if isinstance(path[-1], str):
            changed = copy.deepcopy(example)
            del inside(changed, path[:-1])[path[-1]]
            agree(kind, changed)


@pytest.mark.parametrize("kind", KINDS)
@given(st.data())
def test_schema_and_codec_agree(kind: type[events.Event], data: st.DataObject) -> None:
    """Events of all kinds with a few places changed."""
    values = events.dump(data.draw(generated.events_of(kind)))
    new = st.sampled_from(TELLING) | json_values.filter(is_plain)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(paths(values)))
        put(values, path, copy.deepcopy(data.draw(new)))
    agree(kind, values)


def inside(values: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        values = values[key]
    return values


def is_plain(value: Any) -> bool:
    """No float that is whole: it is no integer for the codec, and is one for JSON Schema."""
    if isinstance(value, float):
        return not value.is_integer() and abs(value) < 1e300
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(is_plain(each) for each in inner)


def with_times_of(values: Any, normal: Any) -> Any:
    if isinstance(values, dict):
        return {n: with_times_of(v, normal[n]) if n in normal else v for n, v in values.items()}
    if isinstance(values, list):
        return [with_times_of(*pair) for pair in zip(values, normal, strict=True)]
    return normal if isinstance(normal, str) and RFC3339.fullmatch(normal) else values


SAID: dict[str, Any] = json_schema.json_schema(events.TaskCompleted)["examples"][0]


@pytest.mark.parametrize(
    ("kind", "more", "fits", "is_read"),
    [
        (events.TaskCompleted, {"completed_at": "1772000000"}, False, True),
        (events.TaskCompleted, {"completed_at": "2026-03-01 12:00Z"}, False, True),
        (events.TaskCompleted, {"completed_at": "0000-03-01T12:00:00Z"}, True, False),
        (events.PredictionScore, {"rows": 5.0}, True, False),
        (events.TrainRequest, {"request_id": "count-6", "completions": 5}, True, False),
    ],
)
def test_where_they_may_differ(
    kind: type[events.Event], more: dict[str, Any], fits: bool, is_read: bool
) -> None:
    """Known differences: forms of time beyond RFC 3339, and what JSON Schema cannot say."""
    values = json_schema.json_schema(kind)["examples"][0] | more
    assert VALIDATORS[kind].is_valid(values) is fits
    assert isinstance(read(kind, values), kind) is is_read


def message_of(kind: type[events.Event]) -> Any:
    topic = TOPIC_OF[kind]
    name = "reply" if topic.is_reply else topic.name
    return DOCUMENT["components"]["messages"][
        f"{name}-{kind.__name__.lower()}" if kind in topic.also else name
    ]


def validator(schema: dict[str, Any]) -> Draft7Validator:
    whole = {**schema, "components": DOCUMENT["components"]}
    return Draft7Validator(whole, validate_formats=True)


def headers_of(headers: codec.Headers) -> dict[str, str]:
    return {name: (value or b"").decode() for name, value in headers}


def test_the_document_is_complete() -> None:
    assert set(DOCUMENT["channels"]) == {t.name for t in topics.ALL} | {"reply"}
    assert DOCUMENT["channels"]["reply"]["address"] is None
    assert set(DOCUMENT["channels"]["reply"]["messages"]) == {
        "reply", "reply-forecast", "reply-why", "reply-refusal",
    }  # fmt: skip
    done = {
        (each["tags"][0]["name"], each["action"], each["channel"]["$ref"].split("/")[-1])
        for each in DOCUMENT["operations"].values()
    }
    for topic in topics.ALL:
        assert {by for by, action, of in done if (action, of) == ("send", topic.name)} == {
            *topic.sent_by
        }
        assert {by for by, action, of in done if (action, of) == ("receive", topic.name)} == {
            *topic.read_by
        }
    assert set(json_schema.json_schemas()) == {
        f"{t.name}.schema.json" for t in topics.ALL if t.event
    } | {f"reply.{name}.schema.json" for name in ("forecast", "why", "refusal")}


def test_its_security_is_that_of_the_settings() -> None:
    mechanisms = get_args(Settings.model_fields["kafka_sasl_mechanism"].annotation)
    assert set(asyncapi.MECHANISMS) == set(mechanisms)
    schemes = {each["$ref"].split("/")[-1] for each in DOCUMENT["servers"]["secure"]["security"]}
    assert schemes == set(DOCUMENT["components"]["securitySchemes"])
    assert "security" not in DOCUMENT["servers"]["plain"]


def test_examples_of_messages_fit_their_headers() -> None:
    for message in DOCUMENT["components"]["messages"].values():
        (example,) = message["examples"]
        validator(message["headers"]).validate(example["headers"])
        validator(message["payload"]).validate(example["payload"])


def test_a_dead_letters_headers_are_all_described() -> None:
    said = DOCUMENT["components"]["messages"]["dead-letters"]["headers"]
    raw = Raw("task-completed", 0, 0, None, b"{}", [("mine", b"x")])
    real = headers_of(Bad(raw, "validate", "invalid", "no").headers(datetime.now(UTC)))
    validator(said).validate(real)
    assert set(real) == {*said["properties"], "mine"}
