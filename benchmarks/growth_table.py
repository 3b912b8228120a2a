"""What growth costs, on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from benchmarks.ingest_table import table
from gateway.numerals import grouped

COLUMNS = (
    "completions", "learners", "training, s: first", "again", "prediction, ms: held p50", "p99",
    "anyone p50", "p99", "CPU, ms", "at most, /s", "MiB: trainer", "inference", "bytes each",
)  # fmt: skip


def view(report: Mapping[str, Any]) -> RenderableType:
    """A line a size, and the machine."""
    rows = [_row(size) for size in report["sizes"]]
    facts = report["machine"]
    words = (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB; bytes of a completion "
        f"and its indexes in PostgreSQL"
    )
    return Group(table(COLUMNS, rows), "", Text(words, style="dim"))


def _row(size: Mapping[str, Any]) -> tuple[str, ...]:
    trainings, predictions = size["trainings"], size["predictions"]
    warm, cold, peaks = predictions["warm"], predictions["cold"], size["peak_mib"]
    return (
        grouped(size["completions"]), grouped(size["learners"]),
        f"{trainings['cold_seconds']:.1f}", f"{trainings['warm_seconds']:.1f}",
        *(f"{each[name]:.1f}" for each in (warm, cold) for name in ("p50", "p99")),
        f"{predictions['cpu_ms']:.2f}", grouped(predictions["saturated_per_second"]),
        grouped(round(peaks["trainer"])), grouped(round(peaks["inference"])),
        f"{size['bytes_per_completion']:.0f}",
    )  # fmt: skip
