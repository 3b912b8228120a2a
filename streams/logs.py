"""One log format for every service: lines for people on a terminal, JSON for machines."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from schemas import settings as settings_module
from schemas.settings import Settings
from streams import traces

# Kafka clients and Faust narrate every rebalance; their warnings stay.
CHATTY = (
    "faust", "mode", "aiokafka", "alembic", "httpx", "httpcore", "uvicorn.access",
    "uvicorn.error", "watchfiles", "tensorflow", "absl", "fsspec", "asyncio",
)  # fmt: skip


def configure(settings: Settings, service: str) -> None:
    """Send structlog and the standard library's logging to standard error in one format."""
    shared: list[structlog.typing.Processor] = [
        _named(service),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        traces.named,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _renderer(settings),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings_module.level(settings))
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _named(service: str) -> structlog.typing.Processor:
    def name(_logger: object, _method: str, event: structlog.typing.EventDict) -> Any:
        event["service"] = service
        return event

    return name


def _renderer(settings: Settings) -> structlog.typing.Processor:
    text = settings.log_format == "text" or (settings.log_format == "auto" and sys.stderr.isatty())
    if text:
        return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return structlog.processors.JSONRenderer(default=str)
