"""PURE: the overview in words: lines of text, and how each is to be coloured."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.pages.frame import Viewer
from schemas.events import TrainingProgress

Line = tuple[str, str]  # text, and a class of look.css
Part = Any
MOST = 6


def _lost(part: Part) -> list[Line] | None:
    if isinstance(part, Mapping) and set(part) == {"error"}:
        return [(f"Cannot be read: {part['error']}", "bad")]
    return None


def serving(part: Part, now: datetime) -> list[Line]:
    """The version that serves, its age, and how good it is."""
    if lost := _lost(part):
        return lost
    if part is None:
        return [("No version yet; predictions are the default.", "soft"),
                ("The first comes with ten completions.", "soft")]  # fmt: skip
    held = ", held" if part["held_since"] else ""
    metrics = part["metrics"]
    lines = [
        (f"Version {part['version']}{held}", "big"),
        (f"Trained {age(part['trained_at'], now)} ago on {part['completions']:,} completions.", ""),
    ]
    if metrics.get("log_loss") is not None:
        rows = f"on {metrics['rows']:,} rows it had not learned"
        lines.append((f"Log loss {metrics['log_loss']:.3f}{_beside(metrics)} {rows}.", ""))
    return lines


def _beside(metrics: Mapping[str, Any]) -> str:
    peers = {"LNIRT": metrics.get("lnirt"), "topic × difficulty": metrics.get("topic_difficulty")}
    told = [
        f"{name} {peer['log_loss']:.3f}"
        for name, peer in peers.items()
        if peer and peer.get("log_loss") is not None
    ]
    return f" ({', '.join(told)})" if told else ""


def services(part: Part) -> list[Line]:
    """Each service, and what it waits for."""
    if lost := _lost(part):
        return lost
    return [_service(name, state) for name, state in part.items()]


def _service(name: str, state: Mapping[str, Any]) -> Line:
    if state.get("ready"):
        return f"● {name}: ready", "good"
    if "error" in state:
        return f"○ {name}: does not answer", "bad"
    away = [each for each, it in state.get("dependencies", {}).items() if not it["ok"]]
    return f"◐ {name}: waits for {', '.join(away) or 'its start'}", "warn"


def accuracy(part: Part, who: Viewer) -> list[Line]:
    """The newest window's scores, by version and source."""
    if lost := _lost(part):
        return lost
    if not part:
        return [("Nothing yet: it comes when predicted tasks have been completed.", "soft")]
    start = datetime.fromisoformat(part[0]["window_start"])
    newest = [each for each in part if each["window_start"] == part[0]["window_start"]]
    lines = [(f"Since {who.clock(start, '%H:%M')}:", "soft")]
    for each in newest[: MOST - 1]:
        version = f" version {each['version']}" if each["version"] else ""
        arm = ", challenger" if each["arm"] == "challenger" else ""
        lines.append(
            (
                f"{each['source']}{version}{arm}: {each['rows']:,} tasks, log loss "
                f"{each['log_loss']:.3f}, {each['mae_seconds']:.1f} s off",
                "",
            )
        )
    return lines


def lag(part: Part, letters: Part) -> list[Line]:
    """Messages that wait for each group, and dead letters."""
    lines = _lost(part) or [
        (
            f"{group.removeprefix('retrace-')}: {'not known' if behind is None else f'{behind:,}'}",
            "",
        )
        for group, behind in part.items()
    ]
    dead = f"{letters:,}" if isinstance(letters, int) else "not known"
    return [*lines, (f"dead letters: {dead}", "warn" if letters else "")]


def failures(part: Part, who: Viewer) -> list[Line]:
    """The newest trainings that failed or were rejected."""
    if lost := _lost(part):
        return lost
    if not part:
        return [("None.", "soft")]
    return [
        (
            f"{who.clock(each['ended_at'])} {each['request_id']} {each['state']}: {each['reason']}",
            "bad" if each["state"] == "failed" else "",
        )
        for each in part
    ]


def windows(part: Part) -> str:
    """How much was counted, and how much of it late."""
    if lost := _lost(part):
        return lost[0][0]
    if not part["newest"]:
        return "Nothing was counted yet: completions appear here by the minute."
    late = f", {part['late']:,} of them late" if part["late"] else ""
    return f"{part['total']:,} counted{late}, in windows of {part['window_seconds']} s."


def training(part: Part | list[TrainingProgress], who: Viewer) -> str:
    """What trains now, or what the newest training came to."""
    if lost := _lost(part):
        return lost[0][0]
    if not part:
        return "No training yet: every fifth completion asks for one."
    last = part[-1]
    if last.state in ("started", "epoch"):
        step = f": {last.model}, epoch {last.epoch} of {last.epochs}" if last.epoch else ""
        return f"{last.request_id} is being trained{step}."
    version = f", version {last.version}" if last.version else ""
    reason = f": {last.reason}" if last.reason else ""
    return f"{last.request_id}: {last.state}{version} at {who.clock(last.at)}{reason}."


def age(at: str, now: datetime) -> str:
    """How long ago, in its largest unit."""
    seconds = max((now - datetime.fromisoformat(at)).total_seconds(), 0.0)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
