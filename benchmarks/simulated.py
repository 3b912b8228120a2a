"""PURE: histories of any length from learners whose ability and speed are known, in columns.

Learners come and go: each joins at some moment, works in sessions, one task at a time, and learns
by practice. The number of their tasks is log-normal; on the mean it is that of the reference data.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas.history import History

ROWS_PER_LEARNER = 115
LEAST_LEARNERS = 6
TOPICS = 36
DIFFICULTIES = ("easy", "medium", "hard")
BEGIN = 1.7e9
DAY = 86_400.0
SESSION_TASKS = 20
TIME_OUT_SECONDS = 120.0

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def history(rows: int, learners: int, seed: int) -> History:
    """``rows`` completions of these learners in the order of their end, numbered from 1."""
    random = np.random.default_rng(seed)
    user = _users(random, rows, learners)
    topic, difficulty = random.integers(0, TOPICS, rows), random.integers(0, 3, rows)
    practice = np.log1p(_turn(user))
    correct = _correct(random, user, topic, difficulty, practice)
    seconds = _seconds(random, user, topic, difficulty, practice)
    started = _starts(random, user, seconds)
    order = np.argsort(started + seconds, kind="stable")
    return History(
        numbers=np.arange(1, rows + 1),
        users=_names("learner", learners)[user[order]],
        topics=_names("topic", TOPICS)[topic[order]],
        difficulties=np.array(DIFFICULTIES, dtype=object)[difficulty[order]],
        started_at=started[order],
        completed_at=(started + seconds)[order],
        is_correct=correct[order],
        seconds=seconds[order],
        timed_out=seconds[order] >= TIME_OUT_SECONDS,
    )


def learners_of(rows: int) -> int:
    """As many learners as so long a history usually has."""
    return max(LEAST_LEARNERS, rows // ROWS_PER_LEARNER)


def _users(random: np.random.Generator, rows: int, learners: int) -> Ints:
    """[rows] sorted: everyone has a task, and the busiest many."""
    share = random.lognormal(0, 0.7, learners)
    drawn = random.choice(learners, max(rows - learners, 0), p=share / share.sum())
    return np.sort(np.concatenate([np.arange(min(learners, rows)), drawn]))


def _turn(user: Ints) -> Ints:
    """[n] sorted learners to each task's place among the learner's own, from 0."""
    at = np.arange(len(user))
    return at - at[np.searchsorted(user, user)]


def _correct(
    random: np.random.Generator, user: Ints, topic: Ints, difficulty: Ints, practice: Floats
) -> NDArray[np.bool_]:
    ability, strange = random.normal(0, 1.2, user.max() + 1), random.normal(0, 0.7, TOPICS)
    logit = ability[user] + 0.3 * practice - 0.8 - strange[topic] - 1.0 * (difficulty - 1)
    return np.asarray(random.random(len(user)) < 1 / (1 + np.exp(-logit)))


def _seconds(
    random: np.random.Generator, user: Ints, topic: Ints, difficulty: Ints, practice: Floats
) -> Floats:
    speed, intensity = random.normal(0, 0.35, user.max() + 1), random.normal(0, 0.3, TOPICS)
    mean = 3.2 + intensity[topic] + 0.3 * difficulty - speed[user] - 0.05 * practice
    drawn = np.exp(mean + random.normal(0, 0.4, len(user)))
    return np.asarray(np.clip(drawn, 1.0, TIME_OUT_SECONDS).round(3))


def _starts(random: np.random.Generator, user: Ints, seconds: Floats) -> Floats:
    """[n] starts: the learner's own joining, then task after task, with days between sessions."""
    pause = random.exponential(10.0, len(user))
    pause += np.where(random.random(len(user)) < 1 / SESSION_TASKS, random.exponential(2 * DAY), 0)
    spent = np.cumsum(seconds + pause) - seconds
    learners = int(user.max()) + 1
    joined = BEGIN + random.uniform(0, DAY * max(30.0, learners / 10), learners)
    return np.asarray(joined[user] + spent - spent[np.searchsorted(user, user)])


def _names(kind: str, count: int) -> NDArray[np.object_]:
    digits = len(str(count))
    return np.array([f"{kind}-{i + 1:0{digits}d}" for i in range(count)], dtype=object)
