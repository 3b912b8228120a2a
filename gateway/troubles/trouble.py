"""PURE: a trouble, and what the rules read of a status."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Status = Mapping[str, Any]
ERRNO = re.compile(r"\[Errno -?\d+\] ")


@dataclass(frozen=True)
class Trouble:
    """``name`` stays the same while it lasts. ``since`` None: the status does not say; ``seen``:
    since when it was looked at. ``see`` is its heading in docs/operations.md. It is said once it
    has lasted ``patience`` seconds."""

    name: str
    what: str
    since: datetime | None
    todo: str
    see: str
    patience: float = 0.0
    seen: bool = False


def services(status: Status) -> Mapping[str, Mapping[str, Any]]:
    found = status.get("services")
    return found if isinstance(found, dict) and not error_of(found) else {}


def part(status: Status, name: str) -> Mapping[str, Any]:
    found = status.get(name)
    return found if isinstance(found, dict) and not error_of(found) else {}


def error_of(part: Any) -> str | None:
    """Why a part cannot be read."""
    error = part.get("error") if isinstance(part, dict) else None
    return ERRNO.sub("", error).rstrip(".") if isinstance(error, str) else None


def moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
