"""Commands for dead letters: what could not be processed, why, and back again after a fix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ops.options import Json, log_warnings

if TYPE_CHECKING:
    from gateway.letters import Filter
    from schemas.settings import Settings

HELP = "What could not be processed, why, and back again after a fix."
WHEN = "2026-03-01T12:00Z, or 2h, 7d ago"

letters_app = typer.Typer(no_args_is_help=True, help=HELP)

Topic = Annotated[str | None, typer.Option(help="From this topic.")]
Class = Annotated[str | None, typer.Option("--class", help="Of this class, such as invalid.")]
Message = Annotated[str | None, typer.Option(help="Whose reason contains this.")]
Since = Annotated[str | None, typer.Option(metavar="T", help=f"Failed at T or later: {WHEN}.")]
Until = Annotated[str | None, typer.Option(metavar="T", help="Failed before T.")]
Attempts = Annotated[int | None, typer.Option(min=1, help="Failed at most so many times.")]


@letters_app.callback()
def letters_group() -> None:
    """What could not be processed, why, and back again after a fix."""


@letters_app.command("list")
def list_(
    topic: Topic = None,
    cause: Class = None,
    message: Message = None,
    since: Since = None,
    until: Until = None,
    attempts: Attempts = None,
    is_open: Annotated[
        bool, typer.Option("--open", help="Only those that were not sent back.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Show the newest so many.")] = 20,
    as_json: Json = False,
) -> None:
    """Show the newest dead letters, and how many there are of each class.

    A letter's name is its place in the topic dead-letters, partition@offset. Times are UTC.
    """
    from ops import letters_run as command
    from ops import local

    settings = local.settings()
    wanted = _filter(settings, topic, cause, message, since, until, attempts, is_open)
    command.listed(settings, wanted, limit, as_json=as_json)


@letters_app.command()
def show(
    place: Annotated[str, typer.Argument(metavar="PLACE", help="Such as 3@17; see `list`.")],
    whole: Annotated[bool, typer.Option("--whole", help="All of it, however long.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Only the value's bytes, unescaped.")] = False,
    as_json: Json = False,
) -> None:
    """Show one dead letter: where it came from, why it failed, headers, key and value.

    What is not plain text is escaped: \\xNN for a byte, \\uNNNN for a character.
    """
    from gateway.letters import Place
    from ops import letters_run as command
    from ops import local

    place_ = Place.parse(place)
    command.show(local.settings(), place_, whole=whole, raw_bytes=raw, as_json=as_json)


@letters_app.command()
def redrive(
    places: Annotated[
        list[str] | None, typer.Argument(metavar="PLACE", help="Such as 3@17; see `list`.")
    ] = None,
    topic: Topic = None,
    cause: Class = None,
    message: Message = None,
    since: Since = None,
    until: Until = None,
    attempts: Attempts = None,
    every: Annotated[bool, typer.Option("--all", help="All that are open.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Those that were sent back before, too.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Send at most so many.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Send dead letters back to the topics that they came from.

    Key, value and headers go as they were received. What fails again comes back as a new letter
    with its attempts counted on. What was sent back before is left out.

    Sending twice does no harm: a completion is recorded once, a request has one outcome.
    """
    from gateway.letters import Place
    from gateway.redrive import Meant
    from ops import letters_run as command
    from ops import local
    from schemas.errors import UsageError

    filters = (topic, cause, message, since, until, attempts)
    given = [bool(places), any(one is not None for one in filters), every]
    if sum(given) != 1:
        raise UsageError("Say which: places, filters, or --all.")
    settings = local.settings()
    log_warnings(settings, "redrive")
    wanted = _filter(settings, *filters, is_open=False)
    meant = Meant(wanted, [Place.parse(place) for place in places or ()], again, limit)
    command.redrive(settings, meant, dry_run=dry_run, yes=yes, as_json=as_json)


def _filter(
    settings: Settings, topic: str | None, cause: str | None, message: str | None,
    since: str | None, until: str | None, attempts: int | None, is_open: bool,
) -> Filter:  # fmt: skip
    from datetime import UTC, datetime

    from gateway.letters import Filter
    from ops.when import moment

    now = datetime.now(UTC)
    return Filter(
        topics=None if topic is None else (topic, settings.topic_prefix + topic),
        cause=cause,
        message=message,
        since=None if since is None else moment(since, now),
        until=None if until is None else moment(until, now),
        attempts=attempts,
        is_open=is_open,
    )


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(letters_app, name="dead-letters")
