"""A card with a chart: what it shows, of which tasks, its data as a file, and what to expect where
there is nothing yet."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from gateway.pages import charts, parts
from gateway.pages.frame import Viewer


class Panel:
    """``sheet`` names its file; ``empty`` is what stands in its place without data. The chart keeps
    its place, so that nothing moves when data come."""

    def __init__(
        self, who: Viewer, title: str, sheet: str, empty: str, *, wide: bool = False
    ) -> None:
        self.title, self.sheet, self.empty = title, sheet, empty
        card = ui.element("section").classes("card wide" if wide else "card")
        with card.props(f'aria-label="{title}"'):
            with ui.element("div").classes("panel-top"):
                parts.heading(title)
                self.file = ui.link("CSV", "#").props(f'aria-label="{title} as CSV" download')
            self.note = ui.label("").classes("soft panel-note")
            self.chart = charts.chart(who, title, {})
            self.instead = ui.label("Reading …").classes("empty panel-empty")
            self.below = ui.element("div").classes("panel-below")
        self.chart.visible = False

    def at(self, query: str) -> None:
        """Let the file be of these filters."""
        self.file.props["href"] = f"/analytics/{self.sheet}.csv{query}"

    def fill(self, options: dict[str, Any], note: str, *, some: bool) -> None:
        """Show it, or with ``some`` False what will come."""
        self.note.text = note
        self.chart.visible, self.instead.visible = some, not some
        self.instead.text = self.empty
        if some:
            name = f"{self.title}. {note}"  # ECharts names the element so, too
            self.chart.options.update(options)
            self.chart.options["aria"]["label"]["description"] = name
            self.chart.props["aria-label"] = name

    def fail(self, words: str) -> None:
        """Say why there is nothing; what was shown before stays."""
        if not self.chart.visible:
            self.instead.text = words
