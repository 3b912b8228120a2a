"""What `retrace up` shows below its log: the system's state in a few calm lines.

``Board`` takes happenings and holds the state; ``draw`` makes it something that rich can show.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from gateway.escaping import printable
from ops import feed
from ops.feed import Happening, Letter
from ops.terminal import dots, grouped, plural
from schemas.events import (
    Completions,
    Event,
    ModelUpdated,
    Prediction,
    TrainingProgress,
    TrainRequest,
)

PREDICTIONS = 5


@dataclass
class Board:
    """The state as far as it has been seen."""

    every: int
    generation: int = 0
    completions: int = 0
    requested: str = ""
    training: str = ""
    epoch: TrainingProgress | None = None
    model: ModelUpdated | None = None
    predictions: deque[Prediction] = field(default_factory=lambda: deque(maxlen=PREDICTIONS))
    dead_letters: int = 0

    def apply(self, happening: Happening) -> None:
        """Take in what happened."""
        self.take(happening.event)

    def take(self, event: Event | Letter) -> None:
        match event:
            case Completions():
                self._count(event)
            case TrainRequest():
                self.requested = event.request_id
            case TrainingProgress():
                self._progress(event)
            case ModelUpdated():
                if self.model is None or event.revision >= self.model.revision:
                    self.model = event
            case Prediction():
                self.predictions.append(event)
            case Letter():
                self.dead_letters += 1

    def count(self, generation: int, completions: int) -> None:
        """So many completions are recorded; a newer generation begins again."""
        if generation > self.generation:
            self.generation, self.completions = generation, 0
        if generation == self.generation:
            self.completions = max(self.completions, completions)

    def _count(self, event: Completions) -> None:
        self.count(event.generation, max((item.number for item in event.items), default=0))

    def _progress(self, event: TrainingProgress) -> None:
        if event.state == "started":
            self.training, self.epoch = event.request_id, None
        elif event.state == "epoch":
            self.training, self.epoch = event.request_id, event
        elif event.request_id == self.training:
            self.training, self.epoch = "", None


def draw(board: Board, services: Mapping[str, bool]) -> RenderableType:
    """The board; always of the same height, so that the terminal stays calm."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True, width=12)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_row("completions", _counter(board))
    grid.add_row("training", _training(board))
    grid.add_row("serving", _serving(board))
    for index in range(PREDICTIONS):
        grid.add_row("predictions" if index == 0 else "", _prediction(board, index))
    grid.add_row("services", _services(services))
    grid.add_row("dead letters", _letters(board.dead_letters))
    return Group(Rule(style="dim"), grid)


def _counter(board: Board) -> Text:
    shown = Text(dots(board.completions % board.every, board.every), style="green")
    shown.append(f"   {grouped(board.completions)} in all", style="default")
    if board.requested:
        shown.append(f"   last request {board.requested}", style="dim")
    return shown


def _training(board: Board) -> RenderableType:
    if not board.training:
        return Text("idle", style="dim")
    if board.epoch is None:
        return Text(f"{board.training}  preparing", style="yellow")
    row = Table.grid(padding=(0, 2))
    total, done = board.epoch.epochs or 1, board.epoch.epoch or 0
    bar = ProgressBar(total=total, completed=done, width=20)
    row.add_row(Text(board.training, style="yellow"), bar, feed.epoch_words(board.epoch))
    return row


def _serving(board: Board) -> Text:
    if board.model is None:
        return Text("no version yet: predictions are 0.50 and 60 s", style="dim")
    shown = Text(f"version {board.model.version}", style="bold green")
    learned = plural(board.model.completions, "completion")
    scores = feed.score_words(board.model.metrics)
    return shown.append(f"  from {learned}  {scores}", style="not bold default")


def _prediction(board: Board, index: int) -> Text:
    """The newest first."""
    if index >= len(board.predictions):
        return Text("")
    event = board.predictions[-1 - index]
    user, task = printable(event.user_id), printable(f"{event.topic} {event.difficulty}")
    answer = f"p {event.p_correct:.2f}  {event.expected_seconds:>4.0f} s"
    shown = Text(f"{user[:16]:<16}  {task[:24]:<24}  {answer}")
    return shown.append(f"  {feed.source_words(event)}", style="dim")


def _services(services: Mapping[str, bool]) -> Text:
    parts = [
        Text.assemble(("● " if ready else "○ ", "green" if ready else "yellow"), name)
        for name, ready in services.items()
    ]
    return Text("   ").join(parts)


def _letters(count: int) -> Text:
    return Text(grouped(count), style="bold red" if count else "dim")
