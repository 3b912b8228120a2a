"""The pages for people, live over NiceGUI's websocket, below ``/dashboard`` on the gateway's app.

Everything that a page needs is served from installed packages.
"""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from nicegui import ui

from gateway import exports
from gateway.face import Face
from gateway.pages import analytics, dashboard, frame, preparation, settings, sign_in, tasks
from gateway.views import Views

ROOT = "/dashboard"


def install(app: FastAPI, face: Face) -> None:
    """Add the pages to the gateway's app."""
    for each in (dashboard, tasks, preparation, settings):
        each.add(face)
    views = Views(face)
    analytics.add(views)
    exports.add(app, views)
    sign_in.add(app, face)

    @app.get(ROOT, include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse(f"{ROOT}/")

    ui.run_with(
        app,
        mount_path=ROOT,
        title="Retrace",
        favicon=frame.ICON,
        dark=None,
        language="en-US",
        tailwind=False,
        show_welcome_message=False,
    )
