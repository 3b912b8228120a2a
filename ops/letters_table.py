"""PURE: dead letters in words for people and as objects; everything from outside is escaped."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text

from ops.escaping import beginning, escaped, pretty_json, printable
from ops.letters import Counts, Group, Letter, Plan
from ops.terminal import grouped, plural
from schemas import codec
from schemas.codec import Raw

MOST_BYTES, MOST_HEADER_BYTES, MOST_HEADERS = 4096, 512, 50
MOST_MESSAGE = 300
COLUMNS = ("LETTER", "FAILED AT", "FROM", "CLASS", "TRIES", "BYTES", "", "BECAUSE")


def letter_object(letter: Letter) -> dict[str, Any]:
    """A letter as one object; its key, value and headers are not in it."""
    return {
        "letter": str(letter.place),
        "topic": letter.topic,
        "source": letter.source,
        "stage": letter.stage,
        "class": letter.cause,
        "message": letter.message,
        "at": None if letter.at is None else codec.rfc3339(letter.at),
        "attempts": letter.attempts,
        "bytes": letter.size,
        "before": letter.before,
        "sent_back": letter.sent_back,
    }


def counts_objects(counts: Counts) -> list[dict[str, Any]]:
    return [
        {"topic": kind[0], "class": kind[1], "letters": n, "sent_back": counts.sent_back[kind]}
        for kind, n in counts.letters.most_common()
    ]


def table(found: Sequence[Letter]) -> Iterator[Text]:
    """A line for each, below the columns' names."""
    rows = [COLUMNS, *map(_cells, found)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS) - 1)]
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
        style = "dim" if number == 0 or row[-2] else ""
        yield Text("  ".join([*cells, row[-1]]).rstrip(), style=style)


def _cells(letter: Letter) -> tuple[str, ...]:
    return (
        str(letter.place), _time(letter), f"{_short(letter.topic, 40)} {_short(letter.source, 30)}",
        _short(letter.cause, 30) or "?", str(letter.attempts), grouped(letter.size),
        "sent back" if letter.sent_back else "", _short(letter.message, MOST_MESSAGE),
    )  # fmt: skip


def _time(letter: Letter) -> str:
    return "?" if letter.at is None else f"{letter.at:%Y-%m-%d %H:%M:%S}Z"


def _short(text: str, most: int) -> str:
    return printable(text if len(text) <= most else text[: most - 1] + "…")


def counts_lines(counts: Counts, shown: int) -> Iterator[str]:
    """How many letters there are in all, and of each class."""
    total = sum(counts.letters.values())
    back = sum(counts.sent_back.values())
    newest = f", the newest {grouped(shown)} shown" if shown < total else ""
    yield f"{plural(total, 'letter')}{newest}, {grouped(back)} of them sent back"
    for (topic, cause), n in counts.letters.most_common():
        words = f"{grouped(n):>9}  {printable(topic) or '?'}  {printable(cause) or '?'}"
        again = counts.sent_back[(topic, cause)]
        yield f"{words}, {grouped(again)} sent back" if again else words


def whole_object(letter: Letter, raw: Raw, sent_at: str | None) -> dict[str, Any]:
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


def whole(letter: Letter, raw: Raw, sent_at: str | None, *, bounded: bool) -> Iterator[Text]:
    """A letter line by line; bounded unless all is asked for."""
    yield from _facts(letter, sent_at)
    headers = [h for h in raw.headers if not h[0].startswith(codec.ERROR_PREFIX)]
    shown = headers[:MOST_HEADERS] if bounded else headers
    most = MOST_HEADER_BYTES if bounded else None
    for number, (name, value) in enumerate(shown):
        yield _row("" if number else "headers", f"{_short(name, 200)}: {_inline(value, most)}")
    if len(headers) > len(shown):
        yield _row("", f"and {plural(len(headers) - len(shown), 'more header')}")
    yield _row("key", _inline(raw.key, most))
    yield from _value(raw.value, MOST_BYTES if bounded else None)


def _facts(letter: Letter, sent_at: str | None) -> Iterator[Text]:
    yield _row("letter", str(letter.place))
    yield _row("failed at", f"{_time(letter)}, attempt {letter.attempts}")
    yield _row("from", f"{_short(letter.topic, 250) or '?'} {_short(letter.source, 30)}")
    yield _row(
        "class", f"{_short(letter.cause, 100)}, while it tried to {_short(letter.stage, 50)}"
    )
    yield _row("because", _short(letter.message, 1000))
    if letter.before is not None:
        yield _row("before", f"letter {_short(letter.before, 40)}, sent back")
    if sent_at is not None or letter.sent_back:
        yield _row("sent back", sent_at or "yes")
    if letter.whole_size != str(letter.size):
        yield _row("in part", f"of {_short(letter.whole_size, 20)} bytes; cannot be sent back")


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


def plan_object(plan: Plan, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "sent": [{"topic": topic, **_group(group)} for topic, group in plan.sent.items()],
        "left_out": [{"reason": words, **_group(group)} for words, group in plan.left_out.items()],
    }


def _group(group: Group) -> dict[str, Any]:
    first = [str(place) for place in group.first]
    return {"letters": group.letters, "bytes": group.bytes, "first": first}


def plan_lines(plan: Plan, verb: str) -> Iterator[str]:
    """What is sent where, and what is left out and why."""
    for topic, group in plan.sent.items():
        yield f"{_sized(group)} {verb} {printable(topic)}: {_first(group)}"
    for reason, group in plan.left_out.items():
        yield f"{_sized(group)} left out, {reason}: {_first(group)}"
    if not plan.sent:
        yield "Nothing to send back."


def _sized(group: Group) -> str:
    return f"{plural(group.letters, 'letter')} ({plural(group.bytes, 'byte')})"


def _first(group: Group) -> str:
    more = " …" if group.letters > len(group.first) else ""
    return ", ".join(map(str, group.first)) + more


def one_line(found: dict[str, Any]) -> str:
    """JSON in ASCII: what is escaped is safe on a terminal too."""
    return json.dumps(found)
