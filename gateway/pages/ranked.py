"""What to practise next: a list with reasons and links to practise it."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from gateway.pages.parts import address, heading
from gateway.ranking import Suggestion

EMPTY = "Choose a learner: five tasks close to the target appear here, and why."


class Ranked:
    """A card; ``fill`` shows suggestions, or says why there are none."""

    def __init__(self) -> None:
        self._shown: object = None
        with ui.element("section").classes("card"):
            heading("What to practise next")
            self.empty = ui.label(EMPTY).classes("empty")
            self.list = ui.element("ol").classes("ranked")

    def fill(self, user_id: str, suggested: Sequence[Suggestion], instead: str = "") -> None:
        """Change the list where it differs."""
        if self._shown == (user_id, suggested, instead):
            return
        self._shown = (user_id, suggested, instead)
        self.empty.text, self.empty.visible = instead, not suggested
        self.list.clear()
        with self.list:
            for place, each in enumerate(suggested, 1):
                _item(user_id, place, each)


def _item(user_id: str, place: int, each: Suggestion) -> None:
    name = f"{each.topic}, {each.difficulty}"
    with ui.element("li"):
        ui.label(f"#{place}").classes("place")
        with ui.element("div"):
            ui.label(name).classes("what")
            ui.label(each.why).classes("soft")
        target = address("tasks", user=user_id, topic=each.topic, difficulty=each.difficulty)
        link = ui.link("Practise this", target).classes("go")
        link.props["aria-label"] = f"Practise this: {name}"
