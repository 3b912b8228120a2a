"""`retrace settings`: a table on a terminal."""

from __future__ import annotations

from rich.table import Table

from gateway.in_force import Row


def table(found: list[Row]) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="dim")
    grid.add_column("setting", no_wrap=True)
    grid.add_column("value", overflow="fold")
    grid.add_column("from", no_wrap=True)
    for row in found:
        style = "dim" if row.source == "default" else ""
        grid.add_row(row.variable, row.value or "–", row.source, style=style)
    return grid
