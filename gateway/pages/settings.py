"""Settings: those in force, and what an operator may do, behind a confirmation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import structlog
from fastapi import Request
from nicegui import ui

from gateway import in_force, requests
from gateway.face import Face
from gateway.models import Models
from gateway.pages import frame, parts
from gateway.pages.trouble import tried
from schemas import settings as words
from schemas.errors import RetraceError

log = structlog.get_logger("retrace")
Work = Callable[[], str]


def add(face: Face) -> None:
    """The page at ``/dashboard/settings``."""
    rows = in_force.rows(words.load(), face.settings)

    @ui.page("/settings")
    async def show(request: Request) -> None:
        with frame.page("Settings", request) as who:
            Actions(face, who, request.client.host if request.client else "unknown")
            _table(rows)


class Actions:
    """Buttons; each says what it will do, asks, does it, and leaves a line in the log."""

    def __init__(self, face: Face, who: frame.Viewer, address: str) -> None:
        self.face, self.who, self.address = face, who, address
        with ui.element("section").classes("card"):
            parts.heading("Actions")
            with ui.element("div").classes("actions"):
                self._button(
                    "Train now", "Ask for a training on all that is recorded?", self._train
                )
                self._button(
                    "Roll back", "Serve the version before this one, and hold it?", self._back
                )
                self._button(
                    "Release", "Let the newest version serve, and those after it?", self._free
                )
                self.version = ui.number("Version", min=1, precision=0).props("outlined dense")
                self._button("Promote", "Serve this version, and hold it?", self._promote)
            self.said = ui.label(" ").classes("soft two-lines").props('role="status"')

    def _button(self, name: str, question: str, work: Work) -> None:
        async def asked() -> None:
            if await self._confirmed(name, question):
                await self._do(name, work)

        ui.button(name, on_click=asked).props("outline no-caps")

    async def _confirmed(self, name: str, question: str) -> bool:
        with ui.dialog() as dialog, ui.element("div").classes("card"):
            ui.label(question)
            with ui.element("div").classes("actions"):
                ui.button(name, on_click=lambda: dialog.submit(True)).props("no-caps")
                cancel = ui.button("Cancel", on_click=lambda: dialog.submit(False))
                cancel.props("flat no-caps")
        answer = bool(await dialog)
        dialog.delete()
        return answer

    async def _do(self, name: str, work: Work) -> None:
        self.said.text = f"{name}: under way."
        outcome, trouble = await tried(self.face, self.who, anyio.to_thread.run_sync(work))
        self.said.text = outcome or trouble
        log.info("operator's action", action=name, by=self.address, outcome=self.said.text)

    def _train(self) -> str:
        now = datetime.now(UTC)
        wanted = requests.request(self.face.settings, now, self.face.tasks.engine)
        requests.publish(self.face.settings, wanted)
        return f"{wanted.request_id} asks for a training on {wanted.completions:,} completions."

    def _back(self) -> str:
        return self._changed(lambda models: models.changing().rollback())

    def _free(self) -> str:
        return self._changed(lambda models: models.changing().release())

    def _promote(self) -> str:
        if self.version.value is None:
            raise RetraceError("Say which version is to serve.")
        return self._changed(lambda models: models.changing().promote(int(self.version.value)))

    def _changed(self, change: Callable[[Models], Any]) -> str:
        models = Models(self.face.settings, self.face.tasks.engine)
        return models.words(models.announce(change(models)))


def _table(rows: list[in_force.Row]) -> None:
    with ui.element("section").classes("card wide"):
        parts.heading("In force")
        with ui.element("div").style("overflow-x: auto").props('tabindex="0"'):
            columns = [
                {"name": name, "label": label, "field": name, "align": "left", "sortable": True}
                for name, label in (("variable", "Setting"), ("value", "Value"), ("source", "From"))
            ]
            found = [
                {"variable": row.variable, "value": row.value or "–", "source": row.source}
                for row in rows
            ]
            table = ui.table(columns=columns, rows=found, row_key="variable")
            table.props("flat dense").classes("settings")
