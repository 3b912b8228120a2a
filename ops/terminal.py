"""What people see on a terminal, the same in every command: consoles and progress."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from gateway.numerals import grouped


def out(least_width: int = 0) -> Console:
    """Standard output, for what was asked for; what needs a width is not squeezed below it."""
    console = Console(highlight=False, soft_wrap=True, file=sys.stdout)
    console.width = max(console.width, least_width)
    return console


def err() -> Console:
    """Standard error, for everything else."""
    return Console(highlight=False, soft_wrap=True, file=sys.stderr)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{grouped(round(task.finished_speed or task.speed or 0))}/s", style="dim")


def progress(*more: ProgressColumn) -> Progress:
    """A progress bar with count, rate and what more is given on standard error; nothing where that
    is no terminal."""
    console = err()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        *more,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
