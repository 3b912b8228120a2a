"""A bounded fuzz of the codec: whatever the bytes, an event or a ``Bad``, never an exception.

Mutations start from valid messages of every event type, so that they reach the validators. The
interpreter sees little of decoding (it is pydantic's compiled core), so coverage guidance would
have nothing to follow; breadth comes from the mutations instead.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec, events
from schemas.codec import Bad, Raw
from tests.unit import generated
from tests.unit.test_codec_properties import TOPIC_OF

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MUTANTS = 60
DIGITS = 31_415_926_535
NASTY = (
    b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"null",
    b"NaN", b"-Infinity", b"1e999", b"-0", b"9" * 5000, b"0." + b"1" * 400, b"[" * 3000,
    b'{"a":' * 300, b'"', b"\\", b",", b"}", b"[]", b"{}", b"true", b"9999-12-31T23:59:59-23:59",
    b"0001-01-01T00:00:00+23:59", b"2026-02-30T25:61:61Z", b"1e3", b"18446744073709551616",
)  # fmt: skip
Edit = Callable[[bytes, random.Random], bytes]


def decode(kind: type[events.Event], value: bytes | None) -> events.Event | Bad:
    raw = Raw(TOPIC_OF[kind].name, 0, 0, None, value)
    found = codec.decode(kind, TOPIC_OF[kind].max_bytes, raw, NOW)
    assert isinstance(found, kind | Bad), value
    if isinstance(found, Bad):
        assert found.raw is raw
        assert found.cause in {"empty", "too-long", "not-json", "invalid"}, value
        assert found.message.isascii(), value
    return found


def _cut(value: bytes, dice: random.Random) -> tuple[int, int]:
    first = dice.randrange(len(value) + 1)
    return first, min(len(value), first + dice.choice((0, 1, 1, 2, 8, 40)))


def _splice(value: bytes, dice: random.Random) -> bytes:
    first, end = _cut(value, dice)
    return value[:first] + dice.choice(NASTY) + value[end:]


def _repeat(value: bytes, dice: random.Random) -> bytes:
    first, end = _cut(value, dice)
    return value[:end] * dice.choice((1, 1, 2)) + value[first:]


def _flip(value: bytes, dice: random.Random) -> bytes:
    changed = bytearray(value)
    for _ in range(dice.choice((1, 1, 2, 8)) if value else 0):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _swap_value(value: bytes, dice: random.Random) -> bytes:
    """One field's value, or what stands between two others of the text, by something nasty."""
    parts = value.split(b":")
    at = dice.randrange(len(parts))
    head, comma, tail = parts[at].partition(b",")
    parts[at] = dice.choice((dice.choice(NASTY), b'"' + dice.choice(NASTY) + b'"')) + comma + tail
    return b":".join(parts) if head or dice.random() < 0.5 else value


EDITS: tuple[Edit, ...] = (_splice, _repeat, _flip, _swap_value)


def mutants(value: bytes, seed: int) -> Iterator[bytes]:
    dice = random.Random(seed)
    for _ in range(MUTANTS):
        mutant = value
        for _ in range(dice.choice((1, 1, 1, 2, 4))):
            mutant = dice.choice(EDITS)(mutant, dice)
        yield mutant


@pytest.mark.parametrize("kind", events.ALL)
@given(st.data(), st.integers(0, 2**32))
def test_no_mutant_raises(kind: type[events.Event], data: st.DataObject, seed: int) -> None:
    event = data.draw(generated.events_of(kind))
    value = codec.encode(TOPIC_OF[kind], event, "tests").value or b""
    for mutant in mutants(value, seed):
        decode(kind, mutant)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("kind", events.ALL)
@given(st.binary(max_size=400) | json_values.map(lambda v: json.dumps(v).encode()))
def test_no_bytes_raise(kind: type[events.Event], value: bytes) -> None:
    decode(kind, value)


secret_texts = st.text("ждёя日本€", max_size=40)
secrets = st.recursive(
    secret_texts | st.integers(1, 999).map(lambda n: DIGITS * 1000 + n),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(secret_texts, inner, max_size=3),
    max_leaves=6,
)


def paths(values: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place within JSON-able values, the whole excluded."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(values, dict):
        inner = list(values.items())
    elif isinstance(values, list):
        inner = list(enumerate(values))
    return [p for key, one in inner for p in ((*at, key), *paths(one, (*at, key)))]


def put(values: Any, path: tuple[Any, ...], new: Any) -> None:
    for key in path[:-1]:
        values = values[key]
    values[path[-1]] = new


@pytest.mark.parametrize("kind", events.ALL)
@settings(max_examples=200)
@given(st.data(), st.booleans())
def test_the_words_never_hold_the_data(
    kind: type[events.Event], data: st.DataObject, escaped: bool
) -> None:
    """Data of letters and digits that no word of ours has, wherever it stands in the message."""
    values = events.dump(data.draw(generated.events_of(kind)))
    for path in data.draw(st.lists(st.sampled_from(paths(values)), min_size=1, max_size=3)):
        if path in paths(values):
            put(values, path, data.draw(secrets))
    values |= data.draw(st.dictionaries(secret_texts, secrets, max_size=2))
    found = decode(kind, json.dumps(values, ensure_ascii=escaped).encode())
    if isinstance(found, Bad):
        assert found.message
        assert str(DIGITS) not in found.message
