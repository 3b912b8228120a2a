"""PURE: what each chart of the overview draws, once for all who look."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.board import Board
from gateway.pages.overview import series, words
from gateway.pages.overview.series import Points

Drawn = Mapping[str, Points]


def drawings(said: Mapping[str, Any], board: Board, now: datetime) -> dict[str, Drawn]:
    """What the charts draw of the parts that could be read."""
    serving = said.get("serving")
    found: dict[str, Drawn] = {
        f"losses of {model}": series.losses(board.epochs, model) for model in series.MODELS
    }
    if words.is_read(said.get("windows")):
        found["windows"] = series.windows(said["windows"], now)
    if words.is_read(said.get("versions")):
        version = (serving or {})["version"] if words.is_read(serving) else None
        for measure in series.MEASURES:
            found[measure] = series.timeline(said["versions"], measure, version)
    if words.is_read(said.get("live")):
        points = series.live(said["live"])
        found["live"] = {"live": points, "base": series.baseline(words.naive(serving), points)}
    return found
