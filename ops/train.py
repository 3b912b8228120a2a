"""`retrace train`: asks for a training by hand, and follows it to its outcome."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from gateway.requests import publish
from ops.terminal import err
from schemas import codec, events, topics
from schemas.events import TrainingProgress
from schemas.settings import Settings
from streams import tails
from training.requests import ENDED


def ask(settings: Settings, wanted: events.TrainRequest, *, wait: bool) -> dict[str, object]:
    """Publish a request, and follow it to its outcome where that is waited for."""
    facts: dict[str, object] = {
        "request_id": wanted.request_id, "completions": wanted.completions, "state": "requested",
    }  # fmt: skip
    if not wait:
        publish(settings, wanted)
        return facts
    bars = Bars()
    with bars.progress:
        outcome = publish_and_wait(settings, wanted, bars)
    return facts | {name: getattr(outcome, name) for name in ("state", "version", "reason")}


def publish_and_wait(
    settings: Settings, wanted: events.TrainRequest, seen: Callable[[TrainingProgress], None]
) -> TrainingProgress:
    """Publish a request and follow its progress; the outcome."""
    name = settings.topic_prefix + topics.TRAINING_PROGRESS.name
    places = tails.ends(settings, [name])
    publish(settings, wanted)
    limit = topics.TRAINING_PROGRESS.max_bytes
    for raw in tails.follow_from(settings, places, stop=threading.Event()):
        event = codec.decode(TrainingProgress, limit, raw, datetime.now(UTC))
        if isinstance(event, TrainingProgress) and event.request_id == wanted.request_id:
            seen(event)
            if event.state in ENDED:
                return event
    raise AssertionError("following ends only with an outcome")


class Bars:
    """A bar per network's epochs on standard error; nothing where that is no terminal."""

    def __init__(self) -> None:
        console = err()
        self.progress = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[losses]}", style="dim"),
            console=console,
            disable=not console.is_terminal,
        )
        self._bars: dict[str, TaskID] = {}
        self._waiting = self.progress.add_task("waiting for the trainer", total=None, losses="")

    def __call__(self, event: TrainingProgress) -> None:
        self.progress.update(self._waiting, visible=False)
        if event.model is None or event.epoch is None:
            return
        if event.model not in self._bars:
            bar = self.progress.add_task(event.model, total=event.epochs, losses="")
            self._bars[event.model] = bar
        losses = f"loss {event.loss or 0:.4f}  val {event.val_loss or 0:.4f}"
        self.progress.update(self._bars[event.model], completed=event.epoch, losses=losses)


def words(facts: dict[str, object]) -> str:
    """What came of it, in one line."""
    if facts["state"] == "requested":
        return f"Requested {facts['request_id']} for {facts['completions']} completions."
    version = f" as version {facts['version']}" if facts.get("version") else ""
    reason = f": {facts['reason']}" if facts.get("reason") else "."
    return f"{facts['request_id']} {facts['state']}{version}{reason}"
