"""Analytics: how good predictions were, how learners get on, and what answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio
from fastapi import Request
from nicegui import ui

from gateway import filters
from gateway.analytics import View
from gateway.filters import Filters
from gateway.pages import frame, phrasing, plots, rivals, timelines
from gateway.pages.filtering import NAMES, Fields
from gateway.pages.panel import Panel
from gateway.pages.trouble import tried
from gateway.views import Views

FIRST_SECONDS = 0.25
SECONDS = 30.0  # as often as predictions are scored
LOOK = (Path(__file__).parent / "analytics.css").read_text()


def add(views: Views) -> None:
    """The page at ``/dashboard/analytics``."""

    @ui.page("/analytics")
    async def show(request: Request) -> None:
        with frame.page("Analytics", request) as who:
            ui.add_head_html(f"<style>{LOOK}</style>")
            page = Analytics(views, who)
            page.build(*filters.read(request.query_params))
            with anyio.move_on_after(FIRST_SECONDS):  # nothing moves when it comes with the page
                await page.refresh()
            frame.pulse(page.refresh, SECONDS)


class Analytics:
    """One viewer's page."""

    def __init__(self, views: Views, who: frame.Viewer) -> None:
        self.views, self.who = views, who
        self.shown: View | None = None

    def build(self, now: Filters, wrong: list[str]) -> None:
        """Filters and empty panels."""
        with ui.element("section").classes("card").props('aria-label="Filters"'):
            self.fields = Fields(now, self.refresh)
            self.note = ui.label("Reading …").classes("soft").props("role=status")
            left_out = " and ".join(NAMES[name] for name in wrong if name in NAMES)
            self.left_out = f"The address names no {left_out} that can be; it is left out. "
            self.left_out = self.left_out if left_out else ""
        with ui.element("div").classes("cards pairs"):
            self.panels = {
                name: Panel(self.who, title, sheet, empty, wide=name in phrasing.WIDE)
                for name, (title, sheet, empty) in phrasing.PANELS.items()
            }
            with self.panels["arms"].below:
                self.table = ui.element("table").classes("plain")
                self.table.props('aria-label="Champion against challenger" tabindex=0')

    async def refresh(self) -> None:
        """Show the newest of what the filters let through."""
        now = self.fields.now
        for panel in self.panels.values():
            panel.at(now.query())
        view, trouble = await tried(self.views.face, self.who, self.views.get(now))
        if now != self.fields.now or self.note.is_deleted:
            return
        if view is None:
            self.note.text = trouble
            for panel in self.panels.values():
                panel.fail(trouble)
        elif view is not self.shown:
            self.shown = view
            self.note.text = self.left_out + phrasing.summary(self.who, view)
            self._fill(view)
        await self._offer(now)

    async def _offer(self, now: Filters) -> None:
        """Complete learners and topics to those of everybody's newest tasks."""
        of_all, _ = await tried(self.views.face, self.who, self.views.get(Filters(last=now.last)))
        if of_all is not None and not self.note.is_deleted:
            self.fields.offer("user", sorted(set(of_all.rows.user)))
            self.fields.offer("topic", sorted(set(of_all.rows.topic) - {""}))

    def _fill(self, view: View) -> None:
        who, rows, some = self.who, view.rows, bool(len(view.rows))
        learned = bool(view.curves)
        options = {
            "reliability": (plots.reliabilities(who, view.bins), bool(view.bins)),
            "times": (plots.times(who, rows), some),
            "log_loss": (timelines.scores(who, view, "log_loss", "log loss, nats"), some),
            "auc": (timelines.scores(who, view, "auc", "AUC"), view.has_auc),
            "sources": (timelines.sources(who, view), bool(view.over_time)),
            "arms": (rivals.options(who, view.comparison), view.comparison is not None),
            "success": (
                timelines.learning(who, view, "success", "share right", min=0, max=1), learned,
            ),
            "seconds": (timelines.learning(who, view, "seconds", "seconds", min=0), learned),
        }  # fmt: skip
        notes = phrasing.notes(view)
        for name, (made, there) in options.items():
            self.panels[name].fill(made, notes[name], some=there)
        self._tell_arms(view)

    def _tell_arms(self, view: View) -> None:
        self.table.clear()
        self.table.visible = view.comparison is not None
        with self.table:
            _row("th", rivals.COLUMNS)
            for row in rivals.rows(view.comparison):
                _row("td", row)


def _row(kind: str, cells: Sequence[str]) -> None:
    with ui.element("tr"):
        for words in cells:
            with ui.element(kind):
                ui.label(words)
