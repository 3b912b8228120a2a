"""PURE: what is wrong, from the status: what, since when, and what to do.

The words lead to the symptoms of docs/operations.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

LAG_MANY, BASELINE_ROWS = 5000, 50
NAMES = {"kafka": "Kafka", "store": "PostgreSQL"}


@dataclass(frozen=True)
class Trouble:
    """``since`` None: not known; ``todo`` is a sentence."""

    what: str
    since: datetime | None
    todo: str


def troubles(status: Mapping[str, Any]) -> list[Trouble]:
    """The gravest first; none where all is well."""
    services = status["services"]
    if _is_lost(services):
        return [Trouble("The services' states cannot be read", None, "Run `retrace doctor`.")]
    found = [*_servers(services), *_services(services), *_counts(status), *_lag(status["lag"])]
    return [*found, *_serving(status), *_letters(status["dead_letters"])]


def _is_lost(part: Any) -> bool:
    return isinstance(part, Mapping) and set(part) == {"error"}


def _servers(services: Mapping[str, Any]) -> Iterator[Trouble]:
    """A server that is away is one trouble, whoever tells of it."""
    told: dict[str, str] = {}
    for state in services.values():
        for name, it in state.get("dependencies", {}).items():
            if name in NAMES and not it["ok"]:
                told[name] = min(told.get(name, it["since"]), it["since"])
    for name, since in told.items():
        todo = "Bring it back: everything waits, and goes on by itself."
        yield Trouble(f"{NAMES[name]} is away", datetime.fromisoformat(since), todo)


def _services(services: Mapping[str, Any]) -> Iterator[Trouble]:
    for name, state in services.items():
        if "error" in state:
            todo = f"Start `retrace {name}` again; its log's last lines say why it ended."
            yield Trouble(f"The service {name} does not answer", None, todo)


def _counts(status: Mapping[str, Any]) -> Iterator[Trouble]:
    windows, counter = status["windows"], status["counter"]
    if _is_lost(windows) or _is_lost(counter):
        return
    if windows["gaps"]:
        todo = "It is healed within seconds; if it stays, `retrace doctor` says more."
        yield Trouble(f"{windows['gaps']} numbers are not counted yet", None, todo)


def _lag(lag: Mapping[str, Any]) -> Iterator[Trouble]:
    if _is_lost(lag):
        return
    for group, behind in lag.items():
        if (behind or 0) > LAG_MANY:
            name = group.removeprefix("retrace-")
            todo = "Look whether it shrinks; else start another worker."
            yield Trouble(f"{behind:,} messages wait for {name}", None, todo)


def _serving(status: Mapping[str, Any]) -> Iterator[Trouble]:
    serving, last = status["serving"], status["last_training"]
    if not _is_lost(last) and last is not None and last["state"] == "failed":
        todo = "Its reason is below; `retrace train --wait` tries again."
        yield Trouble("The last training failed", datetime.fromisoformat(last["ended_at"]), todo)
    if serving is None or _is_lost(serving):
        return
    if serving["held_since"]:
        todo = "`retrace models release`, or Settings, lets newer ones serve."
        since = datetime.fromisoformat(serving["held_since"])
        yield Trouble(f"Version {serving['version']} is held", since, todo)
    base = (serving["metrics"].get("topic_difficulty") or {}).get("log_loss")
    ours, rows = serving["metrics"].get("log_loss"), serving["metrics"].get("rows") or 0
    if base is not None and ours is not None and rows >= BASELINE_ROWS and ours > base:
        todo = "`retrace models rollback` serves the one before; then look for the cause."
        since = datetime.fromisoformat(serving["trained_at"])
        what = f"Version {serving['version']} predicts worse than topic × difficulty"
        yield Trouble(what, since, todo)


def _letters(count: Any) -> Iterator[Trouble]:
    if isinstance(count, int) and count:
        todo = "`retrace dead-letters list` says why; fix the cause, then redrive them."
        yield Trouble(f"{count:,} dead letters lie in the topic", None, todo)
