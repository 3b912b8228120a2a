"""Histories to arrays, the same code for training and for serving, so that they can't differ.

A step's inputs are what is known when its task starts: the learner, topic, difficulty and start
time. Its outcome and duration never enter. A task to predict is the last step after the learner's
earlier completions. Pure: imports numpy and the schemas, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.history import History

MAX_STEPS = 1024
SHORTEST = 8
LEARNERS = 16

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Vocabulary:
    """Names with their indices 1 … n; 0 stands for every other name."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, values: NDArray[np.object_]) -> Vocabulary:
        return cls(tuple(sorted({str(value) for value in values})))

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names, start=1)}

    def index(self, name: str) -> int:
        return self._indices.get(name, 0)

    def encode(self, values: NDArray[np.object_]) -> Ints:
        indices = (self._indices.get(value, 0) for value in values)
        return np.fromiter(indices, dtype=np.int64, count=len(values))


@dataclass(frozen=True)
class Scaling:
    """Start times in the training range become 0 … 1; beyond it they stop at -1 and 2."""

    first: float
    last: float

    @classmethod
    def of(cls, times: NDArray[np.float64]) -> Scaling:
        return cls(float(times.min()), float(times.max())) if len(times) else cls(0.0, 0.0)

    def apply(self, times: NDArray[np.float64]) -> NDArray[np.float32]:
        span = self.last - self.first
        scaled = (times - self.first) / (span if span > 0 else 1.0)
        return np.clip(scaled, -1.0, 2.0).astype(np.float32)


@dataclass(frozen=True)
class Encoder:
    """Everything needed to turn tasks into the networks' inputs; kept with the model."""

    users: Vocabulary
    topics: Vocabulary
    difficulties: Vocabulary
    scaling: Scaling

    @classmethod
    def of(cls, history: History) -> Encoder:
        return cls(
            Vocabulary.of(history.users),
            Vocabulary.of(history.topics),
            Vocabulary.of(history.difficulties),
            Scaling.of(history.started_at),
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
class Steps:
    """One learner's tasks in the store's order, as columns of equal length.

    ``rows`` are positions in the history the steps came from; -1 for a task to predict.
    """

    rows: Ints
    user: Ints
    topic: Ints
    difficulty: Ints
    time: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Batch:
    """Steps padded on the right to [B, T]; ``mask`` is 1 for real steps, ``rows`` -1 elsewhere.

    ``members`` are the positions of the batch's sequences in the list they came from.
    """

    members: Ints
    rows: Ints
    user: NDArray[np.int32]
    topic: NDArray[np.int32]
    difficulty: NDArray[np.int32]
    time: NDArray[np.float32]
    mask: NDArray[np.float32]

    @property
    def inputs(self) -> dict[str, NDArray[Any]]:
        return {
            "user": self.user,
            "topic": self.topic,
            "difficulty": self.difficulty,
            "time": self.time,
        }


def sequences(history: History, encoder: Encoder) -> list[Steps]:
    """One ``Steps`` a learner, by name, each with the newest ``MAX_STEPS`` completions at most."""
    if not len(history):
        return []
    order = np.argsort(history.numbers, kind="stable")
    names, learner = np.unique(history.users.astype(str), return_inverse=True)
    order = order[np.argsort(learner[order], kind="stable")]
    edges = np.cumsum(np.bincount(learner, minlength=len(names)))[:-1]
    every = _encode(history, encoder)
    return [_take(every, rows[-MAX_STEPS:]) for rows in np.split(order, edges)]


def with_task(
    past: History, encoder: Encoder, user: str, topic: str, difficulty: str, started_at: float
) -> Steps:
    """A learner's newest completions, then the task to predict as the last step."""
    newest = np.argsort(past.numbers, kind="stable")[-(MAX_STEPS - 1) :]
    steps = _take(_encode(past, encoder), newest)
    start = encoder.scaling.apply(np.array([started_at], dtype=np.float64))
    return Steps(
        np.append(steps.rows, -1),
        np.append(steps.user, encoder.users.index(user)),
        np.append(steps.topic, encoder.topics.index(topic)),
        np.append(steps.difficulty, encoder.difficulties.index(difficulty)),
        np.append(steps.time, start),
    )


def _encode(history: History, encoder: Encoder) -> Steps:
    return Steps(
        np.arange(len(history)),
        encoder.users.encode(history.users),
        encoder.topics.encode(history.topics),
        encoder.difficulties.encode(history.difficulties),
        encoder.scaling.apply(history.started_at),
    )


def _take(steps: Steps, at: Ints) -> Steps:
    columns = (steps.rows, steps.user, steps.topic, steps.difficulty, steps.time)
    return Steps(*(column[at] for column in columns))  # type: ignore[arg-type]


def bucket(steps: int) -> int:
    """The padded length: a multiple of eight, so that shapes are few and little is wasted."""
    return max(1, -(-steps // SHORTEST)) * SHORTEST


def batches(
    all_steps: Sequence[Steps],
    *,
    learners: int = LEARNERS,
    generator: np.random.Generator | None = None,
) -> Iterator[Batch]:
    """Batches of sequences of similar length; with a generator, mixed and in random order."""
    lengths = np.array([bucket(len(steps)) for steps in all_steps], dtype=np.int64)
    order = np.arange(len(lengths)) if generator is None else generator.permutation(len(lengths))
    order = order[np.argsort(-lengths[order], kind="stable")]
    groups = [order[i : i + learners] for i in range(0, len(order), learners)]
    for at in range(len(groups)) if generator is None else generator.permutation(len(groups)):
        yield pad(all_steps, groups[at])


def pad(all_steps: Sequence[Steps], members: Ints) -> Batch:
    """The sequences at ``members``, as [members, bucketed length]."""
    shape = (len(members), bucket(max(len(all_steps[member]) for member in members)))
    rows = np.full(shape, -1, dtype=np.int64)
    user, topic, difficulty = (np.zeros(shape, dtype=np.int32) for _ in range(3))
    time, mask = (np.zeros(shape, dtype=np.float32) for _ in range(2))
    for line, member in enumerate(members):
        steps = all_steps[member]
        here = slice(0, len(steps))
        rows[line, here], mask[line, here] = steps.rows, 1.0
        user[line, here], topic[line, here] = steps.user, steps.topic
        difficulty[line, here], time[line, here] = steps.difficulty, steps.time
    return Batch(members, rows, user, topic, difficulty, time, mask)
