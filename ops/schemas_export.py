"""`retrace schemas export`: the schemas as files, for those who write in other languages."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

from ops.machine import make_folder
from schemas import asyncapi, json_schema
from schemas.errors import MachineError


def write(directory: Path) -> list[Path]:
    """Write all schemas below a folder; the files written."""
    make_folder(directory)
    events = json_schema.json_schemas()
    documents = {**events, "asyncapi.json": asyncapi.document(version("retrace"))}
    return [_write(directory / name, document) for name, document in documents.items()]


def _write(path: Path, document: object) -> Path:
    try:
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise MachineError(f"Cannot write {path}: {error.strerror}.") from None
    return path
