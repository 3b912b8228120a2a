"""An evaluation as a picture: are probabilities calibrated, and are times as predicted?

Drawn without a display. Left, a reliability diagram (Murphy and Winkler 1977) over the rows of
each bin; right, actual against predicted seconds on log axes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from gateway.numerals import grouped
from training.evaluate import Answers
from training.metrics import reliability

INK, QUIET, GRID = "#2b3440", "#7d8793", "#e9ecef"
BLUE, PALE, AMBER = "#2f6690", "#c9dbe8", "#c0722a"
SHADES = LinearSegmentedColormap.from_list("calm", ["#f1f6f9", "#bdd5e4", "#6d9fbf"])
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 86400)
SLICES = 12
LEAST_IN_SLICE = 20


def draw(path: Path, report: dict[str, Any], answers: Answers) -> None:
    """Write a PNG file of 1800 × 930 pixels."""
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
    figure = Figure(figsize=(12, 6.2), dpi=150, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 2, height_ratios=(4, 1), hspace=0.02, wspace=0.06)
    upper = figure.add_subplot(grid[0, 0])
    lower = figure.add_subplot(grid[1, 0], sharex=upper)
    _calibration(upper, lower, answers)
    right = figure.add_subplot(grid[:, 1])
    _times(figure, right, answers)
    figure.suptitle(_title(report), x=0.012, ha="left", fontsize=13, color=INK, weight="bold")
    _heading(upper, f"Right or wrong: calibration error (ECE) {report['ece']:.3f}")
    _heading(right, f"Seconds: 80 % interval holds {100 * report['coverage_80']:.1f} %")
    figure.savefig(path, format="png")


def _title(report: dict[str, Any]) -> str:
    auc = "–" if report["auc"] is None else f"{report['auc']:.3f}"
    return (
        f"{report['model']}, {report['protocol']}   "
        f"{grouped(report['n'])} tasks   log loss {report['log_loss']:.3f}   AUC {auc}"
    )


def _calibration(upper: Axes, lower: Axes, answers: Answers) -> None:
    bins = [each for each in reliability(answers.correct, answers.predictions.p) if each["rows"]]
    p, observed, rows = (
        np.array([each[name] for each in bins], dtype=np.float64)
        for name in ("mean_p", "observed", "rows")
    )
    error = 1.96 * np.sqrt(observed * (1 - observed) / rows)
    upper.plot([0, 1], [0, 1], color=QUIET, lw=1, ls=(0, (4, 3)), label="perfectly calibrated")
    upper.errorbar(p, observed, error, color=BLUE, lw=1.2, fmt="none", alpha=0.6)
    upper.plot(p, observed, "o-", color=BLUE, ms=6, lw=1.6, label="observed, 95 % by rows")
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of right answers")
    upper.tick_params(labelbottom=False)
    _legend(upper)
    middles, width = (
        [(float(each["from"] or 0) + float(each["to"] or 0)) / 2 for each in bins],
        1 / 15,
    )
    lower.bar(middles, rows, width * 0.86, color=PALE)
    for middle, count in zip(middles, rows, strict=True):
        lower.annotate(
            grouped(int(count)), (middle, count), (0, 2), textcoords="offset points",
            ha="center", fontsize=6.5, color=QUIET,
        )  # fmt: skip
    lower.set(xlabel="predicted probability of a right answer", ylabel="tasks")
    lower.set_ylim(0, rows.max() * 1.25)
    lower.yaxis.set_major_locator(NullLocator())
    for axes in (upper, lower):
        _calm(axes)


def _times(figure: Figure, axes: Axes, answers: Answers) -> None:
    predicted, actual = np.exp(answers.predictions.mu), answers.seconds
    low, high = np.percentile(np.concatenate([predicted, actual]), [0.5, 99.5])
    limits = low / 1.25, high * 1.25
    hexes = axes.hexbin(
        predicted, actual, gridsize=44, xscale="log", yscale="log", mincnt=1, cmap=SHADES,
        norm=LogNorm(), extent=(*np.log10(limits), *np.log10(limits)), linewidths=0,
    )  # fmt: skip
    axes.plot(limits, limits, color=QUIET, lw=1, ls=(0, (4, 3)), label="as predicted")
    _slices(axes, answers)
    axes.set(xlim=limits, ylim=limits, xlabel="predicted median, seconds", ylabel="actual, seconds")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(list(TICKS)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    _legend(axes)
    _calm(axes)
    bar = figure.colorbar(hexes, ax=axes, pad=0.01, shrink=0.45, aspect=26, anchor=(0, 0))
    bar.outline.set_visible(False)
    bar.ax.set_title("tasks", fontsize=9, color=QUIET, loc="left")
    bar.ax.tick_params(which="both", colors=QUIET, length=0, labelsize=8)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: grouped(int(value))))
    bar.ax.yaxis.set_minor_formatter(NullFormatter())


def _slices(axes: Axes, answers: Answers) -> None:
    """Medians of the actual times over slices of the predicted ones, within the 80 % interval."""
    mu, (low, high) = answers.predictions.mu, answers.predictions.interval()
    count = min(SLICES, len(mu) // LEAST_IN_SLICE)
    parts = np.array_split(np.argsort(mu, kind="stable"), max(1, count))
    centre, actual, least, most = (
        np.array([np.median(column[rows]) for rows in parts])
        for column in (np.exp(mu), answers.seconds, low, high)
    )
    for edge, label in ((least, "80 % interval"), (most, None)):
        axes.plot(centre, edge, color=AMBER, lw=1.2, label=label)
    axes.plot(centre, actual, "o-", color=AMBER, ms=5, lw=1.6, label="median of actual times")


def _heading(axes: Axes, words: str) -> None:
    axes.set_title(words, loc="left", fontsize=10.5, color=INK, pad=8)


def _legend(axes: Axes) -> None:
    axes.legend(
        loc="upper left", fontsize=9, labelcolor=INK, facecolor="white", edgecolor="none",
        framealpha=0.85,
    )  # fmt: skip


def _calm(axes: Axes) -> None:
    axes.set_axisbelow(True)
    axes.grid(color=GRID, lw=0.8)
    axes.tick_params(colors=QUIET, length=0, labelsize=9)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
