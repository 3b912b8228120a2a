"""The command line. Every command imports what it needs when it runs, so that `status` starts
without TensorFlow and a wrong setting is one line, not a traceback."""

from __future__ import annotations

import os
import sys

import typer

from gateway import away
from ops import (
    commands_bench,
    commands_data,
    commands_forget,
    commands_letters,
    commands_models,
    commands_operate,
    commands_replay,
    commands_security,
    commands_services,
)
from schemas.errors import RetraceError

app = typer.Typer(
    name="retrace",
    help="Counts learners' completed tasks on Kafka, retrains at every fifth, serves the models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
for commands in (
    commands_operate,
    commands_models,
    commands_letters,
    commands_replay,
    commands_forget,
    commands_services,
    commands_security,
    commands_data,
    commands_bench,
):
    commands.register(app)


def main() -> None:
    """Entry point: an error on purpose is one line and its exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        app()
    except RetraceError as error:
        typer.echo(f"retrace: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        line = away.words(error)
        if line is None:
            raise
        typer.echo(f"retrace: {line}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
