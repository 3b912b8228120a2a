"""A soak's figures on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from benchmarks.ingest_table import table
from gateway.numerals import grouped

COLUMNS = ("service", "MiB at half time", "at the end", "at most", "MiB an hour since half time")


def view(report: Mapping[str, Any]) -> RenderableType:
    """A line a service, and what was done meanwhile."""
    rows = [
        (name, f"{of['half']:.0f}", f"{of['end']:.0f}", f"{of['peak']:.0f}",
         f"{of['mib_per_hour']:+.1f}")
        for name, of in report["services"].items()
    ]  # fmt: skip
    minutes = report["seconds"][-1] / 60
    words = (
        f"{grouped(report['completed'])} tasks practised in {minutes:.0f} min, "
        f"{grouped(report['failed'])} calls failed"
    )
    return Group(table(COLUMNS, rows), "", Text(words))
