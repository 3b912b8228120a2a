"""Doing something from a page: asked for first, by whoever may, and what came of it said calmly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import anyio
from fastapi import Request
from nicegui import ui

from gateway.actions import Actions, Offer, told
from gateway.audit import DONE, Actor
from gateway.face import Face
from gateway.pages.sign_in import client
from gateway.sessions import session_of

P = ParamSpec("P")
T = TypeVar("T")
AT_ONCE = 4  # threads of all actions together, so that calls keep theirs
SIGN_IN = "To do this, sign in with one of the API keys: load this page again."
LOOKING = "Looking what would happen …"
_threads = anyio.CapacityLimiter(AT_ONCE)


async def off_loop(work: Callable[[], T]) -> T:
    """Something that blocks, in one of the few threads for it; it ends though the page is left."""
    return await anyio.to_thread.run_sync(work, limiter=_threads, abandon_on_cancel=True)


class Doing:
    """A dialog that says what will happen; ``after`` is called when it has. ``place`` puts the
    notice at the end of a card."""

    def __init__(
        self, face: Face, actions: Actions, request: Request, after: Callable[[], Awaitable[None]]
    ) -> None:
        self.face, self.actions, self.after = face, actions, after
        self.session, self.address = session_of(request), client(request)
        self._busy = False

    def place(self) -> None:
        """The notice here, and the dialog."""
        self.notice = ui.label("").classes("notice").props("role=status aria-live=polite")
        self.dialog = ui.dialog()
        title_id = f"asked-{self.dialog.id}"
        self.dialog.props(f'aria-labelledby="{title_id}"')
        with self.dialog, ui.element("div").classes("card asks"):
            title = ui.label("").classes("asked")
            self._title = title.props(f'id="{title_id}" role=heading aria-level=2')
            self._words = ui.label("").classes("lines")
            with ui.element("div").classes("buttons"):
                cancel = ui.button("Cancel", on_click=lambda: self.dialog.submit(False))
                cancel.props("flat no-caps autofocus")
                self._go = ui.button("", on_click=lambda: self.dialog.submit(True))
                self._go.props("unelevated no-caps")

    async def ask(self, make: Callable[[], Offer]) -> None:
        """Say what would happen; where that is wanted, do it."""
        if self._busy:
            return
        self._busy = True
        try:
            await self._asked(make)
        except Exception as error:
            self.say(told(error), "bad")
        finally:
            self._busy = False

    async def _asked(self, make: Callable[[], Offer]) -> None:
        if not self.may():
            self.say(SIGN_IN, "warn")
            return
        self.say(LOOKING)
        offer = await off_loop(make)
        self.say("")
        if await self._confirmed(offer):
            await self._do(offer)

    async def _confirmed(self, offer: Offer) -> bool:
        self._title.text, self._words.text = f"{offer.button}?", "\n".join(offer.words)
        self._go.text = offer.button
        return bool(await self.dialog)

    async def _do(self, offer: Offer) -> None:
        if not self.may():
            self.say(SIGN_IN, "warn")
            return
        self.say(f"{offer.button}: under way …")
        done = await off_loop(lambda: self.actions.perform(offer, self._actor()))
        self.say(done.words, "good" if done.outcome == DONE else "bad")
        await self.after()

    def may(self) -> bool:
        """Whether this viewer may act: anybody where no keys are set, else who is signed in."""
        if not self.face.keys:
            return True
        return self.session is not None and self.face.sessions.lives(self.session)

    def say(self, words: str, tone: str = "soft") -> None:
        """Tell the viewer, who may have left."""
        if not self.notice.is_deleted:
            mark = {"good": "✓ ", "bad": "✗ "}.get(tone, "")
            self.notice.text = mark + words if words else ""
            self.notice.classes(replace=f"notice {tone}")

    def _actor(self) -> Actor:
        who = "no keys set" if self.session is None else f"key {self.session.key}"
        return Actor(who, self.address)
