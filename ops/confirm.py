"""A typed confirmation before something that cannot be taken back."""

from __future__ import annotations

import sys

import typer
from sqlalchemy.engine import make_url

from schemas.errors import RetraceError
from schemas.settings import Settings


def typed(settings: Settings, *, yes: bool) -> None:
    """Go on only where the database's name is typed; ``yes`` stands for that.

    Raises RetraceError for anything else, also where nobody can type.
    """
    if yes:
        return
    word = make_url(settings.database_url.get_secret_value()).database or "reset"
    typer.echo(f"Type the database's name, {word}, to go on: ", err=True, nl=False)
    if sys.stdin.readline().strip() != word:
        raise RetraceError("Nothing was changed: that was not the name. Scripts say --yes.")
