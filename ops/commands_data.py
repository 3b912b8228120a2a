"""Commands that bring data in, or write documents out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.options import Json, log_warnings

schemas_app = typer.Typer(no_args_is_help=True, help="The events' JSON Schemas and AsyncAPI.")


def simulate(
    learners: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="How many; else the setting.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0, help="Tasks a second in total, 0: as fast as possible; else the setting."
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0, help="For how long, 0: until stopped; 60 unless --completions."),
    ] = None,
    duplicates: Annotated[
        float, typer.Option(min=0, max=100, help="Percent of completions published twice.")
    ] = 0.0,
    completions: Annotated[
        int | None, typer.Option(min=0, help="Stop after so many distinct completions.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Draw the same tasks and answers again.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Simulated learners answer tasks.

    Their ability and speed are known; they answer through the public topics.
    """
    from ops import local
    from ops import simulate_run as command
    from ops.simulate import Plan

    settings = local.settings()
    log_warnings(settings, "simulate")
    if seconds is None:
        seconds = 60.0 if completions is None else 0.0
    plan = Plan(
        settings.simulate_learners if learners is None else learners,
        settings.simulate_rate if rate is None else rate,
        seconds, duplicates, completions, seed,
    )  # fmt: skip
    command.run(settings, plan, as_json=as_json)


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="The file to read.")],
    wait: Annotated[bool, typer.Option("--wait", help="Until all are in the store.")] = False,
    as_json: Json = False,
) -> None:
    """Publish past completions of a CSV file.

    The same file twice records nothing twice.

    Columns: user_id, topic, difficulty, timestamp (start, Unix seconds), correct (0/1),
    response_time (seconds); optional item_id, censored. Bad rows are reported and left out.
    """
    from ops import import_run as command
    from ops import local

    settings = local.settings()
    log_warnings(settings, "import")
    command.run(settings, file, wait=wait, as_json=as_json)


@schemas_app.callback()
def schemas_group() -> None:
    """The events' JSON Schemas and AsyncAPI."""


@schemas_app.command()
def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write.")],
) -> None:
    """Write a JSON Schema per topic and asyncapi.json, generated from the code."""
    from ops import schemas_export as command

    for path in command.write(directory):
        typer.echo(path)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(simulate)
    app.command("import")(import_)
    app.add_typer(schemas_app, name="schemas")
