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
NOTHING_AWAY = "If this stays, `retrace doctor` says what is wrong."


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
    if isinstance(error, Problem):
        words = error.detail
    elif isinstance(error, RetraceError):
        words = str(error).rstrip(".")
    elif database.is_away(error) or database.is_emptied(error):
        words = store_away().detail
    else:
        return ""
    away = [
        f"{NAMES[name]} has not answered since {_clock(state['since'], who)}; "
        "this goes on by itself once it does."
        for name, state in dependencies.items()
        if name in NAMES and not state["ok"]
    ]
    return " ".join([f"{words[:1].upper()}{words[1:]}.", *(away or [NOTHING_AWAY])])


def _clock(at: str, who: Viewer) -> str:
    return who.clock(datetime.fromisoformat(at))
