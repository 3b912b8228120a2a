"""The cards of what was: completions per window, versions on a time line, live log loss."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from gateway.pages import charts
from gateway.pages.frame import Viewer
from gateway.pages.overview import series, words
from gateway.pages.overview.parts import Fact, Plot, card
from gateway.pages.overview.snapshot import Snapshot

STYLES = {
    "ours": ("version", "circle", "solid"),
    "lnirt": ("LNIRT", "none", "dashed"),
    "topic_difficulty": ("topic × difficulty", "none", "dotted"),
    "rejected": ("rejected", "diamond", "none"),
    "serving": ("serving", "circle", "none"),
}
VERSIONS = "Versions, scored on completions before they learned them"
MEASURES = {"log_loss": "log loss (nats, less is better)", "auc": "AUC (more is better)"}
HIGHEST = {"auc": {"max": 1}}


class Traffic:
    """Completions per window, as the windowed counter has them."""

    def __init__(self, who: Viewer) -> None:
        with card("Completions per minute", "wide") as found:
            self.heading = next(iter(found))
            self.plot = Plot(who, "Completions per window of the last 30 windows", _bars(who))
            self.words = ui.label("").classes("soft lines-1")

    def show(self, seen: Snapshot) -> None:
        why = words.absent(seen.status, "windows")
        if why:
            self.plot.show({}, why)
            return
        part = seen.status["windows"]
        if part["window_seconds"] != 60 and isinstance(self.heading, ui.label):
            self.heading.text = f"Completions per {part['window_seconds']} s"
        self.plot.show(seen.drawn["windows"], "The first completion's window appears here.")
        self.words.text = words.traffic(part)


def _time(who: Viewer, parts: int) -> dict[str, Any]:
    axis = charts.axis(who, "time", "time", splitNumber=parts)
    axis["axisLabel"]["alignMaxLabel"] = "right"  # inside, where the last one is at the end
    return axis


def _moments(who: Viewer) -> dict[str, Any]:
    """Up to the newest point: a single one would stand between yesterday and tomorrow."""
    ends = {
        ":min": "seen => isFinite(seen.max) ? Math.min(seen.min, seen.max - 6e5) : null",
        ":max": "seen => isFinite(seen.max) ? seen.max + 6e4 : null",
    }
    return _time(who, 4) | ends


def _bars(who: Viewer) -> dict[str, Any]:
    kinds = {"on time": {}, "open": {"opacity": 0.55}, "late": {"decal": {"symbol": "rect"}}}
    return {
        "xAxis": _time(who, 6),
        "yAxis": charts.upright(who, "value", "completions", minInterval=1),
        "series": [
            {"id": kind, "name": kind, "type": "bar", "stack": "all", "data": [],
             "barMaxWidth": 24, "itemStyle": style, "color": charts.SERIES[who.dark][place]}
            for (kind, style), place in zip(kinds.items(), (0, 0, 1), strict=True)
        ],
    }  # fmt: skip


class Versions:
    """Each version's log loss and AUC before it learned, beside LNIRT and the naive baseline."""

    def __init__(self, who: Viewer) -> None:
        with card(VERSIONS, "wide"), ui.element("div").classes("pair"):
            self.plots = {
                measure: Plot(who, f"{name} of versions by training time", _lines(who, measure))
                for measure, name in MEASURES.items()
            }

    def show(self, seen: Snapshot) -> None:
        why = words.absent(seen.status, "versions")
        empty = "Versions appear here once one was scored on completions it had not learned."
        for measure, plot in self.plots.items():
            plot.show({} if why else seen.drawn[measure], why or empty)


def _lines(who: Viewer, measure: str) -> dict[str, Any]:
    name = MEASURES[measure]
    return {
        "media": [{"query": {"maxWidth": 420}, "option": {"grid": {"top": 72}}}],  # two lines
        "xAxis": _moments(who),
        "yAxis": charts.upright(who, "value", name, scale=True, **HIGHEST.get(measure, {})),
        "series": [
            {"id": key, "name": label, "data": [], "symbol": symbol,
             "symbolSize": 14 if key == "serving" else 8 if dash == "none" else 4,
             "itemStyle": _ring(who) if key == "serving" else {},
             "label": {"show": key == "serving", "position": "top", "formatter": "v{@version}",
                       "color": charts.TEXT[who.dark]},
             "type": "scatter" if dash == "none" else "line",
             "lineStyle": {"type": dash if dash != "none" else "solid"},
             "dimensions": ["trained", "value", "version"],
             "encode": {"x": 0, "y": 1, "tooltip": [1] if key in series.PEERS[1:] else [1, 2]}}
            for key, (label, symbol, dash) in STYLES.items()
        ],
    }  # fmt: skip


def _ring(who: Viewer) -> dict[str, Any]:
    return {"color": "transparent", "borderColor": charts.TEXT[who.dark], "borderWidth": 2}


class Live:
    """How the predictions that were shown compared with what happened."""

    def __init__(self, who: Viewer) -> None:
        with card("Live accuracy", "wide"), ui.element("div").classes("beside"):
            with ui.element("div"):
                self.fact = Fact(3)
            self.plot = Plot(who, "Log loss of the predictions shown, by window", _live(who))

    def show(self, seen: Snapshot) -> None:
        why = words.absent(seen.status, "live")
        if why:
            self.fact.absent(why)
            self.plot.show({}, why)
            return
        bar = words.naive(seen.status.get("serving"))
        self.fact.show(words.live(seen.status.get("last_hour"), bar))
        empty = "Log loss appears here once predicted tasks were completed."
        self.plot.show(seen.drawn["live"], empty)


def _live(who: Viewer) -> dict[str, Any]:
    return {
        "xAxis": _moments(who),
        "yAxis": charts.upright(who, "value", "log loss (nats)", scale=True),
        "series": [
            {"id": "live", "name": "shown", "type": "line", "data": [], "symbolSize": 6,
             "dimensions": ["window", "log loss", "predictions"],
             "encode": {"x": 0, "y": 1, "tooltip": [1, 2]}},
            {"id": "base", "name": "topic × difficulty",
             "type": "line", "data": [], "symbol": "none", "lineStyle": {"type": "dotted"},
             "color": charts.SERIES[who.dark][2]},
        ],
    }  # fmt: skip
