"""PURE: what the overview's cards say of the loop and its accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway import numerals
from gateway.board import Board
from gateway.numerals import grouped, plural
from gateway.troubles.trouble import error_of

READING = "Reading …"
AWAY = "Cannot be read now; State, above, says since when and what to do."
Part = Any


@dataclass(frozen=True)
class Said:
    """What a card says: big, its words, and a state of good, warn, bad or none."""

    big: str
    words: str
    more: str = ""
    state: str = ""


def ago(at: str | datetime, now: datetime) -> str:
    """How long ago, in words that stay the same for a while: what is the same is not sent."""
    then = datetime.fromisoformat(at) if isinstance(at, str) else at
    if (now - then).total_seconds() < numerals.UNITS[-1][0]:
        return "less than a minute ago"
    return numerals.ago(then, now)


def is_read(part: Part) -> bool:
    """Whether a part of the status is there and could be read."""
    return part is not None and not (isinstance(part, dict) and "error" in part)


def absent(status: Mapping[str, Any], name: str) -> str:
    """Why a card has nothing to show; "" where it has."""
    if name not in status:
        return READING
    part = status[name]
    if isinstance(part, dict) and part.get("reached") is False:
        return READING
    return AWAY if isinstance(part, dict) and "error" in part else ""


def training(board: Board, status: Mapping[str, Any], now: datetime) -> Said:
    """What trains now, or how the last training ended."""
    if board.training and error_of((status.get("services") or {}).get("trainer")):
        words = "The trainer does not answer; it begins again once it does."
        return Said("Interrupted", board.training, words, "warn")
    if board.training:
        step = board.epoch
        done = f"{step.model}: epoch {step.epoch} of {step.epochs}." if step else ""
        return Said("Training", board.training, done or "Preparing its data.")
    why = absent(status, "feed") or absent(status, "last_training")
    if why:
        return Said("–", why)
    last = status["last_training"]
    if last is None:
        return Said("Idle", "No training has ended yet.", "The first begins by itself.")
    came = f" as version {last['version']}" if last.get("version") else ""
    words = f"{last['request_id']} {last['state']}{came}, {ago(last['ended_at'], now)}."
    state = "bad" if last["state"] == "failed" else ""
    return Said("Idle", words, _sentence(last.get("reason") or ""), state)


def share(board: Board) -> float:
    """How far the network that trains now is, 0 to 1."""
    step = board.epoch
    return 0.0 if step is None else min(1.0, (step.epoch or 0) / (step.epochs or 1))


def serving(part: Part, now: datetime) -> Said:
    """The version that serves, how old it is and how it was scored."""
    if part is None:
        words = "Predictions are 0.50 and 60 s until the first version is published."
        return Said("None yet", words)
    held = " · held" if part.get("held_since") else ""
    learned = f"from {plural(part['completions'], 'completion')}"
    words = f"Trained {ago(part['trained_at'], now)}, {learned}."
    return Said(f"Version {part['version']}{held}", words, scored(part["metrics"]))


def scored(metrics: Mapping[str, Any]) -> str:
    """A version's log loss beside its peers' on the same rows."""
    if metrics.get("log_loss") is None:
        return "Not scored yet: too few new completions."
    peers = {"lnirt": "LNIRT", "topic_difficulty": "topic × difficulty"}
    beside = [
        f"{name} {peer['log_loss']:.3f}"
        for key, name in peers.items()
        if (peer := metrics.get(key)) and peer.get("log_loss") is not None
    ]
    against = f" against {', '.join(beside)}" if beside else ""
    rows = plural(metrics.get("rows", 0), "completion")
    return f"Log loss {metrics['log_loss']:.3f}{against}, over {rows} that it had not learned."


def live(hour: Part, bar: float | None) -> Said:
    """The live accuracy of the last hour, beside the naive baseline's log loss."""
    if hour is None:
        return Said("–", "No prediction of the last hour has been compared with what happened.")
    words = f"of {plural(hour['rows'], 'prediction')} in the last hour were on the right side of"
    had = "" if bar is None else f"; topic × difficulty had {bar:.3f} when this version was scored"
    more = f"Log loss {hour['log_loss']:.3f}{had}."
    return Said(f"{100 * hour['accuracy']:.0f} %", f"{words} one half.", more)


def naive(serving: Part) -> float | None:
    """The log loss of topic × difficulty where the serving version was scored."""
    metrics = (serving.get("metrics") or {}) if is_read(serving) else {}
    bar: float | None = (metrics.get("topic_difficulty") or {}).get("log_loss")
    return bar


def traffic(windows: Part) -> str:
    """What the windowed counter holds."""
    kept = f"{grouped(windows['total'])} counted, {grouped(windows['open'])} in open windows"
    late = f"{grouped(windows['late'])} came late, {grouped(windows['expired'])} too late to show"
    return f"{kept}; {late}."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""
