"""Epochs over a history: what is learned, what is held out, and when to stop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.errors import TrainingFailed
from training.metrics import log_loss
from training.sequences import Steps, batches
from training.steps import TrainingSteps

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class EpochReport:
    """One epoch of one model, counted from 1; losses are means over learned and held-out rows."""

    model: str
    epoch: int
    epochs: int
    loss: float
    val_loss: float


@dataclass(frozen=True)
class Target:
    """What one model learns: a value a row, and which rows are learned or held out."""

    model: str
    steps: list[Steps]
    values: NDArray[np.float32]
    learned: Bools
    held_out: Bools

    def loss(self, linear: Floats, rows: Bools) -> float:
        if self.model == "correctness":
            return log_loss(self.values[rows] > 0, sigmoid(linear[rows]))
        return float(np.mean((linear[rows] - self.values[rows]) ** 2))


def epochs_of(
    traced: TrainingSteps,
    target: Target,
    generator: np.random.Generator,
    epochs: int,
    patience: int,
) -> Iterator[EpochReport]:
    """Trains until the held-out loss has not fallen for ``patience`` epochs; leaves the best
    weights in place."""
    best, since, weights = np.inf, 0, traced.weights
    validated = [s for s in target.steps if target.held_out[s.rows].any()]
    for epoch in range(1, epochs + 1):
        loss = learn(traced, target, target.learned, generator)
        linear = predict(traced, validated, len(target.values))
        val_loss = target.loss(linear, target.held_out)
        if not np.isfinite([loss, val_loss]).all():
            raise TrainingFailed(f"The {target.model} network's loss is not finite.")
        yield EpochReport(target.model, epoch, epochs, loss, val_loss)
        since += 1
        if val_loss < best:
            best, since, weights = val_loss, 0, traced.weights
        if since >= patience:
            break
    traced.weights = weights


def learn(
    traced: TrainingSteps, target: Target, rows: Bools, generator: np.random.Generator
) -> float:
    """One epoch over the rows; returns the mean loss on the way."""
    total = count = 0.0
    for batch in batches(target.steps, generator=generator):
        weights = batch.mask * rows[batch.rows]
        total += traced.learn(batch.inputs, target.values[batch.rows], weights)
        count += float(weights.sum())
    return total / max(count, 1.0)


def predict(traced: TrainingSteps, steps: list[Steps], rows: int) -> Floats:
    """Logits, or log seconds, a row; NaN where these steps have none."""
    linear = np.full(rows, np.nan)
    for batch in batches(steps):
        real = batch.mask > 0
        linear[batch.rows[real]] = traced.predict(batch.inputs)[real]
    return linear


def sigmoid(x: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -30.0, 30.0))))
