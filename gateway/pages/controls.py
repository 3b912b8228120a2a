"""The card of trainings and versions: which version serves, and four things to do about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from gateway.actions import Actions
from gateway.pages.doing import Doing
from gateway.pages.frame import Viewer
from gateway.pages.parts import heading
from training.revisions import Revision

NONE_YET = "No version serves yet: the first comes with the first training."
NO_NUMBER = "Type the number of a version, such as 12. See `retrace models list`."


class Controls:
    """``show`` and ``away`` say how it stands."""

    def __init__(self, who: Viewer, doing: Doing, actions: Actions) -> None:
        self.who, self.doing, self.actions = who, doing, actions
        with ui.element("section").classes("card"):
            heading("Training and versions")
            self.standing = ui.label("").classes("two-lines")
            button("Train now", lambda: doing.ask(actions.offer_training))
            with ui.element("div").classes("with-button"):
                self.version = ui.input("Version").props("outlined dense inputmode=numeric")
                self.version.on("keydown.enter", self._promote)
                button("Promote", self._promote)
            with ui.element("div").classes("with-button"):
                button("Roll back", lambda: doing.ask(actions.offer_rollback))
                button("Release", lambda: doing.ask(actions.offer_release))
            doing.place()

    async def _promote(self) -> None:
        version = number(str(self.version.value or ""))
        if version is None:
            self.doing.say(NO_NUMBER, "warn")
            return
        await self.doing.ask(lambda: self.actions.offer_promotion(version))

    def show(self, current: Revision | None) -> None:
        self.standing.text = standing(current, self.who)

    def away(self, trouble: str) -> None:
        self.standing.text = trouble


def standing(current: Revision | None, who: Viewer) -> str:
    """PURE: which version serves, since when, and whether it is held."""
    if current is None:
        return NONE_YET
    since = who.clock(current.at, "%d %b %H:%M:%S")
    held = "It is held: later ones wait." if current.holds else "The next good one follows it."
    return f"Version {current.version} serves since {since}. {held}"


def number(text: str) -> int | None:
    """PURE: the number of a version as people write it, or None."""
    plain = text.strip().removeprefix("v")
    if not (plain.isascii() and plain.isdigit() and len(plain) <= 10):
        return None
    return int(plain) if 0 < int(plain) < 2**31 else None


def button(words: str, act: Callable[[], Awaitable[None]]) -> ui.button:
    """A button that asks before it does anything."""
    return ui.button(words, on_click=act).props("outline no-caps").classes("act")
