"""Histories to fitted networks with held-out scores.

The newest fifth of the rows is held out by a mask in the same causal pass; it decides when to stop
and which weights are best, and is scored. Then it is learned too, so that what is published knows
every completion that was asked for. A ``Fitter`` is kept between requests: its traced steps make
the next training quick.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from schemas.errors import NotEnoughData, TrainingFailed
from schemas.history import History
from training.epochs import EpochReport, Target, epochs_of, learn, predict, sigmoid
from training.metrics import score_log_normal, topic_difficulty
from training.networks import LOG_SECONDS, MODELS, Sizes, network
from training.sequences import LEARNERS, Encoder, Steps, sequences
from training.steps import TrainingSteps

LEAST_ROWS = 10
HELD_OUT = 0.2
FINAL_EPOCHS = 2
SIGMA_SHRINKAGE = 5.0

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class TrainingStopped(TrainingFailed):
    """``should_stop`` said so between two epochs."""


@dataclass(frozen=True)
class Fitted:
    """Two Keras models, how to encode their inputs, and how they did on rows not yet learned.

    ``sigma`` is the standard deviation of log seconds around the log of the predicted median.
    """

    correctness: keras.Model
    time: keras.Model
    encoder: Encoder
    sigma: float
    metrics: dict[str, Any]
    rows: int
    held_out: int

    def metadata(self) -> dict[str, Any]:
        """What serving and people need to know beside the weights, as JSON."""
        sizes = Sizes.of(self.encoder)
        return {
            "encoder": self.encoder.to_dict(),
            "users": sizes.users,
            "topics": sizes.topics,
            "difficulties": sizes.difficulties,
            "tables": {name: list(shape) for name, shape in sizes.tables.items()},
            "sigma": self.sigma,
            "completions": self.rows,
            "held_out": self.held_out,
            "metrics": self.metrics,
        }


class Fitter:
    """Trains both networks, one history at a time.

    ``threads`` bounds TensorFlow's pools, unless it has started already. One is quickest at these
    sizes.
    """

    def __init__(self, *, threads: int = 1) -> None:
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        self._warm: dict[str, TrainingSteps] = {}

    def fit(
        self,
        history: History,
        *,
        epochs: int = 20,
        patience: int = 5,
        seed: int,
        on_epoch: Callable[[EpochReport], None] = lambda report: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Fitted:
        """Raises NotEnoughData below ten rows, TrainingFailed where a loss or weight is not finite,
        TrainingStopped where ``should_stop`` asks for it."""
        if len(history) < LEAST_ROWS:
            raise NotEnoughData(
                f"{len(history)} completions are too few to train on: {LEAST_ROWS} are needed."
            )
        encoder = Encoder.of(history)
        steps, tables = sequences(history, encoder), Sizes.of(encoder).tables
        learned, held_out = _split(history, steps)
        models, linear = {}, {}
        for at, name in enumerate(MODELS):
            target = Target(name, steps, _values(name, history), learned, held_out)
            models[name] = _from_the_mean(network(name, tables, seed), target)
            traced, generator = self._traced(name, tables), np.random.default_rng([seed, at])
            traced.begin(models[name], -(-len(steps) // LEARNERS) * epochs)
            reports = epochs_of(traced, target, generator, epochs, patience)
            _follow(reports, on_epoch, should_stop)
            linear[name] = predict(traced, steps, len(history))
            _learn_the_rest(traced, target, generator)
            models[name].set_weights(traced.weights)
        sigma, metrics = _scores(history, learned, held_out, **linear)
        return Fitted(
            **models,
            encoder=encoder,
            sigma=sigma,
            metrics=metrics,
            rows=len(history),
            held_out=int(held_out.sum()),
        )

    def _traced(self, name: str, tables: Any) -> TrainingSteps:
        held = self._warm.get(name)
        if held is None or held.tables != tables:
            held = self._warm[name] = TrainingSteps(name, tables)
        return held


def _split(history: History, steps: list[Steps]) -> tuple[Bools, Bools]:
    """The rows that are learned, and the newest fifth, in the store's order, of those in reach."""
    kept = np.concatenate([each.rows for each in steps])
    kept = kept[np.argsort(history.numbers[kept], kind="stable")]
    edge = len(kept) - round(len(kept) * HELD_OUT)
    learned, held_out = np.zeros((2, len(history)), dtype=np.bool_)
    learned[kept[:edge]], held_out[kept[edge:]] = True, True
    return learned, held_out


def _values(name: str, history: History) -> NDArray[np.float32]:
    if name == "correctness":
        return history.is_correct.astype(np.float32)
    return np.log(np.clip(history.seconds, *np.exp(LOG_SECONDS))).astype(np.float32)


def _from_the_mean(model: keras.Model, target: Target) -> keras.Model:
    """The model with the learned rows' mean as its first answer."""
    mean = float(target.values[target.learned].mean())
    if target.model == "correctness":
        mean = float(np.log(np.clip(mean, 0.01, 0.99) / (1 - np.clip(mean, 0.01, 0.99))))
    model.get_layer("last").bias.assign([mean])
    return model


def _follow(
    reports: Iterable[EpochReport],
    on_epoch: Callable[[EpochReport], None],
    should_stop: Callable[[], bool],
) -> None:
    for report in reports:
        on_epoch(report)
        if should_stop():
            raise TrainingStopped("The training was stopped before its end.")


def _learn_the_rest(traced: TrainingSteps, target: Target, generator: np.random.Generator) -> None:
    for _ in range(FINAL_EPOCHS):
        learn(traced, target, target.learned | target.held_out, generator)
    if not all(np.isfinite(weight).all() for weight in traced.weights):
        raise TrainingFailed(f"The {target.model} network's weights are not finite.")


def _scores(
    history: History, learned: Bools, scored: Bools, correctness: Floats, time: Floats
) -> tuple[float, dict[str, Any]]:
    median = np.exp(np.clip(time, *LOG_SECONDS))
    sigma = _sigma(history, learned, scored, median)
    own = score_log_normal(
        history.is_correct[scored],
        sigmoid(correctness[scored]),
        history.seconds[scored],
        median[scored],
        sigma,
    )
    baseline = topic_difficulty(history, learned, scored)
    return sigma, own | {"topic_difficulty": baseline, "lnirt": None, "serving": None}


def _sigma(history: History, learned: Bools, scored: Bools, median: Floats) -> float:
    """Root mean squared log error on the held-out rows, shrunk to the learned rows' spread with
    the weight of five, since a small history holds out as few as two."""
    log_seconds = np.log(history.seconds)
    squares = float(np.sum((log_seconds - np.log(median))[scored] ** 2))
    spread = float(np.var(log_seconds[learned]))
    mean = (squares + SIGMA_SHRINKAGE * spread) / (float(scored.sum()) + SIGMA_SHRINKAGE)
    return max(0.05, float(np.sqrt(mean)))
