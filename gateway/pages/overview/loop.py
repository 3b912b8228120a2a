"""The cards of the loop: what trains now, its epochs, the version that serves."""

from __future__ import annotations

from nicegui import ui

from gateway.pages import charts
from gateway.pages.frame import Viewer
from gateway.pages.overview import words
from gateway.pages.overview.parts import Fact, Plot, card
from gateway.pages.overview.snapshot import Snapshot

MODELS = {"correctness": "loss, correctness network", "time": "loss, time network"}


class Training:
    """What trains now, and how far it is."""

    def __init__(self) -> None:
        with card("Training"):
            self.fact = Fact()
            self.bar = (
                ui.linear_progress(0.0, show_value=False)
                .props('instant-feedback aria-label="Epochs done"')
                .classes("unseen")
            )

    def show(self, seen: Snapshot) -> None:
        self.fact.show(words.training(seen.board, seen.status, seen.at))
        self.bar.value = words.share(seen.board)
        self.bar.classes(**{"remove" if seen.board.training else "add": "unseen"})


class Serving:
    """The version that answers, its age, and how it was scored."""

    def __init__(self) -> None:
        with card("Serving"):
            self.fact = Fact()

    def show(self, seen: Snapshot) -> None:
        why = words.absent(seen.status, "serving")
        if why:
            self.fact.absent(why)
        else:
            self.fact.show(words.serving(seen.status["serving"], seen.at))


class Losses:
    """Both networks' losses by epoch, as they come; a training that goes on from the one before
    may have a single epoch."""

    def __init__(self, who: Viewer) -> None:
        heading = "Epochs as they come, of the last trainings"
        with card(heading, "wide"), ui.element("div").classes("pair"):
            self.plots = {
                model: Plot(who, f"{name} by epoch", _options(who, name))
                for model, name in MODELS.items()
            }

    def show(self, seen: Snapshot) -> None:
        for model, plot in self.plots.items():
            empty = "Losses appear here, epoch by epoch, when a training begins."
            why = words.absent(seen.status, "feed") or empty
            plot.show(seen.drawn[f"losses of {model}"], why)


def _options(who: Viewer, name: str) -> dict[str, object]:
    lines = [("loss", "training", "solid", "circle"), ("val_loss", "held out", "dashed", "diamond")]
    steps = charts.axis(who, "category", "training · epoch")
    steps["axisLabel"]["alignMinLabel"] = "left"  # long as they are, they stay inside
    return {
        "xAxis": steps,
        "yAxis": charts.upright(who, "value", name, scale=True),
        "series": [
            {
                "id": key, "name": label, "type": "line", "data": [], "symbol": symbol,
                "symbolSize": 4, "showAllSymbol": True, "lineStyle": {"type": dash},
            }
            for key, label, dash, symbol in lines
        ],
    }  # fmt: skip
