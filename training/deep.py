"""One network on top of a stage: trained from nothing, further, and asked before it learns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ModelRejected, TrainingFailed
from training import epochs
from training.epochs import Lesson, cosine
from training.prior import LIMIT
from training.sequences import LOG_SECONDS, sequences
from training.shapes import SMALLEST_LOG_SIGMA, Shape
from training.stage import Said, Stage
from training.steps import TrainingSteps

GUARD_ROWS = 2000
RATES = {
    ("residual", "correctness"): 8e-3,
    ("residual", "time"): 5e-3,
    ("reference", "correctness"): 1e-2,
    ("reference", "time"): 1e-2,
}
FINAL_EPOCHS, FINAL_RATE = 2, 3e-4
ROWS_A_STEP, MOST_STEPS, WARM_RATE = 250, 32, 3e-4
WATCHED = 32

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class TrainingStopped(TrainingFailed):
    """``should_stop`` said so between two epochs."""


@dataclass(frozen=True)
class EpochReport:
    """One epoch of one model, counted from 1: the mean loss of the rows that were learned, and of
    some that were held out, where any were."""

    model: str
    epoch: int
    epochs: int
    loss: float
    val_loss: float | None


@dataclass(frozen=True)
class Watcher:
    """Who hears of epochs, and may stop a training between two."""

    on_epoch: Callable[[EpochReport], None] = lambda report: None
    should_stop: Callable[[], bool] = lambda: False

    def report(self, report: EpochReport) -> None:
        """Raises TrainingStopped where it was told to stop."""
        self.on_epoch(report)
        if self.should_stop():
            raise TrainingStopped("The training was stopped before its end.")


class Deep:
    """A network of one shape, kept warm."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.traced = TrainingSteps(shape)

    def train(
        self, stage: Stage, said: Said, learned: Bools, held_out: Bools, seed: int,
        rounds: int, watcher: Watcher,
    ) -> None:  # fmt: skip
        """From nothing, on the learned rows."""
        self.traced.begin(seed)
        self._stand_on(stage, said.prior, learned)
        lesson, generator = self._lesson(stage, said), self._generator(seed, 0)
        steps = rounds * epochs.steps_of(lesson, learned)
        rates = cosine(RATES[self.shape.arch, self.shape.name], steps)
        watched = _of_few(lesson, held_out)
        for at in range(1, rounds + 1):
            loss = epochs.epoch(self.traced, lesson, learned, rates, generator)
            val_loss = self._loss(lesson, watched)
            watcher.report(EpochReport(self.shape.name, at, rounds, loss, val_loss))

    def finish(self, stage: Stage, said: Said, seed: int) -> None:
        """Learn all rows, those that were held out too."""
        everything = np.ones(len(said.prior), dtype=np.bool_)
        self._stand_on(stage, said.prior, everything)
        lesson, generator = self._lesson(stage, said), self._generator(seed, 1)
        steps = FINAL_EPOCHS * epochs.steps_of(lesson, everything)
        rates = cosine(FINAL_RATE, steps)
        for _ in range(FINAL_EPOCHS):
            epochs.epoch(self.traced, lesson, everything, rates, generator)
        self._check()

    def further(self, stage: Stage, said: Said, new: Bools, seed: int, watcher: Watcher) -> None:
        """A few steps more, on learners with new rows and on others.

        How far the weights may go follows from how many rows are new, not from how often it is
        called: steps without new information only learn the old rows by heart.
        """
        self._stand_on(stage, said.prior, np.ones(len(said.prior), dtype=np.bool_))
        generator = self._generator(seed, int(stage.history.numbers[-1]))
        lesson = self._lesson(stage, said)
        steps = min(max(round(int(new.sum()) / ROWS_A_STEP), 1), MOST_STEPS)
        rate = WARM_RATE * min(1.0, int(new.sum()) / ROWS_A_STEP)
        loss = epochs.replay(self.traced, lesson, new, steps, rate, generator)
        self._check()
        watcher.report(EpochReport(self.shape.name, 1, 1, loss, None))

    def linear(self, stage: Stage, said: Said, wanted: Bools) -> Floats:
        """The served logit, or log seconds and sigma, [n, outputs]; NaN where none is wanted."""
        residual = epochs.predict(self.traced, self._lesson(stage, said), wanted)
        scale, bias = (w.numpy() for w in self.traced.model.get_layer("gate").weights)
        linear = residual.astype(np.float64) * scale + bias
        linear[:, 0] += self._prior(said.prior)
        if linear.shape[1] > 1:
            linear[:, 0] = np.clip(linear[:, 0], *LOG_SECONDS)
            linear[:, 1] = np.exp(np.maximum(linear[:, 1], SMALLEST_LOG_SIGMA))
        return np.asarray(linear)

    @property
    def weights(self) -> dict[str, list[NDArray[Any]]]:
        """A copy of the weights, by layer."""
        layers = self.traced.model.layers
        return {layer.name: layer.get_weights() for layer in layers if layer.weights}

    def _prior(self, prior: Floats) -> Floats:
        return prior if self.shape.arch == "residual" else np.zeros(len(prior))

    def _lesson(self, stage: Stage, said: Said) -> Lesson:
        tasks = stage.tasks
        values = tasks.correct if self.shape.name == "correctness" else tasks.log_seconds
        columns = (self._prior(said.prior), self._prior(said.own), values, tasks.timed_out)
        return Lesson(stage.inputs, sequences(tasks), *(c.astype(np.float32) for c in columns))

    def _generator(self, seed: int, at: int) -> np.random.Generator:
        return np.random.default_rng([seed, self.shape.name == "time", at])

    def _stand_on(self, stage: Stage, prior: Floats, learned: Bools) -> None:
        """Give the parts that aren't trained here their weights."""
        sigma = [] if self.shape.name == "correctness" else [math.log(stage.prior.sigma)]
        if self.shape.arch == "reference":
            self.traced.set("gate", [1.0, 0.0][: self.shape.outputs], [0.0, *sigma])
            return
        rows = int(learned.sum())
        gate = rows / (rows + GUARD_ROWS)
        self.traced.set("gate", [gate] * self.shape.outputs, [0.0, *sigma])
        linear = getattr(stage.prior, self.shape.name)
        mean, sd = (linear.high + linear.low) / 2, (linear.high - linear.low) / (2 * LIMIT)
        per_sd = np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 0)
        self.traced.set("scaled", per_sd, -mean * per_sd)
        spread = max(float(prior[learned].std()), 0.1)
        self.traced.set("prior_scaled", 1 / spread, -prior[learned].mean() / spread)
        self.traced.set("wide_features", linear.weights * sd, linear.bias + linear.weights @ mean)
        for name in ("user", "topic", "difficulty", "cell"):
            self.traced.set_table(f"wide_{name}", getattr(linear, name))

    def _loss(self, lesson: Lesson, rows: Bools) -> float:
        residual = epochs.predict(self.traced, lesson, rows)
        columns = (lesson.values, lesson.timed_out, lesson.prior, residual)
        return self.traced.loss(*(column[rows] for column in columns))

    def _check(self) -> None:
        if not all(np.isfinite(w).all() for w in self.traced.model.get_weights()):
            raise ModelRejected(f"a weight of the {self.shape.name} network is not finite")


def _of_few(lesson: Lesson, rows: Bools) -> Bools:
    """Those of the rows that belong to the ``WATCHED`` sequences with most of them."""
    counts = np.array([rows[each].sum() for each in lesson.sequences])
    few = np.argsort(-counts, kind="stable")[:WATCHED]
    chosen = np.zeros_like(rows)
    chosen[np.concatenate([lesson.sequences[at] for at in few])] = True
    return rows & chosen
