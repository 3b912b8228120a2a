"""The command that forgets a learner."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.options import Json, log_warnings


def forget(
    user: Annotated[str, typer.Argument(metavar="USER", help="The learner's id, exactly.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what there is.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Without the typed confirmation.")] = False,
    as_json: Json = False,
) -> None:
    """Erase a learner, for good.

    Completions keep their numbers and become nobody's; predictions, issued tasks and held states
    go; later trainings and replays leave the learner out, and whatever comes under the id is
    nobody's. Says what remains: the log, published versions, backups.
    """
    import json

    from ops import confirm, local
    from ops import forget as command

    settings = local.settings()
    log_warnings(settings, "forget")
    work = command.Forget(settings, user)
    plan = work.plan()
    if not as_json:
        typer.echo("\n".join(command.lines(plan)))
    if not dry_run:
        confirm.typed(settings, yes=yes)
        command.follow(work, plan)
    facts = {"done": not dry_run, **plan}
    typer.echo(json.dumps(facts) if as_json else "Nothing was changed." if dry_run else "Done.")


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(forget)
