"""PURE: what changes with time and with practice, as ECharts' options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.analytics import View
from gateway.learning import Step
from gateway.pages import charts, marks
from gateway.pages.frame import Viewer
from gateway.pages.marks import Options, rounded
from gateway.scored import ARMS, Score

TOPICS = 5  # as many as there are colours
STEPS = 60  # of one curve
LARGEST_PX, SMALLEST_PX = 12, 4


def scores(who: Viewer, view: View, metric: str, name: str) -> Options:
    """``log_loss`` or ``auc`` over time: a line by source and arm, and points by version, the
    larger the more tasks."""
    series = []
    for key in _groups(view.over_time):
        points = [(_ms(each), rounded(getattr(each, metric))) for each in _of(view.over_time, key)]
        series.append(_line(who, key, points))
    series += [_versions(who, key, view, metric) for key in _groups(view.by_version)]
    return _timeline(who, view, name, series, scale=True)


def _versions(who: Viewer, key: tuple[str, str], view: View, metric: str) -> Options:
    most = max(each.tasks for each in view.by_version)
    points = [
        {
            "value": (
                _ms(each),
                rounded(getattr(each, metric)),
                each.version or "none",
                each.tasks,
            ),
            "symbolSize": max(SMALLEST_PX, LARGEST_PX * (each.tasks / most) ** 0.5),
        }
        for each in _of(view.by_version, key)
    ]
    at = marks.SOURCES.index(key[0])
    return {
        "name": f"{_name(key)}, by version",
        "type": "scatter",
        "symbol": marks.SYMBOLS[at],
        "data": points,
        "itemStyle": {"color": charts.SERIES[who.dark][at], "opacity": 0.4},
        "dimensions": ["at", metric, "version", "tasks"],
        "encode": {"x": 0, "y": 1, "tooltip": [0, 2, 1, 3]},
        "z": 1,
    }


def sources(who: Viewer, view: View) -> Options:
    """How many tasks each source was asked about, stacked."""
    steps = sorted({each.at for each in view.over_time})
    series = []
    for key in _groups(view.over_time):
        known = {each.at: each.tasks for each in _of(view.over_time, key)}
        style: Options = {"color": charts.SERIES[who.dark][marks.SOURCES.index(key[0])]}
        if key[1] == "challenger":
            style |= {"opacity": 0.55}
        bars = {"name": _name(key), "type": "bar", "stack": key[1], "itemStyle": style}
        data = [(at.timestamp() * 1000, known.get(at, 0)) for at in steps]
        series.append({**bars, "data": data, "barMaxWidth": 24})
    return _timeline(who, view, "tasks", series, minInterval=1)


def learning(who: Viewer, view: View, metric: str, name: str, **limits: Any) -> Options:
    """``success`` or ``seconds`` of the last tasks on each topic, task by task."""
    series: list[Options] = []
    for at, (topic, steps) in enumerate(list(view.curves.items())[:TOPICS]):
        points = [(each.task, rounded(getattr(each, metric), 3)) for each in thinned(steps)]
        series.append(
            {
                "name": topic,
                "type": "line",
                "data": points,
                "symbol": marks.SYMBOLS[at],
                "symbolSize": 5,
                "lineStyle": {"color": charts.SERIES[who.dark][at], "width": 2},
                "itemStyle": {"color": charts.SERIES[who.dark][at]},
            }
        )
    return {
        "xAxis": charts.axis(who, "value", "tasks on the topic so far", minInterval=1, min=1),
        "yAxis": charts.upright(who, "value", name, **limits),
        "series": series,
        "legend": marks.legend(who, [each["name"] for each in series]),
        "tooltip": charts.tooltip(who),
    }


def thinned(steps: Sequence[Step]) -> Sequence[Step]:
    """Evenly fewer, the newest among them."""
    return steps[:: -(-len(steps) // STEPS) * -1][::-1] if steps else steps


def _timeline(who: Viewer, view: View, name: str, series: list[Options], **limits: Any) -> Options:
    ends = {
        "min": view.filters.since(view.at).timestamp() * 1000,
        "max": view.at.timestamp() * 1000,
    }
    return {
        "xAxis": charts.axis(who, "time", "time of completion", **ends),
        "yAxis": charts.upright(who, "value", name, **limits),
        "series": series,
        "legend": marks.legend(who, [each["name"] for each in series]),
        "tooltip": charts.tooltip(who, "item"),
    }


def _line(who: Viewer, key: tuple[str, str], points: Sequence[Any]) -> Options:
    at = marks.SOURCES.index(key[0])
    dashed = {"type": "dashed"} if key[1] == "challenger" else {}
    return {
        "name": _name(key),
        "type": "line",
        "data": points,
        "symbol": marks.SYMBOLS[at],
        "symbolSize": 5,
        "lineStyle": {"color": charts.SERIES[who.dark][at], "width": 2, **dashed},
        "itemStyle": {"color": charts.SERIES[who.dark][at]},
        "z": 3,
    }


def _groups(found: Sequence[Score]) -> list[tuple[str, str]]:
    return sorted(
        {(each.source, each.arm) for each in found},
        key=lambda key: (ARMS.index(key[1]), marks.SOURCES.index(key[0])),
    )


def _of(found: Sequence[Score], key: tuple[str, str]) -> list[Score]:
    return [each for each in found if (each.source, each.arm) == key]


def _name(key: tuple[str, str]) -> str:
    return key[0] if key[1] == "champion" else f"{key[0]}, challenger"


def _ms(score: Score) -> float:
    return score.at.timestamp() * 1000
