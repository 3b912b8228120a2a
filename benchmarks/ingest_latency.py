"""From published to recorded and to counted, seen from outside while completions come at a rate.

Recorded: the batch that holds a number arrives on ``completions``. Counted: its train-request
does, which the count agent publishes once it has handled that batch, so every fifth is seen.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from benchmarks import ingest_publish
from benchmarks.ingest_source import Source
from benchmarks.ingest_timeline import percentiles
from schemas import topics
from schemas.codec import Raw
from schemas.settings import Settings
from streams import tails
from streams.store import Store

WARM_SECONDS = 2.0
SETTLE_SECONDS = 0.5
Arrival = tuple[float, Raw]


@dataclass
class Follower:
    """Reads ``completions`` and ``train-request`` from now on, and notes when each came."""

    settings: Settings
    arrivals: list[Arrival] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Follower:
        prefix = self.settings.topic_prefix
        names = [prefix + t.name for t in (topics.COMPLETIONS, topics.TRAIN_REQUEST)]
        begin = tails.ends(self.settings, names)
        self._thread = threading.Thread(target=self._follow, args=(begin,), name="follower")
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop.set()
        self._thread.join()

    def _follow(self, begin: Any) -> None:
        for raw in tails.follow_from(self.settings, begin, stop=self.stop):
            self.arrivals.append((time.monotonic(), raw))


def measure(
    settings: Settings,
    store: Store,
    source: Source,
    rate: float,
    seconds: float,
    await_counted: Callable[[int], object],
) -> dict[str, Any]:
    """Publish at a rate to a worker that has caught up. ``await_counted(n)`` returns when n are."""
    before = store.standing()[1]
    with Follower(settings) as follower:
        warm = ingest_publish.open_loop(settings, source, rate, WARM_SECONDS)
        due = ingest_publish.open_loop(settings, source, rate, seconds)
        await_counted(before + len(warm) + len(due))
        time.sleep(SETTLE_SECONDS)  # the last arrivals, which only the follower sees
    numbered = _due_by_number(store, before, due)
    came = {kind: _first(follower.arrivals, settings, kind) for kind in ("recorded", "counted")}
    return {
        "rate": rate,
        "seconds": seconds,
        "published": len(warm) + len(due),
        **{f"{kind}_ms": latencies(numbered, arrived) for kind, arrived in came.items()},
    }


def latencies(due: Mapping[int, float], came: Mapping[int, float]) -> dict[str, Any]:
    """Milliseconds from due to come, of the numbers that are in both."""
    return percentiles([(came[n] - at) * 1000 for n, at in due.items() if n in came])


def _first(arrivals: Iterable[Arrival], settings: Settings, kind: str) -> dict[int, float]:
    """Number to when it first came."""
    topic = {"recorded": topics.COMPLETIONS, "counted": topics.TRAIN_REQUEST}[kind]
    name = settings.topic_prefix + topic.name
    found: dict[int, float] = {}
    for at, raw in arrivals:
        if raw.topic == name:
            for number in numbers(raw):
                found.setdefault(number, at)
    return found


def numbers(raw: Raw) -> list[int]:
    """The numbers that a message of ``completions`` or ``train-request`` speaks of."""
    value = json.loads(raw.value or b"{}")
    if "items" in value:
        return [item["number"] for item in value["items"]]
    return [value["completions"]] if value.get("trigger") == "count" else []


def _due_by_number(store: Store, before: int, due: Mapping[str, float]) -> dict[int, float]:
    query = text("SELECT number, task_id FROM completions WHERE number > :before")
    with store.engine.connect() as connection:
        rows = connection.execute(query, {"before": before}).all()
    return {number: due[task_id] for number, task_id in rows if task_id in due}
