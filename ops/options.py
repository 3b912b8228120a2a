"""Options that several commands share, and how commands for people log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from schemas.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def log_warnings(settings: Settings, command: str) -> None:
    """Log to standard error only what people must know, such as that Kafka is waited for."""
    from streams import logs

    logs.configure(settings.model_copy(update={"log_level": "WARNING"}), command)
