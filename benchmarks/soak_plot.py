"""Memory over hours as a picture, a line a service."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.growth_plot import GRID, INK, QUIET

COLOURS = ("#2f6690", "#c0722a", "#3f7d5a", "#7a4f8f")


def draw(path: Path, report: Mapping[str, Any]) -> None:
    """Write an SVG file."""
    figure = Figure(figsize=(10, 4.2), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    minutes = [at / 60 for at in report["seconds"]]
    for (name, mib), colour in zip(report["mib"].items(), COLOURS, strict=False):
        axes.plot(minutes, mib, color=colour, label=name)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("minutes", color=QUIET)
    axes.set_ylabel("MiB resident", color=QUIET)
    axes.grid(color=GRID)
    axes.tick_params(colors=QUIET)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, labelcolor=INK, ncols=4)
    figure.savefig(path, format="svg", metadata={"Date": None})
