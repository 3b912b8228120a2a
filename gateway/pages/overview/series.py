"""PURE: what the overview's charts draw: points of [where, value]. Times are Unix ms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from schemas.events import TrainingProgress

WINDOWS = 30
EPOCHS = 60
Points = list[list[Any]]
PEERS = ("ours", "lnirt", "topic_difficulty")
KINDS = ("on time", "open", "late")
MODELS = ("correctness", "time")
MEASURES = ("log_loss", "auc")


def windows(part: Mapping[str, Any], now: datetime) -> dict[str, Points]:
    """Completions of the last windows by kind; empty windows are zero.

    The last window is that of now, or where all is older, the newest with a completion.
    """
    length, found = part["window_seconds"], {each["start"]: each for each in part["newest"]}
    if not found:
        return {kind: [] for kind in KINDS}
    current = int(now.timestamp() // length) * length
    newest = max(found)
    last = current if current - newest < WINDOWS * length else newest
    last = max(last, newest)
    starts = range(last - (WINDOWS - 1) * length, last + 1, length)
    shown = [(start, _kinds(found.get(start))) for start in starts]
    return {kind: [[start * 1000, counts[kind]] for start, counts in shown] for kind in KINDS}


def _kinds(window: Mapping[str, Any] | None) -> dict[str, int]:
    if window is None:
        return dict.fromkeys(KINDS, 0)
    in_time = window["completions"] - window["late"]
    on_time, opened = (in_time, 0) if window["final"] else (0, in_time)
    return {"on time": on_time, "open": opened, "late": window["late"]}


def losses(epochs: Iterable[TrainingProgress], model: str) -> dict[str, Points]:
    """A network's losses in its newest epochs, through trainings; points begin with which epoch."""
    steps = {_step(each): each for each in epochs if each.model == model}
    newest = list(steps.items())[-EPOCHS:]
    return {
        name: [[step, _rounded(getattr(each, name))] for step, each in newest]
        for name in ("loss", "val_loss")
    }


def _step(event: TrainingProgress) -> str:
    return f"{event.request_id} · {event.epoch or 0}/{event.epochs or 0}"


def timeline(
    versions: Sequence[Mapping[str, Any]], measure: str, serving: int | None
) -> dict[str, Points]:
    """Versions by when they were trained, with their peers on the same rows. Points end with the
    version's number. Those that did not pass the gate are apart, as ``rejected``."""
    scored = [each for each in versions if each[measure]["ours"] is not None]
    passed = [each for each in scored if each["state"] == "published"]
    rejected = [each for each in scored if each["state"] != "published"]
    lines = {peer: [_point(each, measure, peer) for each in scored] for peer in PEERS[1:]}
    return {
        "ours": [_point(each, measure, "ours") for each in passed],
        **lines,
        "rejected": [_point(each, measure, "ours") for each in rejected],
        "serving": [_point(each, measure, "ours") for each in scored if each["version"] == serving],
    }


def _point(version: Mapping[str, Any], measure: str, who: str) -> list[Any]:
    at = milliseconds(version["trained_at"])
    return [at, _rounded(version[measure][who]), version["version"]]


def live(windows: Sequence[Mapping[str, Any]]) -> Points:
    """The log loss of what was shown, and of how many, by window."""
    return [
        [milliseconds(each["window_start"]), _rounded(each["log_loss"]), each["rows"]]
        for each in windows
    ]


def baseline(bar: float | None, points: Points) -> Points:
    """A line at this height, as long as the points reach."""
    ends = [points[0], points[-1]] if points and bar is not None else []
    return [[point[0], _rounded(bar)] for point in ends]


def milliseconds(at: str) -> int:
    return round(datetime.fromisoformat(at).timestamp() * 1000)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
