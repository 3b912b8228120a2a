"""Preparation."""

from __future__ import annotations

from fastapi import Request
from nicegui import ui

from gateway.face import Face
from gateway.pages import frame


def add(face: Face) -> None:
    """The page at ``/dashboard/preparation``."""

    @ui.page("/preparation")
    async def show(request: Request) -> None:
        with frame.page("Preparation", request), ui.element("div").classes("cards"):
            ui.label(face.settings.topic_prefix or "no prefix").classes("card")
