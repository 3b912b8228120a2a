"""`retrace watch`: what happens, line by line, until Ctrl-C."""

from __future__ import annotations

import json
import signal
import threading
from datetime import datetime

from rich.text import Text

from gateway import feed
from gateway.escaping import printable
from ops.terminal import err, out
from schemas.settings import Settings

WORD = 11


def text(line: feed.Line, at: datetime) -> Text:
    """A line with its local time, the word coloured."""
    shown = Text(f"{at.astimezone():%H:%M:%S}  ", style="dim")
    shown.append(f"{line.word:<{WORD}}", style=line.style)
    shown.append(f"  {printable(line.text)}", style="dim" if line.style == "dim" else "default")
    return shown


def run(settings: Settings, *, as_json: bool) -> None:
    """Print what happens from now on until SIGINT or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    console = out()
    if not as_json and console.is_terminal:
        err().print(f"Watching {settings.kafka_bootstrap}. Ctrl-C ends.", style="dim")
    for happening in feed.follow(settings, stop):
        if as_json:
            console.out(json.dumps(feed.as_json(happening)), highlight=False)
        else:
            console.print(text(feed.line(happening.event, settings.train_every), happening.at))
