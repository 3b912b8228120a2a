"""Small elements that pages share."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from nicegui import ui

_HERE = Path(__file__).parent
_LOOK, _CLOCK = (_HERE / "practice.css").read_text(), (_HERE / "clock.js").read_text()
STATES = ("good", "warn", "bad")


def head() -> None:
    """What these pages need beside the frame."""
    ui.add_head_html(f"<style>{_LOOK}</style><script>{_CLOCK}</script>")


def heading(words: str) -> ui.label:
    """A card's heading."""
    return ui.label(words).classes("heading").props('role="heading" aria-level="2"')


def state(element: ui.label, name: str) -> None:
    """Give an element the class of this state, and of no other."""
    element.classes(add=name, remove=" ".join(each for each in STATES if each != name))


def fact(name: str) -> ui.label:
    """A big value under its name."""
    with ui.element("div"):
        ui.label(name).classes("soft")
        return ui.label("").classes("big")


def address(page: str, **values: str) -> str:
    """A page's address below the pages' own, with these values, the empty ones left out."""
    query = urlencode({name: value for name, value in values.items() if value})
    return f"/{page}" + (f"?{query}" if query else "")
