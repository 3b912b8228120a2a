"""The card of what was done from these pages, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nicegui import ui

from gateway.audit import DONE, FAILED
from gateway.pages.frame import Viewer
from gateway.pages.parts import heading

MOST_LINES = 50
COLUMNS = ("When", "Who", "From", "Action", "Outcome")
EMPTY = "Whatever is done with the buttons above appears here: who, when, what, and its outcome."
MARKS = {DONE: "✓", FAILED: "✗"}


class AuditList:
    """A table whose rows are made once and filled in place."""

    def __init__(self, who: Viewer) -> None:
        self.who = who
        self.rows: list[tuple[ui.element, list[ui.label]]] = []
        with ui.element("section").classes("card wide"):
            heading("What was done from here")
            self.empty = ui.label("").classes("empty")
            scroll = 'tabindex=0 role=region aria-label="What was done from here"'
            self.table = ui.element("div").classes("audit").props(scroll)
            with self.table, ui.element("table").classes("plain"):
                with ui.element("thead"), ui.element("tr"):
                    for name in COLUMNS:
                        with ui.element("th").props("scope=col"):
                            ui.label(name)
                self.body = ui.element("tbody")
            self.table.visible = False

    def show(self, lines: Sequence[Any]) -> None:
        self.empty.text, self.empty.visible = EMPTY, not lines
        self.table.visible = bool(lines)
        while len(self.rows) < len(lines):
            self.rows.append(self._row())
        for (row, labels), line in zip(self.rows, lines, strict=False):
            row.visible = True
            for label, words in zip(labels, cells(line, self.who), strict=True):
                label.text = words
        for row, _ in self.rows[len(lines) :]:
            row.visible = False

    def away(self, trouble: str) -> None:
        self.empty.text, self.empty.visible = trouble, True
        self.table.visible = False

    def _row(self) -> tuple[ui.element, list[ui.label]]:
        with self.body, ui.element("tr") as row:
            labels = []
            for _ in COLUMNS:
                with ui.element("td"):
                    labels.append(ui.label(""))
        return row, labels


def cells(line: Any, who: Viewer) -> tuple[str, ...]:
    """PURE: what a row of the table says."""
    mark = MARKS.get(line.outcome, "…")
    detail = f": {line.detail}" if line.detail else ""
    at = who.clock(line.at, "%d %b %H:%M:%S")
    return (
        at,
        line.who,
        line.address,
        f"{line.action}, {line.subject}",
        f"{mark} {line.outcome}{detail}",
    )
