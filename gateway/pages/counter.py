"""The counter as dots, and what became of the training that was asked for last."""

from __future__ import annotations

import asyncio
from typing import Any

from nicegui import ui
from sqlalchemy import select

from gateway.face import PAGE_SECONDS, Face
from gateway.kept import Kept
from gateway.pages import phrases
from gateway.pages.frame import Viewer
from gateway.pages.trouble import tried
from gateway.problems import store_away
from schemas.tables import train_requests

MOST_DOTS = 20
SECONDS = 1.0
Seen = tuple[phrases.Dots, dict[str, Any] | None]


def reading(face: Face) -> Kept[Seen]:
    """The counter and its last train-request, for all viewers of a gateway."""

    def read() -> Seen:
        dots = phrases.Dots.of(face.tasks.counter())
        columns = (train_requests.c.state, train_requests.c.version)
        query = select(*columns).where(train_requests.c.request_id == f"count-{dots.asked_at}")
        with face.tasks.engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return dots, None if row is None else row._asdict()

    return Kept(read, SECONDS)


class Counter:
    """A card; ``refresh`` brings it up to date."""

    def __init__(self, face: Face, who: Viewer, kept: Kept[Seen]) -> None:
        self.face, self.who, self.kept = face, who, kept
        with ui.element("section").classes("card"):
            ui.label("Next training").classes("heading").props('role="heading" aria-level="2"')
            self.dots = ui.element("div").classes("practice-dots").props('role="img"')
            self.words = ui.label("Reading the counter.").classes("soft two-lines")
            self.training = ui.label("").classes("soft two-lines").props('role="status"')

    async def refresh(self, number: int = 0) -> None:
        """``number`` is a completion's that is known to be counted."""
        seen, trouble = await tried(self.face, self.who, self._newest())
        if seen is not None and seen[0].total < number:
            self.kept.forget()
            seen, trouble = await tried(self.face, self.who, self._newest())
        if self.dots.is_deleted:
            return
        if seen is None:
            self.words.text = trouble
            return
        dots, request = seen
        self._fill(dots)
        self.words.text = f"{dots.words()}."
        self.training.text = phrases.training(dots.asked_at, request)

    async def _newest(self) -> Seen:
        """What can be had in time: a page goes on while the store is silent."""
        try:
            return await asyncio.wait_for(self.kept.get(), PAGE_SECONDS)
        except TimeoutError:
            raise store_away() from None

    def _fill(self, dots: phrases.Dots) -> None:
        self.dots.props["aria-label"] = f"{dots.filled} of {dots.every}"
        every = dots.every if dots.every <= MOST_DOTS else 0
        if len(list(self.dots)) != every:
            self.dots.clear()
            with self.dots:
                for _ in range(every):
                    ui.element("span").classes("dot")
        for place, dot in enumerate(self.dots):
            dot.classes(**{"add" if place < dots.filled else "remove": "filled"})
