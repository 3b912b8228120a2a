"""The card of what was done from these pages, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nicegui import ui

from gateway.audit import DONE, FAILED
from gateway.pages.frame import Viewer
from gateway.pages.parts import heading
from gateway.pages.rows import Rows, plain

NAME = "What was done from here"
MOST_LINES = 50
COLUMNS = ("When", "Who", "From", "Action", "Outcome")
EMPTY = "Whatever is done with the buttons above appears here: who, when, what, and its outcome."
MARKS = {DONE: "✓", FAILED: "✗"}


class AuditList:
    """The newest lines."""

    def __init__(self, who: Viewer) -> None:
        self.who = who
        with ui.element("section").classes("card wide"):
            heading(NAME)
            self.rows = Rows(NAME, COLUMNS, empty=EMPTY, look="audit", tone="empty")

    def show(self, lines: Sequence[Any]) -> None:
        self.rows.show([plain(cells(line, self.who)) for line in lines])

    def away(self, trouble: str) -> None:
        self.rows.show((), trouble)


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
