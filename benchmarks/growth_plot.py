"""Growth as a picture: what stays level while the history grows, and what does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

INK, QUIET, GRID = "#2b3440", "#7d8793", "#e9ecef"
BLUE, AMBER = "#2f6690", "#c0722a"
Value = Callable[[Mapping[str, Any]], float]
PANELS: tuple[tuple[str, str, dict[str, Value]], ...] = (
    ("A training", "seconds", {
        "the first": lambda size: size["trainings"]["cold_seconds"],
        "those after": lambda size: size["trainings"]["warm_seconds"],
    }),
    ("A prediction", "milliseconds, median", {
        "of anyone": lambda size: size["predictions"]["cold"]["p50"],
        "of a learner held": lambda size: size["predictions"]["warm"]["p50"],
    }),
    ("Memory, at most", "MiB", {
        "trainer": lambda size: size["peak_mib"]["trainer"],
        "inference": lambda size: size["peak_mib"]["inference"],
    }),
    ("The store", "GB", {
        "completions": lambda size: size["completions"] * size["bytes_per_completion"] / 1e9,
    }),
)  # fmt: skip


def draw(path: Path, report: Mapping[str, Any]) -> None:
    """Write an SVG file of four panels over completions."""
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
    figure = Figure(figsize=(11, 6.4), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    sizes = report["sizes"]
    x = [size["completions"] for size in sizes]
    for axes, (title, unit, lines) in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
        for (name, value), colour in zip(lines.items(), (AMBER, BLUE), strict=False):
            axes.plot(x, [value(size) for size in sizes], "o-", color=colour, label=name)
        axes.set_title(title, loc="left", color=INK, fontsize=11)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("completions", color=QUIET)
        axes.set_ylabel(unit, color=QUIET)
        axes.grid(color=GRID)
        axes.tick_params(colors=QUIET)
        axes.spines[["top", "right"]].set_visible(False)
        if len(lines) > 1:
            axes.legend(frameon=False, labelcolor=INK)
    figure.savefig(path, format="svg", metadata={"Date": None})
