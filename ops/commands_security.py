"""Commands that give services what they need, and no more."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.options import Json

User = Annotated[
    list[str] | None,
    typer.Option(metavar="ROLE=NAME", help="A role's Kafka user, instead of retrace-ROLE."),
]


def prepare(as_json: Json = False) -> None:
    """Create topics and tables, as one who may.

    For services that may not. Run it as the role `operators`, with a database user who owns the
    tables; again after an upgrade. What is there already stays as it is.
    """
    import json

    from ops import local
    from streams import database, declare, kafka
    from streams.store import Store

    settings = local.settings()
    created = kafka.patiently(declare.declare, settings)
    store = Store(database.connect(settings.database_url.get_secret_value(), "prepare"))
    store.prepare(settings.train_every)
    revision = database.head()
    if as_json:
        typer.echo(json.dumps({"created": created, "revision": revision}))
        return
    for name in created:
        typer.echo(f"created {name}")
    typer.echo(f"topics are there; tables are at revision {revision}")


def acls(
    user: User = None,
    apply: Annotated[bool, typer.Option("--apply", help="Add what is missing.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Compare, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Print who needs what of Kafka, as lines for kafka-acls.sh.

    With --check or --apply the broker's own are compared, as an administrator of the cluster.
    What is there too much is told, and stays. Exit code 1 where a check finds any missing.
    """
    import json
    from dataclasses import asdict

    from ops import acls as command
    from ops import local
    from schemas import access

    settings, named = local.settings(), command.users(user or ())
    if not (apply or check):
        grants = [
            asdict(grant) | {"user": named[grant.role]}
            for grant in access.grants(settings.topic_prefix)
        ]
        typer.echo(
            json.dumps({"grants": grants})
            if as_json
            else command.script(settings.topic_prefix, named)
        )
        return
    found = command.difference(settings, named)
    if apply:
        command.apply(settings, found.missing)
    word = "added" if apply else "missing"
    told = {word: found.missing, "too_much": found.too_much}
    lines = {name: [command.words(each) for each in each_one] for name, each_one in told.items()}
    if as_json:
        typer.echo(json.dumps(lines))
    else:
        for name, each_one in lines.items():
            typer.echo(f"{name.replace('_', ' ')}: {len(each_one)}")
            for line in each_one:
                typer.echo(f"  {line}")
    raise typer.Exit(int(bool(found.missing) and not apply))


def roles() -> None:
    """Print PostgreSQL's roles and what each may do, as SQL.

    For the tables' owner, who may create roles; it holds no password.
    """
    from ops import roles as command

    typer.echo(command.sql())


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (prepare, acls, roles):
        app.command()(command)
