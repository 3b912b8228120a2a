"""PURE: the settings in force, where each value comes from, and no secret."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from schemas.settings import PREFIX, Settings, masked

MASK = "********"


@dataclass(frozen=True)
class Row:
    """One setting as shown; ``source`` is environment, local stack or default."""

    variable: str
    value: str
    source: str


def rows(given: Settings, in_force: Settings) -> list[Row]:
    """Every setting; ``given`` is what the environment says, ``in_force`` with the local stack."""
    return [
        Row(PREFIX + name.upper(), shown(getattr(in_force, name)), _source(name, given, in_force))
        for name in Settings.model_fields
    ]


def _source(name: str, given: Settings, in_force: Settings) -> str:
    if name in given.model_fields_set:
        return "environment"
    same = getattr(given, name) == getattr(in_force, name)
    return "default" if same else "local stack"


def shown(value: object) -> str:
    """A value as text, with secrets masked, those in addresses too."""
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if isinstance(value, tuple):
        return ", ".join(map(shown, value))
    if isinstance(value, Path):
        return str(value)
    return masked(str(value))
