"""Bytes and headers to events and back. A bad message is a value, not an exception."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from pydantic import ValidationError

from schemas.events import PLACE, REPLY_TOPIC, Event
from schemas.topics import Topic

Headers = Sequence[tuple[str, bytes | None]]
E = TypeVar("E", bound=Event)

SPEC_VERSION = "1.0"
KEPT_BYTES = 64 * 1024
ERROR_PREFIX = "retrace.error."
_REPLY = re.compile(REPLY_TOPIC)
_PLACE = re.compile(PLACE)
_ATTEMPTS = re.compile(r"[0-9]{1,6}")


class Raw(NamedTuple):
    """A message as received."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True)
class Bad:
    """A message that could not be processed, and why; never holds the data in its words."""

    raw: Raw
    stage: str
    cause: str
    message: str

    def headers(self, at: datetime) -> list[tuple[str, bytes | None]]:
        """The headers as received, then where and why it failed.

        Names that begin with ``retrace.error.`` are ours: what a message that was sent back
        carries of them is counted on, not kept.
        """
        carried = error_facts(self.raw.headers)
        facts = {
            "topic": self.raw.topic,
            "partition": self.raw.partition,
            "offset": self.raw.offset,
            "stage": self.stage,
            "class": self.cause,
            "message": self.message[:500],
            "at": rfc3339(at),
            "attempts": attempts(carried) + 1,
        }
        if _PLACE.fullmatch(carried.get("letter", "")):
            facts["letter"] = carried["letter"]
        added = [(ERROR_PREFIX + name, str(fact).encode()) for name, fact in facts.items()]
        return _without_errors(self.raw.headers) + added


class Message(NamedTuple):
    """A message to publish."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


def rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def encode(topic: Topic, event: Event, source: str, *, prefix: str = "") -> Message:
    """The event as a message of its topic, with CloudEvents 1.0 binary-mode headers.

    Raises ``ValueError`` where the event is not the topic's or is longer than the topic allows.
    """
    if topic.event is None or not isinstance(event, (topic.event, *topic.also)):
        raise ValueError(f"{type(event).__name__} is not the event of {topic.name}")
    value = event.model_dump_json(by_alias=True).encode()
    if len(value) > topic.max_bytes:
        raise ValueError(f"{len(value)} bytes are more than {topic.name} allows")
    key = None if topic.key is None else str(getattr(event, topic.key)).encode()
    return Message(prefix + topic.name, key, value, _cloud_event(topic, event, source))


def decode(event: type[E], limit: int, raw: Raw, now: datetime) -> E | Bad:
    """The event in a message, or what is wrong with it."""
    if raw.value is None:
        return Bad(raw, "decode", "empty", "the value is null")
    if len(raw.value) > limit:
        return Bad(raw, "decode", "too-long", f"{len(raw.value)} bytes; at most {limit} are taken")
    try:
        return event.model_validate_json(raw.value, context={"now": now})
    except ValidationError as error:
        return Bad(raw, *_explain(error))


def dead_letter(bad: Bad, name: str, at: datetime) -> Message:
    """The message as received, byte for byte, for the dead-letter topic ``name``."""
    return Message(name, bad.raw.key, bad.raw.value, bad.headers(at))


def abridged(letter: Message) -> Message:
    """A dead letter that no broker takes whole: its beginning, its length and its SHA-256."""
    value = letter.value or b""
    facts = [
        (ERROR_PREFIX + "bytes", str(len(value)).encode()),
        (ERROR_PREFIX + "sha256", hashlib.sha256(value).hexdigest().encode()),
    ]
    return Message(letter.topic, letter.key, value[:KEPT_BYTES], [*letter.headers, *facts])


def redriven(letter: Raw, topic: str) -> Message:
    """A dead letter as the message that it was, for ``topic``: key, value and headers as received.

    Two more headers say how often it has failed and which letter it was, so that its next letter,
    if there is one, counts on and names this one.
    """
    carried: list[tuple[str, bytes | None]] = [
        (ERROR_PREFIX + "attempts", str(max(attempts(error_facts(letter.headers)), 1)).encode()),
        (ERROR_PREFIX + "letter", f"{letter.partition}@{letter.offset}".encode()),
    ]
    return Message(topic, letter.key, letter.value, _without_errors(letter.headers) + carried)


def error_facts(headers: Headers) -> dict[str, str]:
    """What the headers ``retrace.error.*`` say, without the prefix; never raises."""
    return {
        name.removeprefix(ERROR_PREFIX): value.decode("utf-8", "replace")
        for name, value in headers
        if value is not None and _is_error(name)
    }


def attempts(facts: Mapping[str, str]) -> int:
    """How often a message has failed so far, as its ``error_facts`` say; 0 where they don't."""
    said = facts.get("attempts", "")
    return int(said) if _ATTEMPTS.fullmatch(said) else 0


def reply_address(headers: Headers) -> tuple[str, bytes] | None:
    """Where an asker wants its answer, if it named a permitted reply topic and an id."""
    found: Mapping[str, bytes] = {name: value for name, value in headers if value is not None}
    name = found.get("reply-topic", b"").decode("ascii", "replace")
    correlation = found.get("correlation-id", b"")
    if not _REPLY.fullmatch(name) or not 0 < len(correlation) <= 128:
        return None
    return name, correlation


def _cloud_event(topic: Topic, event: Event, source: str) -> list[tuple[str, bytes | None]]:
    return [
        ("ce_id", event.identity().encode()),
        ("ce_source", f"/retrace/{source}".encode()),
        ("ce_type", topic.kind(event).encode()),
        ("ce_specversion", SPEC_VERSION.encode()),
        ("ce_time", rfc3339(event.occurred_at()).encode()),
        ("content-type", b"application/json"),
    ]


def _explain(error: ValidationError) -> tuple[str, str, str]:
    """Stage, class and message of a validation error, without any of the data."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    if problems[0]["type"] == "json_invalid":
        return "decode", "not-json", "the value is not valid JSON in UTF-8"
    words = [f"{'.'.join(map(str, p['loc'])) or 'event'}: {p['msg']}" for p in problems[:5]]
    return "validate", "invalid", "; ".join(words)


def _without_errors(headers: Headers) -> list[tuple[str, bytes | None]]:
    return [(name, value) for name, value in headers if not _is_error(name)]


def _is_error(name: str) -> bool:
    return name.startswith(ERROR_PREFIX)
