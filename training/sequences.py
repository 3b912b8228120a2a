"""Histories to arrays, the same code for training, evaluation and serving.

A learner's tasks stand in the order of their start, equal starts in the store's order. A step's
inputs are what is known at its start: the task's words, and what a ``Memory`` holds after the
completions that lie before: ``completed_at`` ≤ this ``started_at``, in whole milliseconds.
Its own outcome and duration never enter. Pure: imports numpy, the schemas and the features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.history import History
from training.features import FEATURES, Memory, Starts, Tasks, places
from training.lnirt import Lnirt

MAX_STEPS = 1024
# Names beyond these are unknown ones: tables stay bounded whatever producers send.
MOST_USERS, MOST_TOPICS, MOST_DIFFICULTIES = 4095, 4095, 63
SHORTEST = 8
LEARNERS, STEPS = 16, 2048
LOG_SECONDS = (-7.0, 12.0)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Vocabulary:
    """Names with their indices 1 … n; 0 stands for every other name."""

    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names, start=1)}

    def index(self, name: str) -> int:
        return self._indices.get(name, 0)

    def encode(self, values: Iterable[str]) -> Ints:
        return np.array([self._indices.get(value, 0) for value in values], dtype=np.int64)

    def extended(self, values: NDArray[np.object_], most: int) -> Vocabulary:
        """With the new names among these after those it has, so that no index changes; the
        frequent ones, where it would hold more than ``most``."""
        counts = Counter(str(value) for value in values)
        new = sorted(counts.keys() - self._indices.keys())
        room = max(0, most - len(self))
        if len(new) > room:
            new = sorted(sorted(new, key=lambda name: -counts[name])[:room])
        return Vocabulary((*self.names, *new)) if new else self


@dataclass(frozen=True)
class Scaling:
    """Start times in the training range become 0 … 1; beyond it they stop at -1 and 2."""

    first: float
    last: float

    @classmethod
    def of(cls, times: Floats) -> Scaling:
        return cls(float(times.min()), float(times.max())) if len(times) else cls(0.0, 0.0)

    def apply(self, times: Floats) -> NDArray[np.float32]:
        span = self.last - self.first
        scaled = (times - self.first) / (span if span > 0 else 1.0)
        return np.clip(scaled, -1.0, 2.0).astype(np.float32)


@dataclass(frozen=True)
class Encoder:
    """Everything needed to turn tasks into numbers; kept with the model."""

    users: Vocabulary
    topics: Vocabulary
    difficulties: Vocabulary
    scaling: Scaling

    @classmethod
    def of(cls, history: History, before: Encoder | None = None) -> Encoder:
        """Of a history; names that ``before`` knows keep their indices."""
        nothing = Vocabulary()
        users, topics, difficulties = (
            (before.users, before.topics, before.difficulties) if before else (nothing,) * 3
        )
        return cls(
            users.extended(history.users, MOST_USERS),
            topics.extended(history.topics, MOST_TOPICS),
            difficulties.extended(history.difficulties, MOST_DIFFICULTIES),
            Scaling.of(history.started_at),
        )

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How many users, topics and difficulties have an index, the unknown one included."""
        return len(self.users) + 1, len(self.topics) + 1, len(self.difficulties) + 1

    def starts(
        self,
        learner: Ints,
        users: Iterable[str],
        topics: Iterable[str],
        difficulties: Iterable[str],
        started_at: Floats,
    ) -> Starts:
        """Tasks at their start as numbers; ``started_at`` Unix seconds."""
        return Starts(
            np.asarray(learner, dtype=np.int64),
            self.users.encode(users),
            self.topics.encode(topics),
            self.difficulties.encode(difficulties),
            _milliseconds(started_at),
        )

    def tasks(self, history: History, learner: Ints | None = None) -> Tasks:
        """A history's rows as numbers; ``learner`` where rows aren't to be told apart by user."""
        if learner is None:
            learner = np.unique(history.users.astype(str), return_inverse=True)[1]
        words = history.users, history.topics, history.difficulties
        starts = self.starts(learner, *words, history.started_at)
        completed = _milliseconds(history.completed_at)
        return Tasks(
            **vars(starts),
            completed=np.maximum(completed, starts.started),
            correct=history.is_correct,
            log_seconds=np.clip(np.log(history.seconds), *LOG_SECONDS),
            timed_out=history.timed_out,
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "users": list(self.users.names),
            "topics": list(self.topics.names),
            "difficulties": list(self.difficulties.names),
            "time": {"first": self.scaling.first, "last": self.scaling.last},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Encoder:
        users, topics, difficulties = (
            Vocabulary(tuple(data[key])) for key in ("users", "topics", "difficulties")
        )
        scaling = Scaling(float(data["time"]["first"]), float(data["time"]["last"]))
        return cls(users, topics, difficulties, scaling)


@dataclass(frozen=True)
class Inputs:
    """What is known when each of n tasks starts: columns of length n in the tasks' order.

    ``columns`` feed the networks: user, topic, difficulty, previous, previous_difficulty int32,
    time float32, features float32 [n, FEATURES]. ``p``, ``mu``, ``sigma`` are LNIRT's answer.
    """

    columns: Mapping[str, NDArray[Any]]
    p: Floats
    mu: Floats
    sigma: Floats


@dataclass(frozen=True)
class Batch:
    """Steps padded on the right to [B, T]; ``rows`` are their tasks' positions, -1 elsewhere."""

    rows: Ints
    mask: NDArray[np.float32]
    inputs: dict[str, NDArray[Any]]


def _milliseconds(at: Floats) -> Ints:
    """Unix seconds in whole milliseconds."""
    return np.rint(at * 1000.0).astype(np.int64)


def replay(tasks: Tasks, encoder: Encoder, model: Lnirt) -> Inputs:
    """Walks through every learner's tasks once, all learners side by side."""
    at, rows = places(tasks)
    memory = Memory(model, int(tasks.learner.max(initial=-1)) + 1, rows)
    return walk(memory, tasks, at, encoder)


def walk(memory: Memory, tasks: Tasks, at: Ints, encoder: Encoder) -> Inputs:
    """What each task's start finds, ``memory`` being advanced from what it holds by all of them;
    ``at`` [n, 4] are the rows of their scopes. Nothing held may have ended after any of them
    starts."""
    n = len(tasks)
    features = np.zeros((n, FEATURES), dtype=np.float32)
    previous = np.zeros((2, n), dtype=np.int32)
    p, mu, sigma = np.zeros((3, n))
    for starts, ends in _rounds(tasks):
        if len(starts):
            known = memory.read(tasks, at, starts)
            features[starts] = known.features
            previous[:, starts] = known.previous, known.previous_difficulty
            p[starts], mu[starts], sigma[starts] = known.p, known.mu, known.sigma
        if len(ends):
            memory.advance(tasks, at, ends)
    return _inputs(tasks, encoder, features, previous, (p, mu, sigma))


def glance(memory: Memory, tasks: Starts, at: Ints, encoder: Encoder) -> Inputs:
    """What the tasks' starts find in ``memory``, which stays as it is; learners may repeat."""
    known = memory.read(tasks, at, slice(None))
    previous, lnirt = (known.previous, known.previous_difficulty), (known.p, known.mu, known.sigma)
    return _inputs(tasks, encoder, known.features.astype(np.float32), previous, lnirt)


def _inputs(
    tasks: Starts,
    encoder: Encoder,
    features: NDArray[np.float32],
    previous: Sequence[Ints] | NDArray[np.int32],
    lnirt: tuple[Floats, Floats, Floats],
) -> Inputs:
    columns = {
        "user": tasks.user.astype(np.int32),
        "topic": tasks.topic.astype(np.int32),
        "difficulty": tasks.difficulty.astype(np.int32),
        "previous": np.asarray(previous[0], np.int32),
        "previous_difficulty": np.asarray(previous[1], np.int32),
        "time": encoder.scaling.apply(tasks.started / 1000.0),
        "features": features,
    }
    return Inputs(columns, *lnirt)


def _rounds(tasks: Tasks) -> Iterator[tuple[Ints, Ints]]:
    """The starts and the completions that come next for each learner: every learner's events in
    the order of time, one a round."""
    n = len(tasks)
    row, learner = np.tile(np.arange(n), 2), np.tile(tasks.learner, 2)
    moment = np.concatenate([tasks.started, tasks.completed])
    is_start = np.arange(2 * n) < n
    # At one instant: what was completed, then what starts, then what took no time at all.
    kind = np.where(is_start, 1, np.where(np.tile(tasks.completed > tasks.started, 2), 0, 2))
    order = np.lexsort((row, kind, moment, learner))
    sorted_learner = learner[order]
    first = np.append(True, sorted_learner[1:] != sorted_learner[:-1])
    at = np.arange(2 * n)
    turn = at - np.maximum.accumulate(np.where(first, at, 0))
    order = order[np.argsort(turn, kind="stable")]
    for events in np.split(order, np.cumsum(np.bincount(turn))[:-1]):
        yield row[events[is_start[events]]], row[events[~is_start[events]]]


def sequences(tasks: Tasks, longest: int = MAX_STEPS) -> list[Ints]:
    """Each learner's rows in the order of their start, cut after every ``longest`` of them."""
    if not len(tasks):
        return []
    order = np.lexsort((np.arange(len(tasks)), tasks.started, tasks.learner))
    edges = np.cumsum(np.bincount(tasks.learner))[:-1]
    whole = np.split(order, edges)
    return [rows[i : i + longest] for rows in whole for i in range(0, len(rows), longest)]


def bucket(steps: Any) -> Any:
    """The padded length: a multiple of eight, so that shapes are few and little is wasted."""
    return np.maximum(1, -(-steps // SHORTEST)) * SHORTEST


def groups(lengths: Ints, generator: np.random.Generator | None = None) -> list[Ints]:
    """Which of these sequences stand in a batch together: those of similar length, ``LEARNERS`` of
    them or as many as fill ``STEPS``; with a generator, mixed and in random order."""
    padded = bucket(lengths)
    order = np.arange(len(padded)) if generator is None else generator.permutation(len(padded))
    order = order[np.argsort(-padded[order], kind="stable")]
    found, start = [], 0
    while start < len(order):
        stop = start + max(LEARNERS, STEPS // int(padded[order[start]]))
        found.append(order[start:stop])
        start = stop
    return found if generator is None else [found[at] for at in generator.permutation(len(found))]


def batches(
    all_rows: Sequence[Ints], inputs: Inputs, generator: np.random.Generator | None = None
) -> Iterator[Batch]:
    """Every sequence once, see ``groups``."""
    lengths = np.array([len(rows) for rows in all_rows], dtype=np.int64)
    for members in groups(lengths, generator):
        yield pad([all_rows[member] for member in members], inputs)


def pad(members: Sequence[Ints], inputs: Inputs) -> Batch:
    """These sequences side by side, as [members, bucketed length]."""
    rows = np.full((len(members), bucket(max(map(len, members)))), -1, dtype=np.int64)
    for line, member in enumerate(members):
        rows[line, : len(member)] = member
    real = rows >= 0
    padded = {}
    for name, column in inputs.columns.items():
        padded[name] = column[rows]
        padded[name][~real] = 0
    return Batch(rows, real.astype(np.float32), padded)
