"""A small table that changes in place, and words where it is empty."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nicegui import ui

from gateway.pages.parts import state

Cell = tuple[str, str]  # text and css class


class Rows:
    """Rebuilt only where its number of rows changes. ``first`` stands there until it is shown,
    ``empty`` where there are no rows; ``look`` and ``tone`` are CSS classes."""

    def __init__(
        self, name: str, heads: Sequence[str], *, first: str = "Reading …", empty: str = "",
        look: str = "scrolls", tone: str = "soft",
    ) -> None:  # fmt: skip
        self.empty, self.labels = empty, list[list[ui.label]]()
        self.none = ui.label(first).classes(tone)
        region = f'tabindex=0 role="region" aria-label="{name}"'
        self.table = ui.element("div").classes(look).props(region)
        with self.table, ui.element("table").classes("plain"):
            with ui.element("thead"), ui.element("tr"):
                for head in heads:
                    with ui.element("th").props("scope=col"):
                        ui.label(head)
            self.body = ui.element("tbody")
        self.table.visible = False

    @property
    def is_deleted(self) -> bool:
        """Whether the viewer has left."""
        return self.body.is_deleted

    def show(self, rows: Sequence[Sequence[Cell]], why: str = "") -> None:
        """These rows, and ``why`` there are none, or not all."""
        self.none.text = why or ("" if rows else self.empty)
        self.none.visible, self.table.visible = bool(self.none.text), bool(rows)
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


def plain(texts: Iterable[str]) -> list[Cell]:
    """Cells without a class."""
    return [(text, "") for text in texts]


def _cell() -> ui.label:
    with ui.element("td"):
        return ui.label("")
