"""How a network learns from a history: epochs from scratch, a few steps more, predictions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ModelRejected
from training.sequences import LEARNERS, Batch, Inputs, batches, groups, pad
from training.steps import TrainingSteps

USER_DROPOUT = 0.5
REPLAYED = 256

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Lesson:
    """What one network learns from: columns of n rows, ``prior`` as it stood before each outcome.

    ``own`` is the part of the prior that comes from who the learner is; ``values`` are outcomes or
    log seconds; ``sequences`` the rows of each learner in order.
    """

    inputs: Inputs
    sequences: Sequence[Ints]
    prior: Singles
    own: Singles
    values: Singles
    timed_out: Singles


def cosine(rate: float, steps: int) -> Iterator[float]:
    """Learning rates that fall from ``rate`` to nothing (Loshchilov and Hutter 2017)."""
    for step in count():
        yield rate * 0.5 * (1 + math.cos(math.pi * min(step / steps, 1.0)))


def steps_of(lesson: Lesson, learned: Bools) -> int:
    """How many an epoch of these rows takes."""
    lengths = [len(rows) for rows in lesson.sequences if learned[rows].any()]
    return len(groups(np.array(lengths, dtype=np.int64)))


def epoch(
    traced: TrainingSteps,
    lesson: Lesson,
    learned: Bools,
    rates: Iterator[float],
    generator: np.random.Generator,
) -> float:
    """Learn the rows once, in batches of learners; returns the mean loss on the way."""
    wanted = [rows for rows in lesson.sequences if learned[rows].any()]
    mixed = batches(wanted, lesson.inputs, generator)
    return _learn(traced, lesson, learned, mixed, rates, generator)


def replay(
    traced: TrainingSteps,
    lesson: Lesson,
    new: Bools,
    steps: int,
    rate: float,
    generator: np.random.Generator,
) -> float:
    """Some steps on learners with new rows, four a batch, and others drawn at random, each with
    the newest ``REPLAYED`` tasks: the work of a request is bounded."""
    is_new = np.array([new[rows].any() for rows in lesson.sequences])
    fresh, old = np.flatnonzero(is_new), np.flatnonzero(~is_new)

    def drawn() -> Iterator[Batch]:
        for _ in range(steps):
            first = generator.permutation(fresh)[: LEARNERS // 4 if len(old) else LEARNERS]
            others = generator.permutation(old)[: LEARNERS - len(first)]
            members = [lesson.sequences[at][-REPLAYED:] for at in (*first, *others)]
            yield pad(members, lesson.inputs)

    every = np.ones(len(lesson.values), dtype=np.bool_)
    return _learn(traced, lesson, every, drawn(), iter([rate] * steps), generator)


def predict(
    traced: TrainingSteps, lesson: Lesson, wanted: Bools, prior: Singles | None = None
) -> Singles:
    """The residual [n, outputs] of the wanted rows; NaN where a row's learner isn't wanted."""
    prior = lesson.prior if prior is None else prior
    residual = np.full((len(prior), traced.shape.outputs), np.nan, dtype=np.float32)
    rows = [each for each in lesson.sequences if wanted[each].any()]
    for batch in batches(rows, lesson.inputs):
        real = batch.mask > 0
        found = traced.predict(batch.inputs, _padded(prior, batch))
        residual[batch.rows[real]] = found[real]
    return residual


def _learn(
    traced: TrainingSteps,
    lesson: Lesson,
    learned: Bools,
    mixed: Iterator[Batch],
    rates: Iterator[float],
    generator: np.random.Generator,
) -> float:
    total = rows = 0.0
    for batch in mixed:
        weights = batch.mask * learned[batch.rows]
        # Half of the learners are strangers for a whole sequence, so that a new one is served well.
        known = generator.random((len(batch.rows), 1)) >= USER_DROPOUT
        inputs = batch.inputs | {"user": batch.inputs["user"] * known.astype(np.int32)}
        own = np.where(known, np.float32(0.0), _padded(lesson.own, batch))
        values, timed_out = (_padded(c, batch) for c in (lesson.values, lesson.timed_out))
        prior = _padded(lesson.prior, batch) - own
        total += traced.learn(next(rates), inputs, prior, values, timed_out, weights)
        rows += float(weights.sum())
    loss = total / max(rows, 1.0)
    if not math.isfinite(loss):
        raise ModelRejected(f"the {traced.shape.name} network's loss is not finite")
    return loss


def _padded(column: Singles, batch: Batch) -> Singles:
    return np.where(batch.mask > 0, column[batch.rows], np.float32(0.0)).astype(np.float32)
