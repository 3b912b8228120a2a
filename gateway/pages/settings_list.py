"""The card of the settings in force, searchable by name, value, meaning and source."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from gateway.in_force import Row
from gateway.pages.parts import heading
from schemas.settings import PREFIX, Settings

ABOUT = "Read from the environment when a service starts: change one there, and start it again."


class SettingsList:
    """All rows are there; a search hides those that it does not find."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows: list[tuple[str, ui.element]] = []
        with ui.element("section").classes("card wide"):
            heading("Settings in force")
            ui.label(ABOUT).classes("soft")
            with ui.element("div").classes("search"):
                field = ui.input("Search settings", on_change=self._search)
                field.props("outlined dense clearable debounce=150 type=search")
                self.found = ui.label("").classes("soft").props("role=status aria-live=polite")
            with ui.element("dl").classes("settings"):
                for row in rows:
                    self.rows.append((text_of(row), _element(row)))
        self._count(len(rows))

    def _search(self, event: ValueChangeEventArguments[str | None]) -> None:
        words = (event.value or "").casefold().split()
        matching = 0
        for text, element in self.rows:
            element.visible = all(word in text for word in words)
            matching += element.visible
        self._count(matching)

    def _count(self, matching: int) -> None:
        self.found.text = f"{matching} of {len(self.rows)} settings" if matching else "None found."


def meaning(row: Row) -> str:
    """PURE: a setting's description."""
    field = Settings.model_fields[row.variable.removeprefix(PREFIX).lower()]
    return (field.description or "").replace("`", "")


def text_of(row: Row) -> str:
    """PURE: all that a search looks through; a secret's mask is all that there is of it."""
    return f"{row.variable} {row.value} {row.source} {meaning(row)}".casefold()


def _element(row: Row) -> ui.element:
    with ui.element("div").classes(f"setting {'' if row.source == 'default' else 'given'}") as made:
        with ui.element("dt"):
            ui.label(row.variable).classes("variable")
            ui.label(meaning(row)).classes("soft meaning")
        with ui.element("dd"):
            ui.label(row.value or "–").classes("value")
        with ui.element("dd"):
            ui.label(row.source).classes("source")
    return made
