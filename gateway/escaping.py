"""PURE: bytes from anywhere as text that is safe on a terminal, and from which they can be told.

Control characters, ANSI sequences, bidirectional marks, invisible and unassigned characters are
escaped; so is what is not UTF-8, and the backslash itself.
"""

from __future__ import annotations

import json
import re

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')
_SHORT = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_DEEPEST = 40


def escaped(raw: bytes) -> str:
    """One line: ``\\xNN`` for a byte that is not UTF-8 or below 0x80, ``\\uNNNN`` for others."""
    return printable(raw.decode("utf-8", "surrogateescape"))


def printable(text: str) -> str:
    """One line; the backslash is doubled, so that an escape is not mistaken for text."""
    return "".join(c if c.isprintable() and c != "\\" else _escape(c) for c in text)


def _escape(char: str) -> str:
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if code < 0x80:
        return f"\\x{code:02x}"
    if 0xDC80 <= code <= 0xDCFF:  # how "surrogateescape" holds a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def beginning(raw: bytes, most: int | None) -> tuple[bytes, int]:
    """At most so many bytes, no character cut in two, and how many bytes follow; None: all."""
    if most is None or len(raw) <= most:
        return raw, 0
    end = most
    while end > max(most - 3, 0) and raw[end] & 0xC0 == 0x80:
        end -= 1
    return raw[:end], len(raw) - end


def pretty_json(raw: bytes) -> str | None:
    """Indented, with every token as it was sent: digits, repeated names, escapes. None: no JSON."""
    try:
        text = raw.decode()
        json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    return "".join(c if c.isprintable() or c == "\n" else _json_escape(c) for c in _indented(text))


def _indented(text: str) -> str:
    parts, depth = _TOKEN.findall(text), 0
    written: list[str] = []
    for part, before in zip(parts, ["", *parts], strict=False):
        opened, closes = before in ("[", "{"), part in ("]", "}")
        depth += opened - closes
        if opened != closes or before == ",":
            written.append("\n" + "  " * min(depth, _DEEPEST))
        written.append(": " if part == ":" else part)
    return "".join(written)


def _json_escape(char: str) -> str:
    return json.dumps(char, ensure_ascii=True)[1:-1] if ord(char) != 0x7F else "\\u007f"
