"""Commands that run one service each, as production does."""

from __future__ import annotations

import typer


def streams() -> None:
    """Record and count completions (one worker)."""
    from ops import local
    from streams import app as streams_app
    from streams import logs

    settings = local.settings()
    logs.configure(settings, "streams")
    streams_app.run(settings)


def trainer() -> None:
    """Train new models at every train-request."""
    from ops import local
    from streams import logs
    from training import trainer as service

    settings = local.settings()
    logs.configure(settings, "trainer")
    service.run(settings)


def inference() -> None:
    """Answer prediction requests with the newest models."""
    from inference import service
    from ops import local
    from streams import logs

    settings = local.settings()
    logs.configure(settings, "inference")
    service.run(settings)


def gateway() -> None:
    """Serve the REST gateway."""
    from gateway import app as service
    from ops import local
    from streams import logs

    settings = local.settings()
    logs.configure(settings, "gateway")
    service.run(settings)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (streams, trainer, inference, gateway):
        app.command()(command)
