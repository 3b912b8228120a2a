"""PURE: predictions beside what happened, as ECharts' options."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gateway.pages import charts, marks
from gateway.pages.frame import Viewer
from gateway.pages.marks import Options, rounded, significant
from gateway.scored import ARMS, Bin, Bins, Scored, wilson

DRAWN = 1_500  # points of the newest tasks; the file has all


def reliabilities(who: Viewer, bins: Bins) -> Options:
    """The bins' mean chance against the share that was right, over the diagonal, with counts."""
    share = charts.upright(who, "value", "share right", min=0, max=1)
    tasks = charts.upright(who, "value", "tasks", minInterval=1)
    tasks["nameTextStyle"] |= {"align": "right"}
    series = [marks.diagonal(who, 0, 1)]
    for arm, filled in bins.items():
        at = ARMS.index(arm)
        series += _reliability(charts.SERIES[who.dark][at], arm, at, filled)
    return {
        "xAxis": charts.axis(who, "value", "predicted chance of a right answer", min=0, max=1),
        "yAxis": [share, {**tasks, "splitLine": {"show": False}}],
        "series": series,
        "legend": marks.legend(who, [marks.PREDICTED, *bins]),
        "tooltip": charts.tooltip(who, "item"),
    }


def _reliability(colour: str, arm: str, at: int, bins: Sequence[Bin]) -> list[Options]:
    points, bars, ends = [], [], []
    for each in bins:
        p, (low, high) = rounded(each.mean_p), wilson(each.observed, each.tasks)
        points.append((p, rounded(each.observed), each.tasks))
        bars.append((rounded(sum(each.ends) / 2 + at * 0.03), each.tasks))
        ends.append(((p, rounded(low)), (p, rounded(high))))
    inside = {"name": f"tasks, {arm}", "type": "bar", "yAxisIndex": 1, "data": bars}
    curve = {"name": arm, "type": "line", "data": points, "symbol": marks.SYMBOLS[at]}
    named = ["mean chance predicted", "share that was right", "tasks"]
    return [
        {
            **inside,
            "barWidth": 10,
            "barGap": "-100%",
            "itemStyle": {"color": colour, "opacity": 0.3},
            "dimensions": ["middle of the bin", "tasks"],
            "encode": {"x": 0, "y": 1, "tooltip": [1]},
        },
        marks.whiskers(f"95 % interval, {arm}", ends, colour),
        {
            **curve,
            "symbolSize": 9,
            "itemStyle": {"color": colour},
            "lineStyle": {"color": colour},
            "dimensions": named,
            "encode": {"x": 0, "y": 1, "tooltip": [0, 1, 2]},
        },
    ]


def times(who: Viewer, rows: Scored) -> Options:
    """Expected against actual seconds on log axes, a point a task, by source."""
    rows = rows.take(slice(DRAWN))
    low, high = span([*rows.expected.tolist(), *rows.seconds.tolist()])
    ends = {"min": low, "max": high, "logBase": 2}
    series = [_points(who, rows, source) for source in marks.SOURCES]
    series.append(marks.diagonal(who, low, high))
    return {
        "xAxis": charts.axis(who, "log", "predicted, seconds", **ends),
        "yAxis": charts.upright(who, "log", "actual, seconds", **ends),
        "series": series,
        "legend": marks.legend(who, [each["name"] for each in series]),
        "tooltip": charts.tooltip(who, "item"),
    }


def _points(who: Viewer, rows: Scored, source: str) -> Options:
    of, at = rows.take(rows.source == source), marks.SOURCES.index(source)
    pairs = zip(of.expected.tolist(), of.seconds.tolist(), strict=True)
    return {
        "name": source,
        "type": "scatter",
        "symbol": marks.SYMBOLS[at],
        "symbolSize": 6,
        "data": [(significant(x), significant(y)) for x, y in pairs],
        "itemStyle": {"color": charts.SERIES[who.dark][at], "opacity": 0.55},
        "dimensions": ["predicted seconds", "actual seconds"],
        "encode": {"x": 0, "y": 1, "tooltip": [0, 1]},
    }


def span(values: Sequence[float]) -> tuple[float, float]:
    """The powers of two around all values."""
    low, high = min(values, default=4.0), max(values, default=512.0)
    return 2.0 ** math.floor(math.log2(low)), 2.0 ** math.ceil(math.log2(high))
