"""The command line. Every command imports what it needs when it runs, so that `status` starts
without TensorFlow and a wrong setting is one line, not a traceback."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from schemas.errors import RetraceError

app = typer.Typer(
    name="retrace",
    help="Counts learners' completed tasks on Kafka, retrains at every fifth, serves the models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


@app.command()
def streams() -> None:
    """Record and count completions (one worker)."""
    from ops import local
    from streams import app as streams_app
    from streams import logs

    settings = local.settings()
    logs.configure(settings, "streams")
    streams_app.run(settings)


@app.command()
def trainer() -> None:
    """Train new models at every train-request."""
    from ops import local
    from streams import logs
    from training import trainer as service

    settings = local.settings()
    logs.configure(settings, "trainer")
    service.run(settings)


@app.command()
def inference() -> None:
    """Answer prediction requests with the newest models."""
    from inference import service
    from ops import local
    from streams import logs

    settings = local.settings()
    logs.configure(settings, "inference")
    service.run(settings)


@app.command()
def gateway() -> None:
    """Serve the REST gateway."""
    from gateway import app as service
    from ops import local
    from streams import logs

    settings = local.settings()
    logs.configure(settings, "gateway")
    service.run(settings)


@app.command()
def status(as_json: Json = False) -> None:
    """Counter, models, lag and the health of each service."""
    from gateway import status as reports
    from ops import local
    from streams import store

    settings = local.settings()
    found = reports.gather(settings, store.connect(settings.database_url.get_secret_value(), "cli"))
    import json

    typer.echo(json.dumps(found, default=str))


def main() -> None:
    """Entry point: an error on purpose is one line and exit code 1."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        app()
    except RetraceError as error:
        typer.echo(f"retrace: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
