"""The local stack's notebook: which Kafka and PostgreSQL `retrace up` runs in a data folder.

So that `retrace status` in a second terminal finds them without any setting. Readable by its
owner only, because the database's address holds its password.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydantic import SecretStr

from schemas.settings import Settings, load

FILE = "stack.json"


def write(settings: Settings) -> None:
    """Note where the stack's servers are."""
    path = settings.data_dir / FILE
    values = {
        "kafka_bootstrap": settings.kafka_bootstrap,
        "database_url": settings.database_url.get_secret_value(),
        "gateway_port": settings.gateway_port,
        "streams_port": settings.streams_port,
        "trainer_port": settings.trainer_port,
        "inference_port": settings.inference_port,
    }
    aside = path.with_suffix(".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(values, file)
    aside.replace(path)


def settings() -> Settings:
    """The settings in force: the environment, then what runs in the data folder, then defaults."""
    return with_stack(load())


def of_service(name: str) -> Settings:
    """Those of a service that is to run here: its port of 0 is any free one."""
    given, port = load(), f"{name}_port"
    return with_stack(given).model_copy(
        update={port: getattr(given, port)} if port in given.model_fields_set else {}
    )


def with_stack(given: Settings) -> Settings:
    """Fill in the local stack's servers, and ports, where the environment names none; a port of 0
    is any, which the stack has chosen."""
    noted = _read(given.data_dir / FILE)
    missing = {
        name: SecretStr(value) if name == "database_url" else value
        for name, value in noted.items()
        if name not in given.model_fields_set or getattr(given, name) == 0
    }
    return given.model_copy(update=missing)


def _read(path: Path) -> dict[str, str]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
