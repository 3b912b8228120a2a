"""The line that says who is signed in, with a way out."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import Request
from nicegui import ui

from gateway.face import Face
from gateway.hosts import SIGN_OUT
from gateway.pages.frame import Viewer
from gateway.sessions import session_of


def signed_in(face: Face, who: Viewer, request: Request) -> None:
    """Nothing where no keys are set. The form needs no script."""
    session = session_of(request)
    if not face.keys:
        return
    with ui.element("div").classes("session"):
        if session is None:
            ui.label("A key was sent with this call; to act, sign in.").classes("soft")
            return
        until = who.clock(datetime.fromtimestamp(session.until, UTC), "%H:%M")
        ui.label(f"Signed in with key {session.key} until {until}.").classes("soft")
        form = ui.element("form").props(f'method=post action="{SIGN_OUT}"')
        with form, ui.element("button").props("type=submit").classes("plain-button"):
            ui.label("Sign out")
