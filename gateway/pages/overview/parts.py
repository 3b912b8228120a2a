"""Small elements of the overview that change in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from nicegui import ui

from gateway.pages import charts, parts
from gateway.pages.frame import Viewer
from gateway.pages.overview.words import READING, Said

STATES = ("good", "warn", "bad")
Cell = tuple[str, str]  # text and css class


@contextmanager
def card(heading: str, classes: str = "") -> Iterator[ui.element]:
    """A card with its heading."""
    with ui.element("section").classes(f"card {classes}") as found:
        parts.heading(heading)
        yield found


def state(element: ui.label, name: str) -> None:
    """Give an element the class of this state, and of no other."""
    element.classes(add=name, remove=" ".join(each for each in STATES if each != name))


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


class Rows:
    """A small table; rebuilt only where its number of rows changes."""

    def __init__(self, name: str, heads: Sequence[str], empty: str = "") -> None:
        self.empty, self.labels = empty, list[list[ui.label]]()
        self.none = ui.label(READING).classes("soft")
        self.table = (
            ui.element("div")
            .classes("scrolls gone")
            .props(f'tabindex=0 role="region" aria-label="{name}"')
        )
        with self.table, ui.element("table").classes("plain"):
            with ui.element("thead"), ui.element("tr"):
                for head in heads:
                    with ui.element("th").props("scope=col"):
                        ui.label(head)
            self.body = ui.element("tbody")

    def show(self, rows: Sequence[Sequence[Cell]], why: str = "") -> None:
        """These rows, and ``why`` there are none, or not all."""
        self.none.text = why or ("" if rows else self.empty)
        self.none.classes(**{"remove" if self.none.text else "add": "gone"})
        self.table.classes(**{"remove" if rows else "add": "gone"})
        if len(rows) != len(self.labels):
            self._build(rows)
        for labels, cells in zip(self.labels, rows, strict=True):
            for label, (text, name) in zip(labels, cells, strict=True):
                label.text = text
                state(label, name)

    def _build(self, rows: Sequence[Sequence[Cell]]) -> None:
        self.body.clear()
        self.labels = []
        with self.body:
            for cells in rows:
                with ui.element("tr"):
                    self.labels.append([_cell() for _ in cells])


def _cell() -> ui.label:
    with ui.element("td"):
        return ui.label("")


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
