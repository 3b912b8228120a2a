"""`retrace dead-letters` on a terminal: lists, one letter whole, and sending back."""

from __future__ import annotations

import heapq
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from gateway.letterbox import Letterbox, redrives
from gateway.letters import Counts, Filter, Letter, Place, Plan, order
from gateway.numerals import plural
from gateway.redrive import REFUSED, Meant, Redrive
from ops import letter_whole
from ops import letters_table as words
from ops.terminal import err, out, progress
from schemas import codec
from schemas.errors import RetraceError, UsageError
from schemas.settings import Settings
from streams.patience import Stopped


def listed(settings: Settings, wanted: Filter, limit: int, *, as_json: bool) -> None:
    """The newest letters and how many there are of each class."""
    counts = Counts()
    with _opened(settings) as box:
        found = heapq.nlargest(limit, _counted(box, wanted, counts), key=order)
    if as_json:
        facts = {
            "letters": [words.letter_object(letter) for letter in found],
            "matched": sum(counts.letters.values()),
            "counts": words.counts_objects(counts),
        }
        typer.echo(words.one_line(facts))
        return
    console = out()
    for line in words.table(found) if found else ():
        console.print(line)
    console.print(*words.counts_lines(counts, len(found)), sep="\n", markup=False)


def _counted(box: Letterbox, wanted: Filter, counts: Counts) -> Iterator[Letter]:
    for letter, _ in box.matching(wanted, box.from_time(wanted.since)):
        counts.add(letter)
        yield letter


def show(
    settings: Settings, place: Place, *, whole: bool, raw_bytes: bool, as_json: bool
) -> None:  # fmt: skip
    """One letter; its bytes never go to a terminal as they are."""
    if raw_bytes and as_json:
        raise UsageError("Choose --raw or --json.")
    if raw_bytes and sys.stdout.isatty():
        raise UsageError("Bytes may do harm on a terminal: send --raw to a file or a program.")
    box = Letterbox(settings)
    ((letter, raw),) = box.at([place])
    if raw_bytes:
        sys.stdout.buffer.write(raw.value or b"")
        sys.stdout.buffer.flush()
        return
    times = [e.redriven_at for e in redrives(settings, box.topic_id) if e.letter == str(place)]
    sent_at = codec.rfc3339(times[-1]) if times else None
    if as_json:
        typer.echo(words.one_line(letter_whole.as_object(letter, raw, sent_at)))
        return
    console = out()
    for line in letter_whole.lines(letter, raw, sent_at, bounded=not whole):
        console.print(line)


def redrive(settings: Settings, meant: Meant, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Plan, ask, send, and say what became of it. Exit code 1 where the broker refused any."""
    if not (dry_run or yes or sys.stdin.isatty()):
        raise UsageError("This sends messages: say --yes, or look first with --dry-run.")
    with _opened(settings) as box:
        plan = Redrive(box, meant).plan()
    if dry_run or not plan.sent:
        _report(plan, "would go back to", dry_run=dry_run, as_json=as_json)
        return
    if not yes:
        _confirm(plan)
    report = _sent(Redrive(box, meant), plan.to_send)
    _report(report, "sent back to", dry_run=False, as_json=as_json)
    raise typer.Exit(int(REFUSED in report.left_out))


def _confirm(plan: Plan) -> None:
    err().print(*words.plan_lines(plan, "would go back to"), sep="\n", markup=False)
    question = f"Send {plural(plan.to_send, 'letter')} back?"
    if not typer.confirm(question, err=True):
        raise RetraceError("Nothing was sent.")


def _sent(command: Redrive, total: int) -> Plan:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with progress() as bars:
        bar = bars.add_task("sent back", total=total)
        try:
            return command.send(stop, lambda done: bars.update(bar, completed=done))
        except Stopped:
            raise RetraceError(
                "Stopped before the end. The same command goes on where this one stopped."
            ) from None


def _report(plan: Plan, verb: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        typer.echo(words.one_line(words.plan_object(plan, dry_run=dry_run)))
        return
    console = out()
    console.print(*words.plan_lines(plan, verb), sep="\n", markup=False)
    if plan.sent and not dry_run:
        console.print("What fails again is a new letter: `retrace dead-letters list --open`.")


@contextmanager
def _opened(settings: Settings) -> Iterator[Letterbox]:
    """The letters as they stand now; a bar says how many were read while they are."""
    with progress() as bars:
        box = Letterbox(settings)
        bar = bars.add_task("read", total=sum(map(len, box.spans)))
        box.advance = lambda read: bars.update(bar, completed=read)
        yield box
    box.advance = lambda read: None
