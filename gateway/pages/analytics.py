"""Analytics."""

from __future__ import annotations

from fastapi import Request
from nicegui import ui

from gateway.face import Face
from gateway.pages import frame


def add(face: Face) -> None:
    """The page at ``/dashboard/analytics``."""

    @ui.page("/analytics")
    async def show(request: Request) -> None:
        with frame.page("Analytics", request), ui.element("div").classes("cards"):
            ui.label(face.settings.topic_prefix or "no prefix").classes("card")
