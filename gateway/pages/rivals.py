"""PURE: champion against challenger, as ECharts' options and in words."""

from __future__ import annotations

from gateway.comparison import Comparison, Difference
from gateway.pages import charts, marks
from gateway.pages.frame import Viewer
from gateway.pages.marks import Options, counted, nice

NONE = (
    "No challenger has answered in this time. Set RETRACE_CHALLENGER, lnirt:0.1 for a tenth of the "
    "learners, and start inference again; with RETRACE_CHALLENGER_SHADOW=true its answers are kept "
    "beside the champion's and shown to nobody."
)
COLUMNS = ("metric", "champion", "challenger", "difference, 95 % interval", "verdict")


def options(who: Viewer, found: Comparison | None) -> Options:
    """The differences with their intervals, in per cent of the champion's mean."""
    known = [each for each in found.differences if each.low is not None] if found else []
    known = [each for each in known if each.champion]
    colour, names = charts.SERIES[who.dark][1], [each.metric for each in known]
    parts = [_percent(each) for each in known]
    ends = [((low, n), (high, n)) for (low, _, high), n in zip(parts, names, strict=True)]
    points = [(middle, name) for (_, middle, _), name in zip(parts, names, strict=True)]
    reach = nice(min(1e6, max((abs(edge) for part in parts for edge in part), default=1.0) or 1.0))
    limits = {"min": -reach, "max": reach}
    return {
        "xAxis": charts.axis(who, "value", "difference, % of the champion's", **limits),
        "yAxis": charts.axis(who, "category", data=names, inverse=True),
        "grid": {"left": 28, "right": 20, "top": 40, "bottom": 28, "containLabel": True},
        "series": [
            marks.whiskers("95 % interval", ends, colour),
            {
                "name": "difference in %",
                "type": "scatter",
                "data": points,
                "symbolSize": 12,
                "itemStyle": {"color": colour},
                "markLine": _zero(who),
            },
        ],
        "legend": marks.legend(who, ["difference in %", "95 % interval"]),
        "tooltip": charts.tooltip(who, "item"),
    }


def _percent(each: Difference) -> list[float]:
    edges = (each.low, each.difference, each.high)
    return [round(100 * (edge or 0.0) / each.champion, 2) for edge in edges]


def _zero(who: Viewer) -> Options:
    style = {"color": charts.SOFT[who.dark], "type": "dashed"}
    marked = {"symbol": "none", "silent": True, "label": {"show": False}, "lineStyle": style}
    return {**marked, "data": [{"xAxis": 0}]}


def note(found: Comparison | None) -> str:
    """How the two were compared."""
    if found is None:
        return ""
    ours, theirs = counted(found.challenger_tasks), counted(found.champion_tasks)
    learners = f"{counted(found.learners)} learners"
    if found.paired:
        return (
            f"Paired: both answered the same {theirs} tasks of {learners}. Intervals are of the "
            "mean difference, with learners as clusters."
        )
    return (
        f"Not paired: {ours} tasks of the challenger's learners, {theirs} of the others in the "
        f"same time, {learners}. Intervals are wider than in shadow mode "
        "(RETRACE_CHALLENGER_SHADOW)."
    )


def rows(found: Comparison | None) -> list[tuple[str, ...]]:
    """A table's rows."""
    return [_row(each) for each in found.differences] if found else []


def _row(each: Difference) -> tuple[str, ...]:
    name = f"{each.metric}, {each.unit}"
    means = f"{each.champion:.4g}", f"{each.challenger:.4g}"
    if each.low is None or each.high is None:
        return name, *means, _signed(each.difference), "too few learners to tell"
    between = f"{_signed(each.difference)} ({_signed(each.low)} to {_signed(each.high)})"
    return name, *means, between, f"{each.better} is better" if each.better else "no difference yet"


def _signed(value: float) -> str:
    return f"{value:+.3g}".replace("-", "\N{MINUS SIGN}") if value else "0"
