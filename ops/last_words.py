"""The last line that a service logged: why it ended, in words."""

from __future__ import annotations

import json
from pathlib import Path

TAIL_BYTES = 16_384


def last_words(path: Path) -> str:
    """The last line that a service logged, in words; empty where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - TAIL_BYTES, 0))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return _words(last.removeprefix("retrace: "))[:300]


def _words(line: str) -> str:
    try:
        values = json.loads(line)
    except ValueError:
        return line
    if not isinstance(values, dict) or "event" not in values:
        return line
    exception = str(values.get("exception", "")).strip().splitlines()
    because = values.get("because") or (exception[-1] if exception else "")
    return f"{values['event']}: {because}" if because else str(values["event"])
