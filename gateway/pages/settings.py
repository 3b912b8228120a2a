"""Settings: what is in force and where it comes from, and what operators do about the system."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Request
from nicegui import ui
from sqlalchemy import Row

from gateway import in_force
from gateway.actions import Actions
from gateway.face import Face
from gateway.kept import Kept
from gateway.pages import frame
from gateway.pages.audit_list import MOST_LINES, AuditList
from gateway.pages.controls import Controls
from gateway.pages.doing import Doing
from gateway.pages.letter_classes import LetterClasses
from gateway.pages.settings_list import SettingsList
from gateway.pages.signed_in import signed_in
from gateway.pages.trouble import tried
from schemas.settings import load
from training.revisions import Revision

STYLE = (Path(__file__).parent / "settings.css").read_text()
KEPT_SECONDS = 1.0


@dataclass(frozen=True)
class Standing:
    """What every viewer sees: which version serves, and the newest lines of the audit."""

    current: Revision | None
    lines: list[Row[Any]]


def add(face: Face) -> None:
    """The page at ``/dashboard/settings``."""
    actions = Actions(face.settings, face.tasks.engine, face.link.patience.stop)
    standing = Kept(lambda: _standing(actions), KEPT_SECONDS)
    rows = in_force.rows(load(), face.settings)

    @ui.page("/settings")
    async def show(request: Request) -> None:
        with frame.page("Settings", request) as who:
            ui.add_head_html(f"<style>{STYLE}</style>")
            signed_in(face, who, request)
            frame.pulse(Page(face, who, request, actions, standing).beat)
            SettingsList(rows)


def _standing(actions: Actions) -> Standing:
    return Standing(actions.current(), actions.audit.newest(MOST_LINES))


class Page:
    """One viewer's page."""

    def __init__(
        self, face: Face, who: frame.Viewer, request: Request,
        actions: Actions, standing: Kept[Standing],
    ) -> None:  # fmt: skip
        self.face, self.who, self.standing = face, who, standing
        with ui.element("div").classes("cards"):
            self.controls = Controls(who, Doing(face, actions, request, self.acted), actions)
            LetterClasses(Doing(face, actions, request, self.acted), actions)
        self.audit = AuditList(who)

    async def acted(self) -> None:
        """Show at once what was done."""
        self.standing.forget()
        await self.beat()

    async def beat(self) -> None:
        """What may change without the viewer."""
        found, trouble = await tried(self.face, self.who, self.standing.get())
        if found is None:
            self.controls.away(trouble)
            self.audit.away(trouble)
        else:
            self.controls.show(found.current)
            self.audit.show(found.lines)
