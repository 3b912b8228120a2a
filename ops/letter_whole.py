"""PURE: one dead letter with its headers, key and value, for people and as an object."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from rich.text import Text

from gateway.escaping import beginning, escaped, pretty_json
from gateway.letters import Letter
from gateway.numerals import plural
from ops.letters_table import failed_at, letter_object, short
from schemas import codec
from schemas.codec import Raw

MOST_BYTES, MOST_HEADER_BYTES, MOST_HEADERS = 4096, 512, 50


def as_object(letter: Letter, raw: Raw, sent_at: str | None) -> dict[str, Any]:
    """A letter with all of its key, value and headers."""
    own = {"bytes": letter.size, "whole_bytes": letter.whole_size, "sent_back_at": sent_at}
    return letter_object(letter) | own | {
        "key": _data(raw.key),
        "value": _data(raw.value),
        "headers": [[name, _data(value)] for name, value in raw.headers],
    }  # fmt: skip


def _data(raw: bytes | None) -> dict[str, str] | None:
    """Text, where it is UTF-8; else base64."""
    if raw is None:
        return None
    try:
        return {"text": raw.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def lines(letter: Letter, raw: Raw, sent_at: str | None, *, bounded: bool) -> Iterator[Text]:
    """A letter line by line; bounded unless all is asked for."""
    yield from _facts(letter, sent_at)
    headers = [h for h in raw.headers if not h[0].startswith(codec.ERROR_PREFIX)]
    shown = headers[:MOST_HEADERS] if bounded else headers
    most = MOST_HEADER_BYTES if bounded else None
    for number, (name, value) in enumerate(shown):
        yield _row("" if number else "headers", f"{short(name, 200)}: {_inline(value, most)}")
    if len(headers) > len(shown):
        yield _row("", f"and {plural(len(headers) - len(shown), 'more header')}")
    yield _row("key", _inline(raw.key, most))
    yield from _value(raw.value, MOST_BYTES if bounded else None)


def _facts(letter: Letter, sent_at: str | None) -> Iterator[Text]:
    yield _row("letter", str(letter.place))
    yield _row("failed at", f"{failed_at(letter)}, attempt {letter.attempts}")
    yield _row("from", f"{short(letter.topic, 250) or '?'} {short(letter.source, 30)}")
    yield _row("class", f"{short(letter.cause, 100)}, while it tried to {short(letter.stage, 50)}")
    yield _row("because", short(letter.message, 1000))
    if letter.before is not None:
        yield _row("before", f"letter {short(letter.before, 40)}, sent back")
    if sent_at is not None or letter.sent_back:
        yield _row("sent back", sent_at or "yes")
    if letter.whole_size != str(letter.size):
        yield _row("in part", f"of {short(letter.whole_size, 20)} bytes; cannot be sent back")


def _value(value: bytes | None, most: int | None) -> Iterator[Text]:
    if not value:
        yield _row("value", "null" if value is None else "empty")
        return
    kept, more = beginning(value, most)
    pretty = None if more else pretty_json(value)
    yield _row("value", f"{plural(len(value), 'byte')}{', JSON' if pretty else ''}")
    yield Text(escaped(kept) if pretty is None else pretty)
    if more:
        yield Text(f"… and {plural(more, 'more byte')}: --whole, or --raw", style="dim")


def _inline(value: bytes | None, most: int | None) -> str:
    if value is None:
        return "null"
    kept, more = beginning(value, most)
    return escaped(kept) + (f" … and {plural(more, 'more byte')}" if more else "")


def _row(name: str, text: str) -> Text:
    return Text.assemble((f"{name:<11}", "dim"), text)
