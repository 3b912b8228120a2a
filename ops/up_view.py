"""The terminal of `retrace up`: lines that stay, the board below them, welcome and farewell."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import psutil
from rich.live import Live

from gateway.feed import Line
from gateway.status import addresses
from ops import watch
from ops.terminal import out
from schemas.settings import Settings

WIDTH = 48


class View:
    """The terminal: lines that stay, and the board below them while ``live``."""

    def __init__(self) -> None:
        self.console = out()
        self.live = Live(console=self.console, auto_refresh=False, transient=True)

    @property
    def has_board(self) -> bool:
        return self.console.is_terminal

    def line(self, word: str, text: str, style: str = "", at: datetime | None = None) -> None:
        self.console.print(watch.text(Line(word, text, style), at or datetime.now(UTC)))

    def plain(self, text: str = "") -> None:
        self.console.print(text)


def timed(what: str, seconds: float) -> str:
    return f"{what:<{WIDTH}} {seconds:>5.1f} s"


def welcome(settings: Settings, seconds: float) -> list[str]:
    """What to do now that everything runs."""
    gateway = addresses(settings).get("gateway", "")
    return [
        "",
        f"Ready after {seconds:.1f} s.",
        f"  gateway   {gateway}   API: {gateway}/docs",
        f"  Kafka     {settings.kafka_bootstrap}",
        "  next      `retrace status` and `retrace watch` in another terminal; Ctrl-C stops all",
        "",
    ]


def farewell(view: View, pids: dict[str, int]) -> None:
    """Say of each process that it has stopped, in the order in which that happens."""
    for name, pid in reversed(pids.items()):
        began = time.monotonic()
        view.line("stopping", f"{name} …")
        while psutil.pid_exists(pid):
            time.sleep(0.05)
        view.line("stopped", timed(name, time.monotonic() - began))
