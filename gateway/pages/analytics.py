"""Analytics: how predictions compared with what happened."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from nicegui import ui

from gateway import analyses
from gateway.analyses import Pair
from gateway.face import Face
from gateway.kept import Kept
from gateway.pages import charts, frame, parts
from gateway.pages.frame import Viewer
from gateway.pages.trouble import tried

SECONDS = 30.0  # points are many: they are read, drawn up and sent seldom
NOTHING = "Nothing yet: it comes when tasks that were predicted have been completed."
Series = list[dict[str, Any]]
Found = tuple[int, Series, Series, Series, Series]


def add(face: Face) -> None:
    """The page at ``/dashboard/analytics``."""
    kept = {name: Kept(_reading(face, name), SECONDS) for name in analyses.SPANS}

    @ui.page("/analytics")
    async def show(request: Request, span: str = "1 day") -> None:
        with frame.page("Analytics", request) as who:
            page = Analytics(face, who, kept, span if span in kept else "1 day")
            frame.pulse(page.beat)


def _reading(face: Face, span: str) -> Any:
    def read() -> Found:
        since = datetime.now(UTC) - analyses.SPANS[span]
        engine = face.tasks.engine
        pairs, scores = analyses.pairs(engine, since), analyses.scores(engine, since)
        return (
            len(pairs), reliability(analyses.reliability(pairs)), times(pairs),
            over_time(scores, "log_loss", "line"), over_time(scores, "rows", "bar"),
        )  # fmt: skip

    return read


class Analytics:
    """One viewer's page."""

    def __init__(self, face: Face, who: Viewer, kept: dict[str, Kept[Found]], span: str) -> None:
        self.face, self.who, self.kept = face, who, kept
        self._shown: Found | None = None
        with ui.element("div").classes("actions"):
            self.span = ui.select(list(kept), value=span, label="Time").props("outlined dense")
            self.span.on_value_change(self._chosen)
            self.said = ui.label(" ").classes("soft").props('role="status"')
        with ui.element("div").classes("cards"):
            self.charts = (
                _card(who, "Reliability", _reliability_axes(who)),
                _card(who, "Predicted against actual seconds", _time_axes(who)),
                _card(who, "Log loss over time, by source", _over_time(who, "nats")),
                _card(who, "Tasks over time, by source", _over_time(who, "tasks")),
            )

    async def _chosen(self) -> None:
        ui.navigate.history.replace(f"/dashboard/analytics?span={self.span.value}")
        await self.beat()

    async def beat(self) -> None:
        """Bring everything up to date."""
        work = self.kept[self.span.value or "1 day"].get()
        found, trouble = await tried(self.face, self.who, work)
        if found is None or found is self._shown or self.said.is_deleted:
            self.said.text = trouble or self.said.text
            return
        self._shown = found
        most = ", the newest" if found[0] >= analyses.MOST else ""
        self.said.text = f"{found[0]:,} predictions with an outcome{most}." if found[0] else NOTHING
        for chart, series in zip(self.charts, found[1:], strict=True):
            charts.fill(chart, series)


def reliability(bins: list[analyses.Bin]) -> list[dict[str, Any]]:
    """The diagonal, the shares, their intervals as bars."""
    points = [[round(each.predicted, 3), round(each.observed, 3)] for each in bins]
    ends = [
        {"type": "line", "data": [[each.predicted, each.low], [each.predicted, each.high]],
         "symbol": "none", "silent": True, "lineStyle": {"width": 1, "color": "#808890"}}
        for each in bins
    ]  # fmt: skip
    diagonal = {"type": "line", "name": "calibrated", "data": [[0, 0], [1, 1]], "symbol": "none",
                "lineStyle": {"type": "dashed"}}  # fmt: skip
    return [{"type": "line", "name": "observed", "data": points}, diagonal, *ends]


def times(pairs: list[Pair]) -> list[dict[str, Any]]:
    """A point a task, by source."""
    sources = sorted({pair.source for pair in pairs})
    return [
        {
            "type": "scatter",
            "name": source,
            "symbolSize": 5,
            "itemStyle": {"opacity": 0.5},
            "data": [
                [round(pair.expected_seconds, 1), round(max(pair.actual_seconds, 0.1), 1)]
                for pair in pairs
                if pair.source == source
            ],
        }
        for source in sources
    ]


def over_time(scores: list[dict[str, Any]], score: str, kind: str) -> list[dict[str, Any]]:
    """A series a source."""
    return [
        {
            "type": kind,
            "name": source,
            "stack": "all" if kind == "bar" else None,
            "data": [
                [each["at"].isoformat(), each[score]]
                for each in scores
                if each["source"] == source and each[score] is not None
            ],
        }
        for source in sorted({each["source"] for each in scores})
    ]


def _card(who: Viewer, title: str, options: dict[str, Any]) -> ui.echart:
    with ui.element("section").classes("card"):
        parts.heading(title)
        return charts.chart(who, title, {**options, "series": []})


def _reliability_axes(who: Viewer) -> dict[str, Any]:
    ends = {"min": 0, "max": 1}
    return {
        "xAxis": charts.axis(who, "value", "predicted probability", **ends),
        "yAxis": charts.upright(who, "value", "share right", **ends),
    }


def _time_axes(who: Viewer) -> dict[str, Any]:
    return {
        "xAxis": charts.axis(who, "log", "predicted, s", min=1),
        "yAxis": charts.upright(who, "log", "actual, s"),
        "tooltip": {"trigger": "item"},
    }


def _over_time(who: Viewer, unit: str) -> dict[str, Any]:
    return {
        "xAxis": charts.axis(who, "time"),
        "yAxis": charts.upright(who, "value", unit, scale=unit != "tasks"),
    }
