"""What `retrace up` shows below its log: the system's state in a few calm lines."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from gateway import feed
from gateway.board import PREDICTIONS, Board
from gateway.escaping import printable
from gateway.numerals import dots, grouped, plural


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
