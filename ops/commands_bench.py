"""Commands that measure: each prints its figures, the machine, and a ratio against a peer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.options import Json

LEAST_ROWS, MOST_ROWS = 10, 10_000_000

bench_app = typer.Typer(no_args_is_help=True, help="Measure, beside a peer.")


@bench_app.callback()
def bench_group() -> None:
    """Measure, beside a peer."""


@bench_app.command()
def train(
    sizes: Annotated[
        str, typer.Option(metavar="N,…", help="How many completions the histories have.")
    ] = "700,7000,46000,1000000",
    repeats: Annotated[
        int, typer.Option(min=1, help="Warm rebuilds a size, each of five completions more.")
    ] = 5,
    peer_epochs: Annotated[
        int, typer.Option(min=2, help="Epochs of the peer that are run; the rest follow from them.")
    ] = 2,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Columns as for `import`; sizes beyond it, or all "
                     "of them without it, are simulated."),
    ] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Seconds per rebuild of both models, warm and cold, over sizes of history.

    A rebuild is everything between a train-request and its publication: reading the version that
    serves, selecting rows, fitting, scoring, writing the files. Each size runs in a process of its
    own. With a database configured the rows are selected there, from a temporary table.

    The peer trains one network per target on every learner's padded prefixes, as in the system that
    Retrace replaces: on 700 rows, for 20 epochs.
    """
    from benchmarks import train as command

    command.run(command.Asked(_sizes(sizes), repeats, peer_epochs, data), as_json=as_json)


def _sizes(words: str) -> list[int]:
    """Raises BadParameter, exit code 2, for anything but whole numbers within bounds."""
    try:
        found = [int(word) for word in words.replace("_", "").split(",")]
    except ValueError:
        found = []
    if not found or not all(LEAST_ROWS <= rows <= MOST_ROWS for rows in found):
        raise typer.BadParameter(
            f"--sizes takes whole numbers from {LEAST_ROWS} to {MOST_ROWS}, with commas between."
        )
    return found


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(bench_app, name="bench")
