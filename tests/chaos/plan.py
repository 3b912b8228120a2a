"""PURE: a seed to what is published and what is hurt, and when.

Every publication has a name, carried in a header, so that the log itself tells which is which:
``c-1`` a completion (its task id too), ``c-d1`` a duplicate, ``c-x1`` a conflict, ``c-g1`` garbage.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from tests.chaos.garbage import garbage

Kind = Literal["completion", "duplicate", "conflict", "garbage"]
Headers = tuple[tuple[str, bytes | None], ...]
MARK = "chaos"
DUPLICATES, CONFLICTS, GARBAGE = 0.03, 0.005, 0.02
BURSTS, BURST = 8, 300
FAULTS = (
    "worker killed",
    "worker frozen",
    "broker killed",
    "store restarted",
    "connections cut",
    "old state written",
    "offsets deleted",
)
LEARNERS, STAYING = 200, 150  # those from here on may be forgotten
SECONDS_PER_FAULT = 7.0
FROZEN_SECONDS = (12.0, 15.0)  # longer than a session


@dataclass(frozen=True)
class Planned:
    """A publication, ``at`` seconds after the begin, not before ``after`` stands in the log."""

    name: str
    kind: Kind
    at: float
    key: bytes | None
    value: bytes | None
    after: str | None = None

    @property
    def headers(self) -> Headers:
        odd = (("note", None), ("note", b"\xff\x00")) if self.name.endswith("7") else ()
        return ((MARK, self.name.encode()), *odd)


@dataclass(frozen=True)
class Hit:
    """A fault, ``at`` seconds after the begin: which worker, how long, and a share for choices."""

    at: float
    kind: str
    worker: int
    seconds: float
    share: float


def messages(
    seed: int, completions: int, seconds: float, begun: datetime, label: str = "c"
) -> list[Planned]:
    """All publications in the order of their times."""
    rng = random.Random(f"{seed}/load/{label}")
    times = _times(rng, completions, seconds)
    first = [_completion(rng, label, number, at, begun) for number, at in enumerate(times)]
    again = [
        _again(rng, f"{label}-d{number:06}", "duplicate", rng.choice(first), seconds)
        for number in range(round(completions * DUPLICATES))
    ]
    other = [
        _again(rng, f"{label}-x{number:06}", "conflict", one, seconds)
        for number, one in enumerate(rng.sample(first, round(completions * CONFLICTS)))
    ]
    bad = [
        _garbage(rng, f"{label}-g{number:06}", number, rng.choice(first), begun)
        for number in range(round(completions * GARBAGE))
    ]
    return sorted([*first, *again, *other, *bad], key=lambda one: one.at)


def faults(seed: int, seconds: float, kinds: Sequence[str] = FAULTS) -> list[Hit]:
    """Faults over the time of the load: every kind as often as the time allows, then any."""
    rng = random.Random(f"{seed}/faults")
    count = max(len(kinds), round(seconds / SECONDS_PER_FAULT)) if kinds else 0
    chosen = [*kinds] * (count // len(kinds)) if kinds else []
    chosen += rng.choices(kinds, k=count - len(chosen)) if kinds else []
    rng.shuffle(chosen)
    step = (seconds - 4) / max(count, 1)
    return [
        Hit(
            at=2 + step * (order + rng.random() * 0.9),
            kind=kind,
            worker=rng.randrange(2),
            seconds=rng.uniform(*FROZEN_SECONDS) if kind == "worker frozen" else rng.uniform(0, 3),
            share=rng.random(),
        )
        for order, kind in enumerate(chosen)
    ]


def leaver(share: float) -> str:
    """One of the learners who may be forgotten."""
    return f"learner-{STAYING + int(share * (LEARNERS - STAYING))}"


def _times(rng: random.Random, completions: int, seconds: float) -> list[float]:
    """Steady, but for some bursts: what would come over a while comes at once."""
    times = [number * seconds / completions for number in range(completions)]
    size = min(BURST, completions // BURSTS)
    for _ in range(BURSTS):
        start = rng.randrange(completions - size + 1)
        times[start : start + size] = [times[start]] * size
    return times


def _completion(rng: random.Random, label: str, number: int, at: float, begun: datetime) -> Planned:
    user = f"learner-{rng.randrange(LEARNERS)}"
    seconds = round(rng.uniform(1, 300), 2)
    value = {
        "task_id": f"{label}-{number:06}",
        "user_id": user,
        "topic": f"topic-{rng.randrange(8)}",
        "difficulty": rng.choice(("easy", "medium", "hard")),
        "completed_at": (begun + timedelta(seconds=at - _age(rng))).isoformat(),
        "is_correct": rng.random() < 0.6,
        "actual_time_seconds": seconds,
    }
    return Planned(f"{label}-{number:06}", "completion", at, user.encode(), _bytes(value))


def _age(rng: random.Random) -> float:
    """Seconds between event time and publication: mostly none, out of order, a day, ahead."""
    draw = rng.random()
    if draw < 0.02:
        return rng.uniform(86_400, 100_000)
    if draw < 0.04:
        return rng.uniform(600, 86_000)
    if draw < 0.15:
        return rng.uniform(0, 900)
    return rng.uniform(-120, 2) if draw < 0.16 else rng.uniform(0, 2)


def _again(rng: random.Random, name: str, kind: Kind, first: Planned, until: float) -> Planned:
    """The same task once more: the same outcome under any key, or another under its own."""
    value: dict[str, Any] = json.loads(first.value or b"")
    at = min(first.at + rng.expovariate(1 / 8), until)
    key = first.key
    if kind == "duplicate" and rng.random() < 0.3:
        key = None
    elif kind == "conflict":
        value |= {"is_correct": not value["is_correct"]}
    return replace(
        first, name=name, kind=kind, at=at, key=key, after=first.name,
        value=_bytes({**value, "copy": name}),
    )  # fmt: skip


def _garbage(rng: random.Random, name: str, number: int, like: Planned, begun: datetime) -> Planned:
    good = {**json.loads(like.value or b""), "task_id": name, "copy": name}
    value = garbage(number, name, good, begun, rng)
    key = None if rng.random() < 0.1 else name.encode()
    return Planned(name, "garbage", like.at + rng.random(), key, value)


def _bytes(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()
