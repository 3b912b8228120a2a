"""Commands that bring data in, evaluate models on it, or write documents out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ops.options import Json, log_warnings

ProtocolName = Literal["user-disjoint", "prequential", "small"]
ModelName = Literal[
    "product", "lstm", "prior", "lnirt", "seed-lstm", "best-lr", "topic-difficulty", "constant"
]
Architecture = Literal["residual", "reference"]

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


def evaluate(
    data: Annotated[Path, typer.Option(metavar="FILE.csv", help="Columns as for `import`.")],
    protocol: Annotated[ProtocolName, typer.Option(help="What is learned when; see above.")],
    model: Annotated[ModelName, typer.Option(help="What predicts.")],
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 1,
    arch: Annotated[Architecture, typer.Option(help="The networks' architecture.")] = "residual",
    every: Annotated[int, typer.Option(min=1, help="prequential: tasks between refits.")] = 2000,
    learners: Annotated[int, typer.Option(min=1, help="small: learners a stream.")] = 6,
    streams: Annotated[int, typer.Option(min=1, help="small: how many streams.")] = 10,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Resamples of learners for 95 % intervals, such as 1000.")
    ] = 0,
    bins: Annotated[bool, typer.Option("--bins", help="The reliability diagram's bins.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw calibration and times.")
    ] = None,
    as_json: Json = False,
) -> None:
    """How well a model predicts past completions. Needs no Kafka and no database.

    user-disjoint: five folds by learner, each learner from its own earlier tasks only.
    prequential: one order of time; predict, then learn, a refit at every so many.
    small: a few learners drawn several times, a refit at every fifth, scored from event 50 on.
    """
    from ops import evaluate as command

    command.run(
        command.Evaluation(
            data, protocol, model, seed, arch, every, learners, streams, bootstrap, bins, plot
        ),
        as_json=as_json,
    )


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
    app.command()(evaluate)
    app.add_typer(schemas_app, name="schemas")
