"""`retrace import` on a terminal: progress, then what was published and what was left out."""

from __future__ import annotations

import json
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

import typer

from gateway.numerals import grouped, plural
from ops import importer
from ops.terminal import err, progress
from schemas.errors import RetraceError, UsageError
from schemas.settings import Settings
from streams import database
from streams.patience import Stopped

SHOWN = 10


def run(settings: Settings, path: Path, *, wait: bool, as_json: bool) -> None:
    """Import a file. Bad rows are left out; it fails only where no row is good."""
    rows = importer.load(path, datetime.now(UTC))
    report_bad(rows.bad)
    if not rows.tasks:
        raise UsageError(f"{path} has no row that can be imported.")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    _publish(settings, rows, stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if wait:
        _await(settings, rows)
    facts = {"published": len(rows.tasks), "bad_rows": len(rows.bad), "recorded": wait}
    typer.echo(json.dumps(facts) if as_json else words(len(rows.tasks), len(rows.bad), wait))


def report_bad(bad: list[importer.BadRow]) -> None:
    console = err()
    for row in bad[:SHOWN]:
        console.print(f"line {row.line}: {row.reason}", style="yellow")
    if len(bad) > SHOWN:
        console.print(f"… and {plural(len(bad) - SHOWN, 'more bad row')}", style="yellow")


def _publish(settings: Settings, rows: importer.Rows, stop: threading.Event) -> None:
    with progress() as bars:
        bar = bars.add_task("published", total=len(rows.tasks))
        try:
            importer.publish(
                settings, rows.tasks, stop, lambda done: bars.update(bar, completed=done)
            )
        except Stopped:
            raise RetraceError(
                "Stopped before the end. Import the file again: nothing is recorded twice."
            ) from None


def _await(settings: Settings, rows: importer.Rows) -> None:
    engine = database.connect(settings.database_url.get_secret_value(), "cli")
    ids = [task.task_id for task in rows.tasks]
    with progress() as bars:
        bar = bars.add_task("recorded", total=len(ids))
        importer.await_recorded(engine, ids, lambda done: bars.update(bar, completed=done))
    engine.dispose()


def words(published: int, bad: int, recorded: bool) -> str:
    left_out = f", {plural(bad, 'bad row')} left out" if bad else ""
    state = "published and recorded" if recorded else "published"
    return f"{grouped(published)} completions {state}{left_out}."
