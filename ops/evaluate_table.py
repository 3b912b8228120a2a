"""An evaluation's figures on a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.numerals import grouped, plural

ROWS = {
    "n": ("tasks", ""),
    "log_loss": ("log loss", ".4f"),
    "auc": ("AUC", ".4f"),
    "accuracy": ("accuracy", ".4f"),
    "brier": ("Brier", ".4f"),
    "ece": ("ECE", ".4f"),
    "mae_seconds": ("MAE, s", ".2f"),
    "mae_seconds_clipped": ("MAE as served, s", ".2f"),
    "log_rmse": ("log-RMSE", ".4f"),
    "coverage_80": ("80 % coverage", ".4f"),
}


def view(report: dict[str, Any]) -> RenderableType:
    """Metrics of all tasks and of first trials, then bins where they were asked for."""
    data = report["data"]
    head = Text.assemble(
        (f"{report['model']}, {report['protocol']}", "bold"),
        f"   {plural(data['rows'], 'row')} of {plural(data['learners'], 'learner')}, "
        f"{report['fit_seconds']:.1f} s in learning",
    )
    parts: list[RenderableType] = [head, _metrics(report)]
    if "bins" in report:
        parts += ["", _bins(report["bins"])]
    return Group(*parts)


def _metrics(report: dict[str, Any]) -> Table:
    intervals = report.get("intervals", {})
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column()
    for name in ("all", *(["95 % interval"] if intervals else []), "trials 1–5"):
        table.add_column(name, justify="right")
    for key, (name, form) in ROWS.items():
        cells = [_number(report[key], form), _number(report["first5"][key], form)]
        if intervals:
            cells.insert(1, _between(intervals.get(key), form))
        table.add_row(name, *cells)
    return table


def _bins(bins: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for name in ("probability", "tasks", "mean", "observed"):
        table.add_column(name, justify="right")
    for each in bins:
        edges = f"{each['from']:.3f} – {each['to']:.3f}"
        means = (_number(each[name], ".3f") for name in ("mean_p", "observed"))
        table.add_row(edges, grouped(each["rows"]), *means)
    return table


def _number(value: float | None, form: str) -> str:
    if value is None:
        return "–"
    return format(value, form) if form else grouped(int(value))


def _between(interval: list[float] | None, form: str) -> str:
    return " – ".join(_number(edge, form) for edge in interval) if interval else ""
