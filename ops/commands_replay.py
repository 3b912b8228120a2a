"""Commands that go back: to a range of the log, or to nothing but the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.options import Json, log_warnings

if TYPE_CHECKING:
    from datetime import datetime

    from ops.replay import Wish
    from schemas.settings import Settings

Yes = Annotated[bool, typer.Option("--yes", help="Without the typed confirmation.")]


def replay(
    since: Annotated[
        str | None, typer.Option("--from", metavar="T", help="RFC 3339 or a day; else the start.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="T", help="RFC 3339 or a day; else the end.")
    ] = None,
    offsets: Annotated[
        str | None, typer.Option(metavar="P@FROM-UNTIL,…", help="Instead: offsets by partition.")
    ] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train from exactly that.")] = False,
    rebuild_store: Annotated[
        bool, typer.Option("--rebuild-store", help="Empty the store and record it again.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it holds, and what is left out.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the training to its outcome.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Watch a rebuild that was begun before.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Read task-completed back from the log.

    By its messages' times, or by offsets. Retrain from exactly that range, beside all else; or
    rebuild the store from there on, while the system runs: its numbers begin at 1 again, requests
    that have ended stay ended, and predictions know what has been read so far.
    """
    from datetime import UTC, datetime

    from ops import local
    from ops.replay import Wish
    from schemas.errors import UsageError

    wish, now = Wish(since, until, offsets), datetime.now(UTC)
    wish.require_clear(now)
    if retrain == rebuild_store and (retrain or not dry_run):
        raise UsageError("say --retrain or --rebuild-store, or only --dry-run")
    if rebuild_store and until:
        raise UsageError("--rebuild-store goes on to the log's end: leave out --until")
    if (wait and not retrain) or (resume and not rebuild_store):
        raise UsageError("--wait belongs to --retrain, --resume to --rebuild-store")
    settings = local.settings()
    log_warnings(settings, "replay")
    if dry_run:
        _look(settings, wish, now, as_json=as_json)
    elif retrain:
        _retrain(settings, wish, now, wait=wait, as_json=as_json)
    else:
        _rebuild(settings, wish, now, resume=resume, yes=yes, as_json=as_json)


def _look(settings: Settings, wish: Wish, now: datetime, *, as_json: bool) -> None:
    import json

    from ops import replay as command
    from ops import survey
    from ops.terminal import out

    found = command.resolve(settings, wish, now)
    facts = found.facts() | command.look(settings, found.spans, now).facts()
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        out().print(survey.table(facts))
        typer.echo(command.words(facts))


def _retrain(settings: Settings, wish: Wish, now: datetime, *, wait: bool, as_json: bool) -> None:
    import json

    from ops import replay as command
    from ops import train

    found = command.resolve(settings, wish, now)
    held = command.look(settings, found.spans, now)
    if not as_json:
        typer.echo(command.words(held.facts()), err=True)
    facts = held.facts() | train.ask(settings, command.request(found, held, now), wait=wait)
    typer.echo(json.dumps(facts) if as_json else train.words(facts))
    raise typer.Exit(int(facts["state"] not in ("requested", "published")))


def _rebuild(
    settings: Settings, wish: Wish, now: datetime, *, resume: bool, yes: bool, as_json: bool
) -> None:
    import json

    from ops import confirm
    from ops import rebuild as command
    from ops import replay as ranges
    from streams import log

    held = log.bounds(settings)
    spans = held if resume else ranges.resolve(settings, wish, now).spans
    running = command.Rebuild(settings, spans)
    if not resume:
        command.require_open_ended(spans, held)
        if not yes:
            command.require_settled(running, held)
        typer.echo(command.warning(running), err=True)
        confirm.typed(settings, yes=yes)
        running.begin()
    facts = command.follow(running)
    typer.echo(json.dumps(facts) if as_json else command.words(facts))
    raise typer.Exit(0 if facts["state"] == "rebuilt" else 130)


def reset(
    models: Annotated[
        bool, typer.Option("--models", help="Forget models and trainings too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Everything but the source events back to nothing.

    Positions, numbers, windows, predictions, changelogs, local state and derived topics; models
    stay unless named. No service may run meanwhile: those that do are named. Starting them again
    counts everything again, to the same numbers and requests.
    """
    import json

    from ops import confirm, local, stack
    from ops import reset as command

    given = local.settings()
    log_warnings(given, "reset")
    with stack.servers(given, lambda line: typer.echo(line, err=True)) as settings:
        work = command.Reset(settings, models)
        if not dry_run:
            work.require_still()
        plan = work.plan()
        if not as_json:
            typer.echo("\n".join(command.lines(plan)))
        if not dry_run:
            confirm.typed(settings, yes=yes)
            work.require_still()
            work.run(lambda step: typer.echo(f"resetting {step}", err=True))
        facts: dict[str, Any] = {"done": not dry_run, **plan}
        typer.echo(json.dumps(facts) if as_json else "Nothing was changed." if dry_run else "Done.")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(replay)
    app.command()(reset)
