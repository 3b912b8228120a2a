"""PURE: dead letters in words for people and as objects; everything from outside is escaped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text

from gateway.escaping import printable
from gateway.letters import Counts, Group, Letter, Plan
from gateway.numerals import grouped, plural
from schemas import codec

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
    source = f"{short(letter.topic, 40)} {short(letter.source, 30)}"
    return (
        str(letter.place), failed_at(letter), source,
        short(letter.cause, 30) or "?", str(letter.attempts), grouped(letter.size),
        "sent back" if letter.sent_back else "", short(letter.message, MOST_MESSAGE),
    )  # fmt: skip


def failed_at(letter: Letter) -> str:
    """When, in UTC, to the second."""
    return "?" if letter.at is None else f"{letter.at:%Y-%m-%d %H:%M:%S}Z"


def short(text: str, most: int) -> str:
    """Escaped, and at most so many characters of it."""
    return printable(text if len(text) <= most else text[: most - 1] + "…")


def counts_lines(counts: Counts, shown: int) -> Iterator[str]:
    """How many letters there are in all, and of each class."""
    total = sum(counts.letters.values())
    back = sum(counts.sent_back.values())
    newest = f", the newest {grouped(shown)} shown" if shown < total else ""
    sent = f", {grouped(back)} of them sent back" if back else ""
    yield f"{plural(total, 'letter')}{newest}{sent}" if total else "No letters."
    for (topic, cause), n in counts.letters.most_common():
        words = f"{grouped(n):>9}  {printable(topic) or '?'}  {printable(cause) or '?'}"
        again = counts.sent_back[(topic, cause)]
        yield f"{words}, {grouped(again)} sent back" if again else words


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
