"""The heat map's card: a page of topics, and where its numbers come from."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from gateway.pages import charts, heatmap, phrases
from gateway.pages.frame import Viewer
from gateway.pages.parts import heading
from gateway.prospects import Prospects
from gateway.ranking import Suggestion

EMPTY = "The chance of a right answer for each topic and difficulty appears here."
NO_MODEL = "No model serves yet: the first training that is published fills this page."
NEW = "No completed task of this learner is known: these are the chances of somebody new."


def instead(found: Prospects | None, part: str) -> str:
    """PURE: what there is to say of a forecast beside its numbers; "" where nothing is."""
    if found is None:
        return ""
    if not found.cells:
        return f"No topic of the serving version holds “{part}”." if part else NO_MODEL
    if len(found.cells) < found.all:
        return (
            f"These are {len(found.cells)} of {found.all} topics and difficulties: "
            "narrow the topics to see others."
        )
    return NEW if not found.done and not found.forecast.history_length else ""


class Chances:
    """A card; ``fill`` brings it up to date."""

    def __init__(self, who: Viewer) -> None:
        self.who, self.number = who, 0
        self.found: Prospects | None = None
        self.suggested: Sequence[Suggestion] = ()
        with ui.element("section").classes("card wide"):
            heading("Chance of a right answer, and the seconds that it is expected to take")
            self.empty = ui.label(EMPTY).classes("empty")
            scroll = 'tabindex=0 role=region aria-label="Chances"'
            self.scroll = ui.element("div").classes("scroll heat").props(scroll)
            with self.scroll:
                self.chart = charts.chart(who, "Chances by topic and difficulty", {})
            with ui.element("div").classes("row-of") as self.pager:
                for name, step in (("Topics before", -1), ("Topics after", 1)):
                    ui.button(name, on_click=lambda step=step: self._turn(step)).props(
                        "flat no-caps"
                    )
                self.where = ui.label("").classes("soft")
            self.source = ui.label("").classes("soft")
            self.pager.visible = self.scroll.visible = False

    def _turn(self, step: int) -> None:
        self.number += step
        self.fill(self.found, self.suggested)

    def fill(self, found: Prospects | None, suggested: Sequence[Suggestion]) -> None:
        """Show a forecast, or that there is none."""
        self.found, self.suggested = found, suggested
        cells = found.cells if found else ()
        self.empty.visible, self.scroll.visible = not cells, bool(cells)
        self.source.text = self.where.text = ""
        self.pager.visible = False
        if found is None or not cells:
            return
        page = heatmap.page(cells, self.number)
        self.number = page.number
        self.chart.options.update(heatmap.options(self.who, page, suggested))
        self.chart.style(f"height: {page.height}px; min-width: {page.width}px")
        self.chart.props["aria-label"] = summary(page)
        self.pager.visible = page.pages > 1
        self.where.text = f"Page {page.number + 1} of {page.pages}"
        self.source.text = source(found, self.who)


def summary(page: heatmap.Page) -> str:
    """PURE: a page of the heat map in words."""
    chances = [cell.p_correct for cell in page.cells]
    return (
        f"Chances of {len(page.topics)} topics at {len(page.difficulties)} difficulties, "
        f"from {min(chances):.2f} to {max(chances):.2f}"
    )


def source(found: Prospects, who: Viewer) -> str:
    """PURE: where the numbers come from."""
    forecast = found.forecast
    sources = ", ".join(sorted({phrases.SOURCES[cell.source] for cell in found.cells}))
    reads = f"reads {forecast.history_length} of this learner's completions"
    at = who.clock(forecast.predicted_at)
    return f"From {sources}, version {forecast.model_version}; {reads}; told at {at}."
