"""The overview's charts: completions a window, losses by epoch, versions beside their peers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from nicegui import ui

from gateway.pages import charts
from gateway.pages.frame import Viewer
from schemas.events import TrainingProgress

PEERS = {"": "this version", "lnirt": "LNIRT", "topic_difficulty": "topic × difficulty"}


def completions(who: Viewer) -> ui.echart:
    """Completions by window, the newest on the right."""
    count = charts.upright(who, "value", "completions", minInterval=1)
    options = {"xAxis": charts.axis(who, "category"), "yAxis": count, "series": []}
    return charts.chart(who, "Completions in each window of time, as counted", options)


def show_completions(chart: ui.echart, who: Viewer, windows: Mapping[str, Any]) -> None:
    """Fill it with the newest windows."""
    starts = [datetime.fromtimestamp(each["start"], UTC) for each in windows["newest"]]
    counts = [each["completions"] for each in windows["newest"]]
    series = [{"type": "bar", "name": "completions", "data": counts}]
    charts.fill(chart, series, xAxis=[who.clock(start, "%H:%M") for start in starts])


def losses(who: Viewer) -> ui.echart:
    """Losses by epoch of both networks."""
    options = {
        "xAxis": charts.axis(who, "value", "epoch", minInterval=1, min=0),
        "yAxis": charts.upright(who, "value", "loss", scale=True),
        "series": [],
    }
    return charts.chart(who, "Losses of the newest training by epoch", options)


def show_losses(chart: ui.echart, training: Sequence[TrainingProgress]) -> None:
    """Fill it with what was told so far."""
    lines: dict[str, list[list[float]]] = {}
    for event in training:
        for name, loss in (("", event.loss), (", held out", event.val_loss)):
            if event.state == "epoch" and loss is not None:
                lines.setdefault(f"{event.model}{name}", []).append([event.epoch or 0, loss])
    series = [{"type": "line", "name": name, "data": points} for name, points in lines.items()]
    charts.fill(chart, series)


def versions(who: Viewer, score: str, unit: str) -> ui.echart:
    """A score of every version, beside its peers' on the same rows."""
    options = {
        "xAxis": charts.axis(who, "category", "version"),
        "yAxis": charts.upright(who, "value", unit, scale=True),
        "series": [],
    }
    return charts.chart(who, f"{score} of each version beside LNIRT and the baseline", options)


def show_versions(chart: ui.echart, found: Sequence[Mapping[str, Any]], score: str) -> None:
    """Fill it: ``score`` is log_loss or auc."""
    series = [
        {
            "type": "line",
            "name": name,
            "data": [_score(each["metrics"], peer, score) for each in found],
            "symbol": "circle" if not peer else "none",
            "lineStyle": {"type": "dashed" if peer else "solid"},
        }
        for peer, name in PEERS.items()
    ]
    charts.fill(chart, series, xAxis=[str(each["version"]) for each in found])


def _score(metrics: Mapping[str, Any], peer: str, score: str) -> float | None:
    of = (metrics.get(peer) or {}) if peer else metrics
    value = of.get(score)
    return None if value is None else round(float(value), 4)
