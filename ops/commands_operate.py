"""Commands that run, show and check the system."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.options import Json, log_warnings


def up(
    demo: Annotated[bool, typer.Option("--demo", help="Add simulated learners.")] = False,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Run the whole system on this machine.

    Ctrl-C stops all and keeps the data.

    Starts an embedded Kafka and PostgreSQL where the environment names none.
    """
    from ops.interruption import watch_parent

    if with_parent:
        watch_parent()
    from ops import up as command
    from schemas.settings import load

    settings = load()
    log_warnings(settings, "up")
    command.run(settings, demo=demo)


def watch(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Show what happens, line by line, until Ctrl-C.

    Completions, counter, train-requests, training with its epochs, models, predictions, errors.
    """
    from ops import local
    from ops import watch as command

    command.run(local.settings(), as_json=as_json)


def status(as_json: Json = False) -> None:
    """Show counter, models, lag and health.

    Counter k/5, totals, last training, serving version, model files, lag of each group, dead
    letters, and the health of each service; what is down is said as such.

    Exit code 1 where any part could not be read.
    """
    import json
    from datetime import UTC, datetime

    from ops import local, status_table
    from ops.terminal import out

    found = status_table.gather(local.settings())
    if as_json:
        typer.echo(json.dumps(found, default=str))
    else:
        out().print(status_table.table(found, datetime.now(UTC)))
    raise typer.Exit(int(status_table.has_errors(found)))


def train(
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its outcome.")] = False,
    as_json: Json = False,
) -> None:
    """Ask for a training on everything recorded so far."""
    import json
    from datetime import UTC, datetime

    from gateway import requests
    from ops import local
    from ops import train as command

    settings = local.settings()
    facts = command.ask(settings, requests.request(settings, datetime.now(UTC)), wait=wait)
    typer.echo(json.dumps(facts) if as_json else command.words(facts))
    raise typer.Exit(int(facts["state"] not in ("requested", "published")))


def doctor(as_json: Json = False) -> None:
    """Check everything, and say what to do.

    Exit code 1 where any check fails; warnings do not count.
    """
    import json
    from dataclasses import asdict

    from ops import doctor as command
    from ops import doctor_table

    if as_json:
        found = list(command.run())
        ok = doctor_table.is_well(found)
        typer.echo(json.dumps({"ok": ok, "checks": [asdict(check) for check in found]}))
    else:
        found = doctor_table.show(command.run())
    raise typer.Exit(int(not doctor_table.is_well(found)))


def settings(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="The table of all settings for the README.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the settings in force.

    Where each comes from, too; secrets are masked.
    """
    import json
    from dataclasses import asdict

    from gateway import in_force
    from ops import local
    from ops import settings_table as command
    from ops.terminal import out
    from schemas import settings as words

    if markdown:
        typer.echo(words.markdown())
        return
    given = words.load()
    rows = in_force.rows(given, local.with_stack(given))
    if as_json:
        typer.echo(json.dumps({"settings": [asdict(row) for row in rows]}))
    else:
        out().print(command.table(rows))


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (up, watch, status, train, doctor, settings):
        app.command()(command)
