"""Text fields with the contract's limits and suggestions as one types: the browser's own list, so
that choosing one by keys and typing a new one are the same field."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui
from pydantic import ConfigDict, TypeAdapter, ValidationError

from schemas.fields import Id, Label, Probability, Seconds

MOST = 20
FINITE = ConfigDict(allow_inf_nan=False)
IDS, LABELS = TypeAdapter(Id), TypeAdapter(Label)
SECONDS = TypeAdapter(Seconds, config=FINITE)
CHANCES = TypeAdapter(Probability, config=FINITE)
Suggest = Callable[[str], Awaitable[list[str]]]
WORDS = {
    "string_too_short": "fill this in",
    "string_too_long": "at most {max_length} characters",
    "string_unicode": "holds what is no character",
    "value_error": "must not hold a NUL character",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
    "float_type": "fill this in",
    "finite_number": "not a number",
}


def problem(kind: TypeAdapter[Any], value: object) -> str | None:
    """What is wrong with a value, for people; None where nothing is."""
    try:
        kind.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        words = WORDS.get(first["type"])
        return words.format(**first.get("ctx", {})) if words else "cannot be used"
    return None


class Field(ui.input):
    """A text field of one kind of name; ``suggest`` gives those that begin as what is typed.

    A wrong value is told at the field once there is one; an empty one only by ``take``.
    """

    def __init__(self, label: str, value: str, kind: TypeAdapter[Any], suggest: Suggest) -> None:
        super().__init__(label, value=value, validation=self._shown)
        self.kind, self.suggest = kind, suggest
        self.error = self._shown(value)
        self.props("outlined dense autocomplete=off spellcheck=false")
        # The input names its list so, and leaves it out on a desktop.
        self._list = ui.element("datalist").props(f"id={self.html_id}-datalist")
        self.on_value_change(self.offer).on("focus", self.offer, [])

    def _shown(self, value: str | None) -> str | None:
        return problem(self.kind, value) if value else None

    async def offer(self) -> None:
        """List what begins as what is typed."""
        typed = self.value or ""
        found = [] if self.error else await self.suggest(typed)
        if (
            self.is_deleted
            or typed != (self.value or "")
            or found == [each.props["value"] for each in self._list]
        ):
            return
        self._list.clear()
        with self._list:
            for name in found:
                ui.element("option").props["value"] = name

    @property
    def hint(self) -> str:
        """What stands below the field while nothing is wrong."""
        return str(self.props.get("hint", ""))

    @hint.setter
    def hint(self, words: str) -> None:
        self.props["hint"] = words

    def take(self) -> str | None:
        """The value, or None: then the field says why."""
        self.error = problem(self.kind, self.value or "")
        return None if self.error else self.value


def beginning(names: tuple[str, ...], part: str) -> list[str]:
    """Those of the names that begin so, whatever the case."""
    return [name for name in names if name.casefold().startswith(part.casefold())][:MOST]


def number(words: str, otherwise: float) -> float:
    """A number of an address; ``otherwise`` where it is none that a chance can be."""
    try:
        return float(CHANCES.validate_python(words))
    except ValidationError:
        return otherwise
