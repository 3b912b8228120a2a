"""PURE: what the analytics' charts are drawn with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.pages import charts
from gateway.pages.frame import Viewer

Options = dict[str, Any]
SYMBOLS = ("circle", "triangle", "diamond", "rect", "pin")  # told apart without colour
SOURCES = ("lstm", "lnirt", "default")
DASHES = "path://M0,7 h6 v2 h-6 z M9,7 h6 v2 h-6 z M18,7 h6 v2 h-6 z"
PREDICTED = "as predicted"


def line(name: str, points: Sequence[Any], colour: str, **style: Any) -> Options:
    """A line without marks that says nothing of itself."""
    return {
        "name": name,
        "type": "line",
        "data": points,
        "symbol": "none",
        "silent": True,
        "tooltip": {"show": False},
        "lineStyle": {"color": colour, "width": 1.5, **style},
        "itemStyle": {"color": colour},
    }


def diagonal(who: Viewer, low: float, high: float) -> Options:
    """Where what was predicted came true."""
    ends = [(low, low), (high, high)]
    return line(PREDICTED, ends, charts.SOFT[who.dark], type="dashed")


def whiskers(name: str, ends: Iterable[tuple[Any, Any]], colour: str) -> Options:
    """Intervals from one point to another, as one line with gaps."""
    points = [point for low, high in ends for point in (low, high, (None, None))]
    return line(name, points, colour, width=2)


def legend(who: Viewer, names: Sequence[str]) -> Options:
    """Of these series only; it scrolls where there is no room."""
    data = [{"name": name, **({"icon": DASHES} if name == PREDICTED else {})} for name in names]
    soft = {"color": charts.SOFT[who.dark]}
    pages = {"pageTextStyle": soft, "pageIconColor": charts.SOFT[who.dark]}
    return {"data": data, "textStyle": soft, "top": 0, "type": "scroll", "itemHeight": 10, **pages}


def rounded(value: float | None, digits: int = 4) -> float | None:
    """As many digits as a chart shows."""
    return None if value is None else round(value, digits)


def counted(number: int) -> str:
    """With thin gaps between thousands."""
    return f"{number:,}".replace(",", "\u202f")


def significant(value: float) -> float:
    """Three digits."""
    return float(f"{value:.3g}")


def nice(value: float) -> float:
    """One, two or five times a power of ten, at least so much."""
    return min(m * 10.0**e for e in range(-3, 7) for m in (1, 2, 5) if m * 10.0**e >= value)
