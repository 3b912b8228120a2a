"""The overview: the loop at a glance, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from fastapi import Request
from nicegui import app, ui

from gateway.face import Face
from gateway.pages import counter, frame, parts
from gateway.pages.overview.condition import Alarm, Errors, Lag, Letters, Services
from gateway.pages.overview.history import Live, Traffic, Versions
from gateway.pages.overview.loop import Losses, Serving, Training
from gateway.pages.overview.snapshot import Overview, Snapshot


class Card(Protocol):
    """What stands on the page, and changes in place."""

    def show(self, seen: Snapshot) -> None: ...


_LOOK = (Path(__file__).parent / "overview" / "overview.css").read_text()


def add(face: Face) -> None:
    """The page at ``/dashboard/``; all who look share what it shows."""
    overview = Overview(face.settings, face.tasks.engine, face.lags)
    counting = counter.reading(face)
    app.on_shutdown(overview.close)

    @ui.page("/")
    async def show(request: Request) -> None:
        with frame.page("Overview", request) as who:
            parts.head()
            ui.add_head_html(f"<style>{_LOOK}</style>")
            with ui.element("div").classes("cards"):
                alarm, dots = Alarm(who), counter.Counter(face, who, counting)
                cards: list[Card] = [
                    alarm, Training(), Serving(), Traffic(who), Losses(who), Versions(who),
                    Live(who), Services(who), Lag(), Letters(), Errors(who),
                ]  # fmt: skip

        async def refresh() -> None:
            seen = await overview.snapshot()
            if not dots.dots.is_deleted:
                for card in cards:
                    card.show(seen)
                await dots.refresh()

        frame.pulse(refresh)
