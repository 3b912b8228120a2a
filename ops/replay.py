"""`retrace replay`: a range of the log, what it holds, and a training from exactly that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.progress import TimeRemainingColumn
from sqlalchemy.exc import ProgrammingError

from gateway import requests
from gateway.numerals import plural
from ops import ranges, survey
from ops.survey import Survey
from ops.terminal import progress
from ops.when import moment
from schemas import codec, events
from schemas.errors import UsageError
from schemas.events import OffsetRange
from schemas.settings import Settings
from streams import database, log
from streams.forgotten import Forgotten
from streams.known import Known


@dataclass(frozen=True)
class Wish:
    """A range as asked for: by time, or by offsets."""

    since: str | None = None
    until: str | None = None
    offsets: str | None = None

    def times(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        """From when, and until when. Raises UsageError where these are no times."""
        since, until = (None if t is None else moment(t, now) for t in (self.since, self.until))
        return since, until

    def require_clear(self, now: datetime) -> None:
        """Raises UsageError where it says two things at once, or no time."""
        if self.offsets and (self.since or self.until):
            raise UsageError("--offsets says it all: leave out --from and --until")
        since, until = self.times(now)
        if since and until and since >= until:
            raise UsageError("--until must be after --from")


@dataclass(frozen=True)
class Range:
    """A range of the log, resolved to offsets: reading it again gives the same."""

    spans: tuple[OffsetRange, ...]
    since: datetime | None = None
    until: datetime | None = None

    def facts(self) -> dict[str, Any]:
        return {
            "since": codec.rfc3339(self.since) if self.since else None,
            "until": codec.rfc3339(self.until) if self.until else None,
        }


def resolve(settings: Settings, wish: Wish, now: datetime) -> Range:
    """The offsets of a wish, as of now."""
    if wish.offsets:
        return Range(ranges.offsets(wish.offsets, log.bounds(settings)))
    since, until = wish.times(now)
    return Range(log.between(settings, since, until), since, until)


def look(settings: Settings, spans: Sequence[OffsetRange], now: datetime) -> Survey:
    """What a range holds, with a bar while it is read."""
    gone = _forgotten(settings)
    with progress(TimeRemainingColumn(compact=True)) as bars:
        bar = bars.add_task("reading the log", total=ranges.total(spans))
        return survey.take(
            settings, spans, now, lambda done: bars.update(bar, completed=done), gone
        )


def _forgotten(settings: Settings) -> Forgotten:
    engine = database.connect(settings.database_url.get_secret_value(), "cli")
    try:
        return Known().now(engine)
    except ProgrammingError as error:
        if not database.is_emptied(error):
            raise
        return Forgotten()  # a store without tables yet has forgotten nobody
    finally:
        engine.dispose()


def request(found: Range, held: Survey, now: datetime) -> events.TrainRequest:
    """A request for exactly that range. Raises UsageError where it holds no completion."""
    if not held.completions:
        raise UsageError("That range holds no completion to train on.")
    spans = tuple(span for span in found.spans if span.first < span.end)
    data = events.DataRange(source="log", since=found.since, until=found.until, offsets=spans)
    return events.TrainRequest(
        request_id=requests.name("replay", now), trigger="replay", completions=held.completions,
        requested_at=now, data=data,
    )  # fmt: skip


def words(facts: dict[str, Any]) -> str:
    """What a range holds, in one line; what is left out, and why."""
    skipped = facts["skipped"]
    causes = [f"{plural(count, 'message')} {cause}" for cause, count in skipped["bad"].items()]
    for name in ("conflicts", "duplicates"):
        if skipped[name]:
            causes.append(plural(skipped[name], name[:-1]))
    if skipped.get("forgotten"):
        causes.append(f"{plural(skipped['forgotten'], 'message')} of forgotten learners")
    left_out = f" Left out: {', '.join(causes)}." if causes else " Nothing is left out."
    recorded = facts.get("recorded", facts["completions"])
    return f"{plural(facts['messages'], 'message')}, {plural(recorded, 'completion')}.{left_out}"
