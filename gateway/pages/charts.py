"""Charts with one look: the colours of the theme, a name for those who don't see them, units.

The series colours are those of look.css: Okabe and Ito's, told apart by colour-blind eyes, darker
on light ground (https://jfly.uni-koeln.de/color/, 2008).
"""

from __future__ import annotations

from typing import Any

from nicegui import ui

from gateway.pages.frame import Viewer

SERIES = {
    False: ("#0072b2", "#b34d00", "#007a5a", "#9c4a7d", "#515c63"),
    True: ("#56b4e9", "#e69f00", "#2fc79b", "#e39cc5", "#a9b4ba"),
}
TEXT = {False: "#1b2226", True: "#e8ecee"}
SOFT = {False: "#515c63", True: "#a9b4ba"}
LINE = {False: "#d5dadd", True: "#39434a"}
GROUND = {False: "#ffffff", True: "#1d2327"}


def chart(who: Viewer, name: str, options: dict[str, Any]) -> ui.echart:
    """A chart of ``options`` (ECharts') with this accessible name. Change ``element.options`` in
    place to update it; it is sent when it changed."""
    base: dict[str, Any] = {
        "color": list(SERIES[who.dark]),
        "backgroundColor": "transparent",
        "textStyle": {"color": TEXT[who.dark], "fontFamily": "system-ui, sans-serif"},
        "animation": False,
        "aria": {"enabled": True, "label": {"description": name}},
        "grid": {"left": 8, "right": 16, "top": 52, "bottom": 28, "containLabel": True},
        "legend": {"textStyle": {"color": SOFT[who.dark]}, "top": 0, "icon": "roundRect"},
        "tooltip": tooltip(who),
    }
    element = ui.echart({**base, **options}).classes("chart")
    return element.props(f'role="img" aria-label="{name}"')


def tooltip(who: Viewer, trigger: str = "axis") -> dict[str, Any]:
    """What is told of where the pointer is, as plain text: names are data."""
    return {
        "trigger": trigger,
        "backgroundColor": GROUND[who.dark],
        "borderColor": LINE[who.dark],
        "textStyle": {"color": TEXT[who.dark]},
        "renderMode": "richText",
        "confine": True,
    }


def axis(who: Viewer, kind: str, name: str = "", **more: Any) -> dict[str, Any]:
    """A level axis of ECharts' ``kind`` (value, log, time, category), named with its unit."""
    return {
        "type": kind,
        "name": name,
        "nameTextStyle": {"color": SOFT[who.dark]},
        "nameLocation": "middle",
        "nameGap": 28,
        "axisLabel": {"color": SOFT[who.dark], "hideOverlap": True},
        "axisLine": {"lineStyle": {"color": LINE[who.dark]}},
        "splitLine": {"lineStyle": {"color": LINE[who.dark]}},
        **more,
    }


def upright(who: Viewer, kind: str, name: str, **more: Any) -> dict[str, Any]:
    """An upright axis, its name above it."""
    style = {"color": SOFT[who.dark], "align": "left"}
    above = {"nameLocation": "end", "nameGap": 12, "nameTextStyle": style}
    return axis(who, kind, name, **above, **more)


def fill(chart: ui.echart, series: list[dict[str, Any]], **axes: Any) -> None:
    """Give a chart its series, and axes their data, where they are others than before: what is the
    same is not sent again."""
    for name, data in axes.items():
        if chart.options[name].get("data") != data:
            chart.options[name]["data"] = data
    if chart.options["series"] != series:
        chart.options["series"] = series
