"""The analytics' filters as fields, and as the page's address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from nicegui import ui

from gateway import filters
from gateway.filters import Filters

LASTS = {"hour": "last hour", "day": "last day", "week": "last week", "month": "last 30 days"}
NAMES = {"user": "learner", "topic": "topic", "version": "version", "last": "time"}
OFFERED = 50


class Fields:
    """What to look at; ``changed`` is called with every new choice."""

    def __init__(self, now: Filters, changed: Callable[[], Awaitable[None]]) -> None:
        self.now, self.changed = now, changed
        self._fields: dict[str, Any] = {}
        with ui.element("div").classes("filters"):
            self._text("user", "Learner")
            self._text("topic", "Topic")
            self._text("version", "Model version")
            last = ui.select(LASTS, value=now.last, label="Time").props("outlined dense")
            self._fields["last"] = last.on_value_change(self._take)
            ui.button("Show all", on_click=self._clear).props("flat no-caps")

    def _text(self, name: str, label: str) -> None:
        value = getattr(self.now, name)
        field = ui.input(label, value="" if value is None else str(value))
        field.props("outlined dense clearable autocomplete=off spellcheck=false maxlength=128")
        field.on("change", self._take, []).on("clear", self._take, [])
        self._fields[name] = field

    def offer(self, name: str, known: Iterable[str]) -> None:
        """Complete what is typed to one of these."""
        self._fields[name].set_autocomplete(list(known)[:OFFERED])

    async def _clear(self) -> None:
        for name, field in self._fields.items():
            field.value = filters.USUAL if name == "last" else ""
        await self._take()

    async def _take(self) -> None:
        values = {name: field.value or "" for name, field in self._fields.items()}
        read, wrong = filters.read(values)
        for name, field in self._fields.items():
            if name != "last":
                field.error = f"no {NAMES[name]}" if name in wrong else None
        if not wrong and read != self.now:
            self.now = read
            ui.navigate.history.replace(f"/dashboard/analytics{read.query()}")
            await self.changed()
