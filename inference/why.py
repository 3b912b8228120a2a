"""What moved a prediction: it is made again without each of its reasons.

Bounded: the newest completions are looked at one by one, those before them by topic, and what lies
further back is left out of all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from inference.learners import Ask, milliseconds
from inference.predictor import Predictor
from inference.told import Answer
from schemas.history import History
from schemas.replies import Effect
from training.metrics import take

SINGLE, TOPICS, LOOKED_AT = 20, 6, 128
SENTENCES, WORTH_A_SENTENCE = 4, 0.005
HOUR, DAY = 3600.0, 86_400.0

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Explained:
    """The answer that was explained, its effects, the strongest first, and sentences."""

    answer: Answer
    effects: tuple[Effect, ...]
    words: tuple[str, ...]


def explain(predictor: Predictor, ask: Ask, past: History) -> Explained:
    """Why the predictor answers an ask as it does, after a learner's completions."""
    done = np.rint(past.completed_at * 1000) <= milliseconds(ask.started_at)
    past = take(past, np.flatnonzero(done)[-LOOKED_AT:])
    left_out = _reasons(past)
    kept = [np.setdiff1d(np.arange(len(past)), rows) for _, _, rows in left_out]
    pasts = [past, *(take(past, rows) for rows in kept)]
    answer, *others = predictor.predict([ask] * len(pasts), pasts)
    effects = [
        _effect(kind, name, answer, other, past, rows)
        for (kind, name, rows), other in zip(left_out, others, strict=True)
    ]
    words = _sentences(effects, past, left_out, ask.started_at)
    groups = predictor.without_groups(ask, past).items()
    effects += [_effect("inputs", name, answer, other, past, NONE) for name, other in groups]
    effects.sort(key=lambda effect: -abs(effect.p_change))
    return Explained(answer, tuple(effects), words)


NONE: Rows = np.zeros(0, dtype=np.int64)
Reason = tuple[str, str, Rows]


def _reasons(past: History) -> list[Reason]:
    """The newest completions one by one, then the others by topic, the frequent ones."""
    n = len(past)
    found: list[Reason] = [
        ("completion", f"{past.topics[row]}, {past.difficulties[row]}", np.array([row]))
        for row in range(n - 1, max(-1, n - 1 - SINGLE), -1)
    ]
    topics = past.topics[: max(0, n - SINGLE)].astype(str)
    names, counts = np.unique(topics, return_counts=True)
    for name in names[np.argsort(-counts, kind="stable")][:TOPICS].tolist():
        rows = np.flatnonzero(topics == name)
        found.append(("topic", f"{len(rows)} earlier tasks of {name}", rows))
    return found


def _effect(
    kind: str, name: str, answer: Answer, other: Answer, past: History, rows: Rows
) -> Effect:
    more = {}
    if kind == "completion":
        (row,) = rows.tolist()
        at = datetime.fromtimestamp(float(past.completed_at[row]), UTC)
        more = {
            "number": int(past.numbers[row]),
            "is_correct": bool(past.is_correct[row]),
            "completed_at": at,
        }
    return Effect.model_validate(
        {
            "kind": kind,
            "name": name[:500],
            "p_change": answer.p_correct - other.p_correct,
            "seconds_change": answer.expected_seconds - other.expected_seconds,
            **more,
        }
    )


def _sentences(
    effects: Sequence[Effect], past: History, reasons: Sequence[Reason], now: float
) -> tuple[str, ...]:
    """The strongest few, completions of one topic, outcome and time taken together."""
    sums: dict[tuple[str, bool, str], list[float]] = {}
    found: dict[str, float] = {}
    for effect, (kind, name, rows) in zip(effects, reasons, strict=True):
        if kind == "topic":
            found[name] = effect.p_change
            continue
        (row,) = rows.tolist()
        when = _when(now - float(past.completed_at[row]))
        key = (str(past.topics[row]), bool(past.is_correct[row]), when)
        sums.setdefault(key, []).append(effect.p_change)
    for (topic, right, when), changes in sums.items():
        found[f"{_times(len(changes), right)} in {topic} {when}"] = sum(changes)
    strongest = sorted(found.items(), key=lambda item: -abs(item[1]))[:SENTENCES]
    return tuple(
        f"{words[:480]}: {change:+.2f}"
        for words, change in strongest
        if abs(change) >= WORTH_A_SENTENCE
    )


def _times(count: int, right: bool) -> str:
    one, several = ("right answer", "right answers") if right else ("miss", "misses")
    return f"a {one}" if count == 1 else f"{count} {several}"


def _when(seconds: float) -> str:
    if seconds < HOUR:
        return "within the hour"
    if seconds < DAY:
        return "within the day"
    days = int(seconds // DAY)
    return "a day before" if days == 1 else f"{days} days before"
