"""A learner's newest tasks, each prediction beside its outcome."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from gateway import learners
from gateway.face import PAGE_SECONDS, Face, stored
from gateway.pages import phrases
from gateway.pages.frame import Viewer
from gateway.pages.parts import heading
from gateway.pages.rows import Rows, plain
from gateway.pages.trouble import tried

MOST = 10
EMPTY = "Tasks that this learner is given or completes appear here."
COLUMNS = ("When", "Topic, difficulty", "Predicted", "Outcome")


class LastTasks:
    """A card; ``refresh`` reads one learner's."""

    def __init__(self, face: Face, who: Viewer) -> None:
        self.face, self.who = face, who
        self.away = False
        with ui.element("section").classes("card wide"):
            heading("Last tasks")
            first = "Choose a learner: the last tasks appear here."
            self.rows = Rows(
                "Last tasks", COLUMNS, first=first, empty=EMPTY, look="scroll", tone="empty"
            )

    async def refresh(self, user_id: str) -> None:
        read = stored(learners.newest, self.face.tasks.engine, user_id, MOST, seconds=PAGE_SECONDS)
        rows, trouble = await tried(self.face, self.who, read)
        if self.rows.is_deleted:
            return
        self.away = rows is None
        self.rows.show([plain(cells(row, self.who)) for row in rows or ()], trouble)


def cells(row: Any, who: Viewer) -> tuple[str, ...]:
    """PURE: what a row of the table says."""
    at = who.clock(row.created_at, "%d %b %H:%M:%S")
    return at, f"{row.topic}, {row.difficulty}", _predicted(row), _went(row)


def _predicted(row: Any) -> str:
    if row.predicted_correct is None:
        return "–"
    version = "" if row.model_version is None else f" {row.model_version}"
    chance, time = phrases.percent(row.predicted_correct), row.predicted_time_seconds
    return f"{chance}, {phrases.seconds(time)} ({row.source}{version})"


def _went(row: Any) -> str:
    if row.is_correct is None:
        return "not answered"
    return (
        f"{'✓ right' if row.is_correct else '✗ wrong'}, {phrases.seconds(row.actual_time_seconds)}"
    )
