"""PURE: how a learner gets on with each topic, task by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

RUNNING = 20


@dataclass(frozen=True)
class Practised:
    """A completed task."""

    topic: str
    correct: bool
    seconds: float
    at: datetime


@dataclass(frozen=True)
class Step:
    """After the ``task``-th task on a topic, of those looked at: the share of right answers and the
    median seconds of the last twenty, or as many as there are."""

    topic: str
    task: int
    at: datetime
    success: float
    seconds: float


Curves = Mapping[str, Sequence[Step]]  # by topic


def curves(tasks: Sequence[Practised]) -> Curves:
    """A curve a topic, those of most tasks first; ``tasks`` are in their order."""
    topics: dict[str, list[Practised]] = {}
    for task in tasks:
        topics.setdefault(task.topic, []).append(task)
    most = sorted(topics, key=lambda topic: (-len(topics[topic]), topic))
    return {topic: [_step(topics[topic], at) for at in range(len(topics[topic]))] for topic in most}


def _step(tasks: Sequence[Practised], at: int) -> Step:
    last = tasks[max(0, at + 1 - RUNNING) : at + 1]
    success = sum(task.correct for task in last) / len(last)
    seconds = median(task.seconds for task in last)
    return Step(tasks[at].topic, at + 1, tasks[at].at, success, seconds)
