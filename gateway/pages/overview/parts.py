"""Small elements of the overview that change in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nicegui import ui

from gateway.pages import charts, parts
from gateway.pages.frame import Viewer
from gateway.pages.overview.words import READING, Said
from gateway.pages.parts import state


@contextmanager
def card(heading: str, classes: str = "") -> Iterator[ui.element]:
    """A card with its heading."""
    with ui.element("section").classes(f"card {classes}") as found:
        parts.heading(heading)
        yield found


def sentence(text: str) -> None:
    """Words in which `what is to be typed` looks like it."""
    with ui.element("p").classes("words"):
        for place, part in enumerate(text.split("`")):
            if part:
                ui.label(part).classes("typed" if place % 2 else "inline")


class Fact:
    """A big value, its words, and more of them in a softer tone."""

    def __init__(self, lines: int = 2) -> None:
        self.big = ui.label("–").classes("big")
        self.words = ui.label(READING).classes(f"lines-{lines}")
        self.more = ui.label("").classes(f"soft lines-{lines}")

    def show(self, said: Said) -> None:
        self.big.text, self.words.text, self.more.text = said.big, said.words, said.more
        state(self.big, said.state)

    def absent(self, why: str) -> None:
        self.show(Said("–", why))


class Plot:
    """A chart of named series, and words in its place where there is nothing to draw."""

    def __init__(self, who: Viewer, name: str, options: dict[str, Any]) -> None:
        self._data: Mapping[str, list[Any]] = {}
        with ui.element("div").classes("plot"):
            legend = {"textStyle": {"color": charts.SOFT[who.dark]}, "top": 0}  # with dashes
            self.chart = charts.chart(who, name, {"legend": legend, **options})
            self.none = ui.label(READING).classes("none").props('role="status"')

    def show(self, data: Mapping[str, list[Any]], empty: str) -> None:
        """Data by the id of its series; looked through and sent only where it changed."""
        if data is not self._data:
            self._data = data
            for series in self.chart.options["series"]:
                points = data.get(series["id"], [])
                if series["data"] != points:
                    series["data"] = points
        self.none.text = "" if any(data.values()) else empty
