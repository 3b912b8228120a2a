"""What came from anywhere is shown so that a terminal takes no orders from it."""

from __future__ import annotations

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.escaping import beginning, escaped, pretty_json, printable

DANGEROUS = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain text, caf\xc3\xa9 \xe2\x80\x93 \xe6\xbc\xa2", "plain text, café – 漢"),
        (b"\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        (b"a\nb\r\tc\x00\x7f", r"a\nb\r\tc\x00\x7f"),
        (b"\xff\xfe\x80", r"\xff\xfe\x80"),
        ("\u202egnp.exe\u2066".encode(), r"\u202egnp.exe\u2066"),
        ("\x85\x9b31m\u200b\ufeff".encode(), r"\u0085\u009b31m\u200b\ufeff"),
        ("\U000e0041".encode(), r"\U000e0041"),
        (rb"\x1b", r"\\x1b"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
        (b"", ""),
    ],
)
def test_orders_to_a_terminal_are_escaped(raw: bytes, shown: str) -> None:
    assert escaped(raw) == shown


@given(st.binary(max_size=60) | st.text(max_size=30).map(lambda t: t.encode("utf-8", "replace")))
def test_every_byte_can_be_told_from_what_is_shown(raw: bytes) -> None:
    shown = escaped(raw)
    assert not {unicodedata.category(c) for c in shown} & DANGEROUS
    assert unescaped(shown) == raw


def unescaped(shown: str) -> bytes:
    """The inverse, written anew."""
    short = {"\\\\": b"\\", "\\n": b"\n", "\\r": b"\r", "\\t": b"\t"}
    pieces = re.findall(r"\\x..|\\u....|\\U........|\\.|[^\\]+", shown)
    return b"".join(
        short.get(p)
        or (bytes([int(p[2:], 16)]) if p[:2] == "\\x" else b"")
        or (chr(int(p[2:], 16)).encode() if p[:2] in ("\\u", "\\U") else p.encode())
        for p in pieces
    )


def test_a_header_with_a_lone_surrogate_can_be_shown() -> None:
    assert printable("a\ud800b") == r"a\ud800b"


@given(st.text(max_size=40), st.integers(1, 60))
def test_the_beginning_cuts_no_character_in_two(text: str, most: int) -> None:
    raw = text.encode("utf-8", "replace")
    kept, more = beginning(raw, most)
    assert raw.startswith(kept)
    assert len(kept) + more == len(raw)
    assert len(kept) <= most or not more
    kept.decode()
    assert len(raw) <= most or len(kept) > most - 4


def test_what_is_not_utf_8_is_cut_all_the_same() -> None:
    assert beginning(b"\x80" * 100, 10) == (b"\x80" * 7, 93)
    assert beginning(b"x" * 100, None) == (b"x" * 100, 0)


@given(json_values)
def test_pretty_json_is_the_same_json_and_shows_no_order(value: object) -> None:
    raw = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    shown = pretty_json(raw)
    assert shown is not None
    assert json.loads(shown) == json.loads(raw)
    assert not {unicodedata.category(c) for c in shown.replace("\n", "")} & DANGEROUS


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b'{"a":1,"a":2}', '{\n  "a": 1,\n  "a": 2\n}'),
        (b"[1.00, 1e400,123456789012345678901234567890]",
         "[\n  1.00,\n  1e400,\n  123456789012345678901234567890\n]"),
        (b'{"a":[],"b":{ },"c":"[{,:}]"}', '{\n  "a": [],\n  "b": {},\n  "c": "[{,:}]"\n}'),
        (b'"\\u0041\\""', '"\\u0041\\""'),
        ('"\u202e\x7f\U000e0041"'.encode(), r'"\u202e\u007f\udb40\udc41"'),
        (b" true ", "true"),
    ],
)  # fmt: skip
def test_json_keeps_its_tokens_as_they_were_sent(raw: bytes, shown: str) -> None:
    assert pretty_json(raw) == shown


@pytest.mark.parametrize("raw", [b"", b"{", b"not json", b"\xff", b'{"a":1}}', b"[" * 100_000])
def test_what_is_no_json_is_not_made_pretty(raw: bytes) -> None:
    assert pretty_json(raw) is None


def test_deep_json_does_not_grow_without_bound() -> None:
    shown = pretty_json(b"[" * 900 + b"]" * 900)
    assert shown is not None
    assert len(shown) < 200_000
