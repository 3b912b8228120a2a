"""The loop at a glance: counting, training, serving, how good it is, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fastapi import Request
from nicegui import ui

from gateway import overview
from gateway.face import Face
from gateway.kept import Kept
from gateway.pages import counter, frame, overview_charts, overview_words, parts
from gateway.pages.frame import Viewer
from gateway.troubles import Trouble, troubles

SECONDS = 5.0  # the status asks Kafka much
ROOM = 10


def add(face: Face) -> None:
    """The page at ``/dashboard/``."""
    kept = Kept(lambda: overview.read(face.settings, face.tasks.engine, face.lags), SECONDS)
    counting = counter.reading(face)

    @ui.page("/")
    async def show(request: Request) -> None:
        with frame.page("Overview", request) as who:
            parts.head()
            page = Overview(face, who, kept, counting)
            frame.pulse(page.beat)


class Overview:
    """One viewer's page."""

    def __init__(
        self, face: Face, who: Viewer, kept: Kept[overview.Found], counting: Kept[counter.Seen]
    ) -> None:
        self.who, self.kept = who, kept
        self._shown: overview.Found | None = None
        with _card("State", "wide"):
            self.as_of = ui.label(" ").classes("soft")
            self.state = ui.element("div")
        self._wrong: list[Trouble] | None = None
        with ui.element("div").classes("cards"):
            self.counter = counter.Counter(face, who, counting)
            self.serving = Lines("Serving", 4)
            self.services = Lines("Services", 5)
            self._charts(who)
            self.accuracy = Lines("Live accuracy", 6)
            self.lag = Lines("What waits", 6)
            self.failures = Lines("Trainings without a new version", 3, "wide")

    def _charts(self, who: Viewer) -> None:
        with _card("Completions by window"):
            self.completions = overview_charts.completions(who)
            self.windows = ui.label("").classes("soft two-lines")
        with _card("Training"):
            self.losses = overview_charts.losses(who)
            self.training = ui.label("").classes("soft two-lines").props('role="status"')
        with _card("Versions, log loss (less is better)"):
            self.log_loss = overview_charts.versions(who, "Log loss", "nats")
        with _card("Versions, AUC (more is better)"):
            self.auc = overview_charts.versions(who, "AUC", "AUC")

    async def beat(self) -> None:
        """Bring everything up to date; what others have read is not read again."""
        await self.counter.refresh()
        found = await self.kept.get()
        if found is self._shown or self.losses.is_deleted:
            return
        self._shown = found
        self._show_state(troubles(found), datetime.fromisoformat(found["at"]))
        words, at = overview_words, datetime.fromisoformat(found["at"])
        self.serving.show(words.serving(found["serving"], at))
        self.services.show(words.services(found["services"]))
        self.accuracy.show(words.accuracy(found["accuracy"], self.who))
        self.lag.show(words.lag(found["lag"], found["dead_letters"]))
        self.failures.show(words.failures(found["failures"], self.who))
        self.windows.text = words.windows(found["windows"])
        self.training.text = words.training(found["training"], self.who)
        self._show_charts(found)

    def _show_charts(self, found: Mapping[str, Any]) -> None:
        if "newest" in found["windows"]:
            overview_charts.show_completions(self.completions, self.who, found["windows"])
        if isinstance(found["training"], list):
            overview_charts.show_losses(self.losses, found["training"])
        if isinstance(found["versions"], list):
            overview_charts.show_versions(self.log_loss, found["versions"], "log_loss")
            overview_charts.show_versions(self.auc, found["versions"], "auc")

    def _show_state(self, wrong: list[Trouble], at: datetime) -> None:
        self.as_of.text = f"As of {self.who.clock(at)}"
        if wrong == self._wrong:
            return
        self._wrong = wrong
        self.state.clear()
        with self.state:
            if not wrong:
                ui.label("✓ All is well.").classes("good")
            for each in wrong[:ROOM]:
                since = f", since {self.who.clock(each.since)}" if each.since else ""
                ui.label(f"! {each.what}{since}.").classes("warn")
                ui.label(each.todo).classes("soft")


class Lines:
    """A card of lines, with room for so many from the start."""

    def __init__(self, title: str, room: int, more: str = "") -> None:
        self._found: Sequence[overview_words.Line] = ()
        with _card(title, more):
            self.lines = [ui.label(" ").classes("line") for _ in range(room)]

    def show(self, found: Sequence[overview_words.Line]) -> None:
        """Only what is other than before is touched: many look at once."""
        if found == self._found:
            return
        self._found = found
        for at, label in enumerate(self.lines):
            text, kind = found[at] if at < len(found) else ("", "")
            label.text = text
            label.classes(replace=f"line {kind}")


def _card(title: str, more: str = "") -> ui.element:
    card = ui.element("section").classes(f"card {more}")
    with card:
        parts.heading(title)
    return card
