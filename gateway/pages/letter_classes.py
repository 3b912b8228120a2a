"""The card of dead letters: how many of each class wait, and sending a class back."""

from __future__ import annotations

from collections import Counter
from functools import partial

from nicegui import ui

from gateway.actions import Actions, told
from gateway.escaping import printable
from gateway.numerals import plural
from gateway.pages.controls import button
from gateway.pages.doing import Doing, off_loop
from gateway.pages.parts import heading

ABOUT = "What could not be processed waits here, and can go back to its topic after a fix."
NONE_OPEN = "No letter waits: all that failed was sent back, or nothing has failed."
MOST_CLASSES = 20


class LetterClasses:
    """Counted when asked for, because that reads all letters."""

    def __init__(self, doing: Doing, actions: Actions) -> None:
        self.doing, self.actions = doing, actions
        self._counting = False
        with ui.element("section").classes("card"):
            heading("Dead letters")
            self.words = ui.label(ABOUT).classes("two-lines").props("role=status aria-live=polite")
            button("Count those that wait", self.count)
            self.list = ui.element("ul").classes("classes")
            doing.place()

    async def count(self) -> None:
        """Read the letters, and list their classes."""
        if self._counting:
            return
        self._counting, self.words.text = True, "Reading the letters …"
        try:
            found = await off_loop(self.actions.open_letters)
        except Exception as error:
            self._say(told(error), Counter())
        else:
            total = plural(sum(found.values()), "letter")
            self._say(f"{total} not sent back yet." if found else NONE_OPEN, found)
        finally:
            self._counting = False

    def _say(self, words: str, found: Counter[str]) -> None:
        if self.list.is_deleted:
            return
        self.words.text = words
        self.list.clear()
        with self.list:
            for cause, waiting in found.most_common(MOST_CLASSES):
                self._row(cause, waiting)

    def _row(self, cause: str, waiting: int) -> None:
        name = printable(cause) or "no class"
        with ui.element("li"):
            ui.label(f"{name}: {plural(waiting, 'letter')}")
            act = button("Send back", partial(self._send_back, cause))
            act.props["aria-label"] = f"Send back letters of class {name}"

    async def _send_back(self, cause: str) -> None:
        await self.doing.ask(lambda: self.actions.offer_redrive(cause))
        if self.list.default_slot.children:
            await self.count()
