"""PURE: bad messages of every sort, each unlike any other, so that copies can be told."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

Good = dict[str, Any]


def garbage(number: int, name: str, good: Good, now: datetime, rng: random.Random) -> bytes | None:
    """The ``number``-th bad message, made from a good one; the sorts take turns."""
    if number == 0:
        return name.encode() + b"x" * 1_000_000
    sorts = (*_SORTS.values(), lambda _: _far_ahead(good, now), lambda _: _random(name, rng))
    return sorts[number % len(sorts)](good)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _with(**more: object) -> Callable[[Good], bytes]:
    return lambda good: _json(good | more)


def _without(field: str) -> Callable[[Good], bytes]:
    return lambda good: _json({name: value for name, value in good.items() if name != field})


def _far_ahead(good: Good, now: datetime) -> bytes:
    return _json(good | {"completed_at": (now + timedelta(days=2)).isoformat()})


def _random(name: str, rng: random.Random) -> bytes:
    return name.encode() + rng.randbytes(40)


_SORTS: dict[str, Callable[[Good], bytes | None]] = {
    "null": lambda _: None,
    "nothing": lambda _: b"",
    "not JSON": lambda good: b"not json " + str(good["task_id"]).encode(),
    "cut off": lambda good: _json(good)[:-7],
    "not UTF-8": lambda good: _json(good)[:-1] + b', "note": "\xff\xfe"}',
    "a list": lambda good: _json([good]),
    "a string": lambda good: _json(good["task_id"]),
    "no task": _without("task_id"),
    "no topic": _without("topic"),
    "no outcome": _without("is_correct"),
    "no time": _without("completed_at"),
    "outcome of text": _with(is_correct="true"),
    "outcome null": _with(is_correct=None),
    "seconds of text": _with(actual_time_seconds="12"),
    "zero seconds": _with(actual_time_seconds=0),
    "not a number": _with(actual_time_seconds=float("nan")),
    "for ever": _with(actual_time_seconds=float("inf")),
    "no offset": _with(completed_at="2026-01-01T00:00:00"),
    "no date": _with(completed_at="yesterday"),
    "year 9999": _with(completed_at="9999-12-31T23:59:59Z"),
    "empty user": _with(user_id=""),
    "long topic": _with(topic="t" * 129),
    "long difficulty": _with(difficulty="d" * 33),
    "NUL": _with(user_id="a\x00b"),
    "lone surrogate": _with(user_id="\ud800"),
    "a number as id": _with(task_id=7),
    "long": _with(filler="f" * 20_000),
}
