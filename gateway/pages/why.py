"""What moved a prediction, in sentences and as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nicegui import ui

from gateway.face import Face
from gateway.inquiries import why_of
from gateway.pages import charts
from gateway.pages.frame import Viewer
from gateway.pages.trouble import tried
from gateway.practice import Task
from schemas.replies import Effect

MOST_BARS = 8
NOTHING = "Nothing stands out: no single completion or input moves it by half a point."
RISES, FALLS = 0, 1


class Why:
    """A dialog; ``show`` asks inference and fills it."""

    def __init__(self, face: Face, who: Viewer) -> None:
        self.face, self.who = face, who
        with (
            ui.dialog().props('aria-label="Why this prediction"') as self.dialog,
            ui.element("div").classes("card dialog"),
        ):
            ui.label("Why this prediction").classes("heading")
            self.words = ui.label("").classes("prose").style("white-space: pre-line")
            self.bars = charts.chart(who, "What moves the predicted chance of a right answer", {})
            self.note = ui.label("").classes("soft prose")
            ui.button("Close", on_click=self.dialog.close).props("flat no-caps").classes("self-end")

    async def show(self, task: Task) -> None:
        """Open at once, and tell when the answer is there."""
        self.words.text, self.note.text, self.bars.visible = "Asking inference.", "", False
        self.dialog.open()
        why, trouble = await tried(self.face, self.who, why_of(self.face, task.id))
        if why is None:
            self.words.text = trouble
            return
        self.words.text = "\n".join(why.words) or NOTHING
        shown = bars(why.effects)
        self.bars.options.update(options(self.who, shown))
        self.bars.visible = bool(shown)
        self.note.text = (
            "Each bar: the chance as predicted less the chance without it, in percentage points. "
            f"{why.reason[:1].upper()}{why.reason[1:]}."
        )


def bars(effects: Sequence[Effect]) -> list[tuple[str, float]]:
    """PURE: the strongest effects by name, in percentage points, the strongest first."""
    named = [(_name(each), round(each.p_change * 100, 1)) for each in effects]
    return [(name, points) for name, points in named if points][:MOST_BARS]


def _name(effect: Effect) -> str:
    if effect.is_correct is None:
        return effect.name
    return f"{effect.name}: {'right' if effect.is_correct else 'wrong'}"


def options(who: Viewer, shown: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """ECharts' options for bars; the first one is at the top."""
    colors = charts.SERIES[who.dark]
    names = charts.axis(who, "category", data=[name for name, _ in shown], inverse=True)
    names["axisLabel"] |= {"width": 150, "overflow": "truncate"}
    data = [
        {
            "value": points,
            "itemStyle": {"color": colors[RISES if points > 0 else FALLS]},
            "label": {"position": "right" if points > 0 else "left", "formatter": f"{points:+.1f}"},
        }
        for _, points in shown
    ]
    label = {"show": True, "color": charts.TEXT[who.dark]}
    most = max((abs(points) for _, points in shown), default=1.0) * 1.35
    ends = {"min": -most, "max": most, "axisLabel": {"show": False}}
    return {
        "yAxis": names,
        "xAxis": charts.axis(who, "value", "change, percentage points") | ends,
        "series": [{"type": "bar", "data": data, "label": label, "barMaxWidth": 22}],
        "tooltip": {"show": False},
    }
