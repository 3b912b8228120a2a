"""What a page says in place of a part that cannot be read: what, since when, and what to do."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from gateway.face import Face
from gateway.pages.frame import Viewer
from gateway.problems import Problem, store_away
from schemas.errors import RetraceError
from streams import database

T = TypeVar("T")
NAMES = {"kafka": "Kafka", "store": "PostgreSQL"}
ASK = "If this stays, `retrace doctor` says what is wrong."


async def tried(face: Face, who: Viewer, work: Awaitable[T]) -> tuple[T | None, str]:
    """What comes of the work and "", or None and why there is nothing; raises the unexpected."""
    try:
        return await work, ""
    except Exception as error:
        words = told(error, face.health.snapshot()["dependencies"], who)
        if not words:
            raise
        return None, words


def told(error: Exception, dependencies: Mapping[str, Any], who: Viewer) -> str:
    """An error for people; "" where it is none that is to be expected."""
    if isinstance(error, RetraceError):
        return f"{_sentence(str(error))} {ASK}"
    if database.is_away(error) or database.is_emptied(error):
        error = store_away()
    if not isinstance(error, Problem):
        return ""
    away = {name: state for name, state in dependencies.items() if not state["ok"]}
    # Without the store inference answers, and without Kafka the store does.
    at_fault = "store" if error.detail == store_away().detail else "kafka"
    if at_fault in away:
        since = who.clock(datetime.fromisoformat(away[at_fault]["since"]))
        name = NAMES[at_fault]
        return f"{name} has not answered since {since}. This part goes on once it does. {ASK}"
    return f"{_sentence(error.detail.partition(';')[0])} {ASK}"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."
