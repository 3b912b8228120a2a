"""`retrace replay --rebuild-store`: begins a new generation, and watches the log being read again.

The streams workers do the reading, from where the store says they stand. So this process may end
at any time, and another one may watch on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import TopicPartition
from rich.progress import TimeRemainingColumn
from sqlalchemy import Engine

from gateway.numerals import grouped, plural
from ops import replay
from ops.ranges import total
from ops.terminal import progress
from schemas import codec, topics
from schemas.codec import Raw
from schemas.errors import RetraceError, Unreachable, UsageError
from schemas.events import OffsetRange
from schemas.settings import Settings
from streams import database, declare, kafka, log, rebuild, tails
from streams.store import Store

PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.2


@dataclass
class Rebuild:
    """One rebuild of the store, from ``spans``' firsts to the log's end as of its start.

    ``letters``: where dead letters stood before; None where another process began it.
    """

    settings: Settings
    spans: Sequence[OffsetRange]
    letters: list[TopicPartition] | None = None
    before: int | None = None

    def __post_init__(self) -> None:
        self.engine: Engine = database.connect(
            self.settings.database_url.get_secret_value(), "cli", statement_seconds=600
        )
        self.store = Store(self.engine)
        self.topic_id = declare.topic_id(kafka.admin(self.settings), log.name(self.settings))

    def begin(self) -> None:
        """Empty the store; from now on the workers read the log again."""
        names = [self.settings.topic_prefix + topics.DEAD_LETTERS.name]
        self.letters = tails.ends(self.settings, names)
        first = {span.partition: span.first for span in self.spans}
        self.before = rebuild.begin(self.engine, self.topic_id, log.name(self.settings), first)

    def done(self, spans: Sequence[OffsetRange]) -> int:
        """How many of these offsets have been read."""
        stored = self.store.positions(self.topic_id)
        return sum(min(max(stored.get(s.partition, 0), s.first), s.end) - s.first for s in spans)

    def watch(self, advance: Callable[[int], None]) -> None:
        """Return when all is recorded. Raises ``Unreachable`` where nothing moves for a minute."""
        wanted, before = total(self.spans), -1
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (done := self._tried()) < wanted:
            if done > before:
                before, deadline = done, time.monotonic() + PATIENCE_SECONDS
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"Recording stands at {percent(done, wanted)} and does not move. Is `retrace "
                    "streams` running? It goes on by itself; --resume watches it."
                )
            advance(done)
            time.sleep(LOOK_SECONDS)
        advance(wanted)

    def _tried(self) -> int:
        try:
            return self.done(self.spans)
        except Exception as error:
            if not database.is_away(error):
                raise
            return -1

    def facts(self, state: str) -> dict[str, Any]:
        """What came of it so far; what was left out is known to who began it, at its end."""
        generation, last = self.store.standing()
        read, wanted = self.done(self.spans), total(self.spans)
        found: dict[str, Any] = {
            "state": state, "generation": generation, "before": self.before, "completions": last,
            "messages": wanted, "read": read,
        }  # fmt: skip
        return found | (self._account(wanted) if state == "rebuilt" else {})

    def _account(self, messages: int) -> dict[str, Any]:
        first = {span.partition: span.first for span in self.spans}
        end = {span.partition: span.end for span in self.spans}
        recorded = rebuild.recorded(self.engine, first, end)
        if self.letters is None:
            return {"recorded": recorded}
        bad = Counter(self._causes(first, end).values())
        conflicts = bad.pop("conflict", 0)
        duplicates = messages - recorded - bad.total() - conflicts
        skipped = {"bad": dict(bad), "conflicts": conflicts, "duplicates": duplicates}
        return {"recorded": recorded, "skipped": skipped}

    def _causes(self, first: dict[int, int], end: dict[int, int]) -> dict[tuple[int, int], str]:
        """The places of the range that were dead-lettered meanwhile, and why."""
        found = {}
        for letter in tails.published_since(self.settings, self.letters or []):
            place, cause = _origin(letter, log.name(self.settings))
            if place is not None and first.get(place[0], 0) <= place[1] < end.get(place[0], 0):
                found[place] = cause
        return found


def _origin(letter: Raw, topic: str) -> tuple[tuple[int, int] | None, str]:
    facts = codec.error_facts(letter.headers)
    if facts.get("topic") != topic:
        return None, ""
    return (int(facts["partition"]), int(facts["offset"])), facts["class"]


def follow(running: Rebuild) -> dict[str, Any]:
    """Watch with a bar; Ctrl-C leaves it going on."""
    with progress(TimeRemainingColumn(compact=True)) as bars:
        bar = bars.add_task("recording again", total=total(running.spans))
        try:
            running.watch(lambda done: bars.update(bar, completed=done))
        except KeyboardInterrupt:
            return running.facts("rebuilding")
    return running.facts("rebuilt")


def percent(done: int, wanted: int) -> str:
    return f"{100 * max(done, 0) // max(wanted, 1)} %"


def require_settled(running: Rebuild, held: Sequence[OffsetRange]) -> None:
    """Raises RetraceError where recording is far from the log's end, as in a rebuild."""
    done, wanted = running.done(held), total(held)
    if wanted - done > running.settings.batch_size:
        raise RetraceError(
            f"Recording stands at {percent(done, wanted)} of the log: the store is still being "
            "rebuilt, or streams lags. --resume watches it; --yes begins anew."
        )


def require_open_ended(spans: Sequence[OffsetRange], held: Sequence[OffsetRange]) -> None:
    """Raises UsageError where a range leaves out a partition, or ends before the log does."""
    ends = {span.partition: span.end for span in spans}
    if any(ends.get(span.partition, -1) < span.end for span in held):
        raise UsageError("--rebuild-store needs every partition, each to its end: P@FROM-,…")


def warning(running: Rebuild) -> str:
    """What is about to happen."""
    _, last = running.store.standing()
    return (
        f"The store forgets its {plural(last, 'completion')} and records "
        f"{plural(total(running.spans), 'message')} of the log again; until then predictions know "
        "only what has been read."
    )


def words(facts: dict[str, Any]) -> str:
    """What came of it, for people."""
    if facts["state"] == "rebuilding":
        so_far = percent(facts["read"], facts["messages"])
        return f"Still being rebuilt: {so_far}. It goes on by itself; --resume watches it."
    before = "" if facts["before"] is None else f", {grouped(facts['before'])} before"
    said = f"Rebuilt: {plural(facts['completions'], 'completion')}{before}. Of the range: "
    if "skipped" not in facts:
        return said + f"{grouped(facts['recorded'])} of {plural(facts['messages'], 'message')}."
    return said + replay.words(facts)
