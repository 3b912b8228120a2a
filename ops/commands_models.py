"""Commands over the model versions: which there are, which serves, and which is to serve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.options import Json

if TYPE_CHECKING:
    from gateway.models import Models

models_app = typer.Typer(no_args_is_help=True, help="Model versions: list, promote, roll back.")
WIDTH = 110
Version = Annotated[int, typer.Argument(min=1, help="Its number, as in `list`.")]


@models_app.callback()
def models_group() -> None:
    """Model versions: list, promote, roll back."""


@models_app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Show the newest so many.")] = 20,
    as_json: Json = False,
) -> None:
    """The newest versions with their scores before learning.

    Log loss and AUC are over the newest rows, each predicted before it was learned, beside LNIRT
    and topic × difficulty on the same rows.
    """
    from ops import models_table

    _show(_models().listed(limit), as_json, models_table.listed)


@models_app.command()
def show(version: Version, as_json: Json = False) -> None:
    """All that is known of a version: scores, gate, files, when it served."""
    from ops import models_table

    _show(_models().one(version), as_json, models_table.one)


@models_app.command()
def promote(version: Version, as_json: Json = False) -> None:
    """Let a version serve, and hold it until `release`.

    Any version whose files are kept and whole, one that the gate rejected too.
    """
    models = _models()
    _changed(models.changing().promote(version), models, as_json)


@models_app.command()
def rollback(as_json: Json = False) -> None:
    """Let the version before serve again, and hold it until `release`.

    Trainings go on; their versions wait.
    """
    models = _models()
    _changed(models.changing().rollback(), models, as_json)


@models_app.command()
def release(as_json: Json = False) -> None:
    """Let go of a held version: the newest one serves, and later ones will."""
    models = _models()
    _changed(models.changing().release(), models, as_json)


@models_app.command()
def export(
    version: Version,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where its directory goes.")],
    as_json: Json = False,
) -> None:
    """Copy a version's files, verified, into a folder.

    Keras models, ONNX graphs, metadata, and the manifest with their hashes.
    """
    import json

    target = _models().export(version, folder)
    typer.echo(
        json.dumps({"version": version, "path": str(target)})
        if as_json
        else f"Version {version} is in {target}."
    )


def _models() -> Models:
    from gateway.models import Models
    from ops import local
    from ops.options import log_warnings

    settings = local.settings()
    log_warnings(settings, "models")
    return Models(settings)


def _show(found: dict[str, Any], as_json: bool, view: Any) -> None:
    import json

    from ops.terminal import out

    if as_json:
        typer.echo(json.dumps(found, default=str))
    else:
        out(WIDTH).print(view(found))


def _changed(updated: Any, models: Models, as_json: bool) -> None:
    import json

    facts = models.announce(updated)
    typer.echo(json.dumps(facts) if as_json else models.words(facts))


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(models_app, name="models")
