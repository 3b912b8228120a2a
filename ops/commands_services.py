"""Commands that run one service each, as production does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from schemas.settings import Settings


def streams() -> None:
    """Record and count completions (one worker)."""
    from streams import app as streams_app

    settings = _configured("streams")
    streams_app.run(settings)


def trainer() -> None:
    """Train new models at every train-request."""
    from training import trainer as service

    settings = _configured("trainer")
    service.run(settings)


def inference() -> None:
    """Answer prediction requests with the newest models."""
    from inference import service

    settings = _configured("inference")
    service.run(settings)


def gateway() -> None:
    """Serve the REST gateway."""
    from gateway import app as service

    settings = _configured("gateway")
    service.run(settings)


def _configured(service: str) -> Settings:
    """The settings in force, with this service's memory and logs set up."""
    from ops import allocator, local
    from streams import logs, traces

    allocator.few_arenas()
    settings = local.of_service(service)
    logs.configure(settings, service)
    traces.configure(service)
    return settings


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (streams, trainer, inference, gateway):
        app.command()(command)
