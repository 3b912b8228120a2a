"""The traced steps that train a network: one causal pass over a batch of learners.

Keras runs an LSTM on a CPU as a loop of small operations. TensorFlow's fused kernel, gradient
included, has the same gates in the same order, takes less than half the time, and needs no
compilation per shape. Saved and served models remain plain Keras; a test holds both passes equal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.features import FEATURES
from training.networks import deep, network
from training.shapes import SMALLEST_LOG_SIGMA, Shape, inputs_of

CLIP_NORM = 5.0
# Decoupled from the gradient (Loshchilov and Hutter 2019): a weight loses this times the rate.
DECAY = {"correctness": 4.0, "time": 0.5}
FROZEN = ("wide", "scaled", "prior_scaled", "gate")
LEAST_SURVIVAL = 1e-7
FARTHEST = 5.0

Floats = NDArray[np.float32]


class TrainingSteps:
    """One network of a fixed shape with its optimizer, traced once and used for many trainings."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.model = network(shape, seed=0)
        self._learned = [
            v for layer in self.model.layers if not layer.name.startswith(FROZEN)
            for v in layer.trainable_variables
        ]  # fmt: skip
        self._loss = _LOSSES[shape.arch, shape.name]
        decay = DECAY[shape.name] if shape.arch == "residual" else None
        self._optimizer = keras.optimizers.Adam(global_clipnorm=CLIP_NORM, weight_decay=decay)
        self._optimizer.exclude_from_weight_decay(var_names=["bias"])
        self._optimizer.build(self._learned)
        self._fresh_optimizer = [variable.numpy() for variable in self._optimizer.variables]
        inputs = {
            name: tf.TensorSpec(
                (None, None, FEATURES) if name == "features" else (None, None), kind
            )
            for name, kind in inputs_of(shape.arch).items()
        }
        column = tf.TensorSpec((None, None), tf.float32)
        self._learn = tf.function(
            self._learn_step, input_signature=(inputs, *[column] * 4), autograph=False
        )
        self._predict = tf.function(
            self._predict_step, input_signature=(inputs, column), autograph=False
        )

    def begin(self, seed: int) -> None:
        """Forget everything; start from a network just drawn."""
        fresh = network(self.shape, seed)
        self.model.set_weights(fresh.get_weights())
        for ours, theirs in zip(_random_states(self.model), _random_states(fresh), strict=True):
            ours.assign(theirs)
        for variable, value in zip(self._optimizer.variables, self._fresh_optimizer, strict=True):
            variable.assign(value)

    def set(self, layer: str, *weights: Any) -> None:
        """Give a layer that isn't trained here its weights."""
        held = self.model.get_layer(layer).weights
        for variable, value in zip(held, weights, strict=True):
            variable.assign(np.reshape(value, variable.shape))

    def set_table(self, layer: str, table: Any) -> None:
        """Give an embedding of one column its rows; it may have room for more. [topics,
        difficulties] are laid out as the network numbers its cells."""
        (variable,) = self.model.get_layer(layer).weights
        room = np.zeros(variable.shape, dtype=np.float32)
        if table.ndim == 2:
            grid = room.reshape(-1, self.shape.difficulties)
            grid[: table.shape[0], : table.shape[1]] = table
        else:
            room[: len(table), 0] = table
        variable.assign(room)

    def loss(self, targets: Floats, timed_out: Floats, prior: Floats, residual: Floats) -> float:
        """The mean loss of n rows whose residuals [n, outputs] are known."""
        return float(tf.reduce_mean(self._losses(targets, timed_out, prior, residual)))

    def learn(
        self, rate: float, inputs: Mapping[str, Any], prior: Floats, targets: Floats,
        timed_out: Floats, weights: Floats,
    ) -> float:  # fmt: skip
        """One Adam step on the weighted mean loss; returns the weighted sum before the step.

        All columns are [B, T]. A gradient that overflows on its way back through a long history is
        left out.
        """
        self._optimizer.learning_rate = rate
        mine = {name: inputs[name] for name in inputs_of(self.shape.arch)}
        return float(self._learn(mine, prior, targets, timed_out, weights))

    def predict(self, inputs: Mapping[str, Any], prior: Floats) -> Floats:
        """What is to be added to the prior, before the gate: [B, T, outputs]."""
        mine = {name: inputs[name] for name in inputs_of(self.shape.arch)}
        return np.asarray(self._predict(mine, prior))

    def _learn_step(
        self, inputs: Any, prior: Any, targets: Any, timed_out: Any, weights: Any
    ) -> Any:
        with tf.GradientTape() as tape:
            residual = self._residual(inputs, prior, training=True)
            losses = self._losses(targets, timed_out, prior, residual)
            total = tf.reduce_sum(weights * losses)
            mean = total / tf.maximum(tf.reduce_sum(weights), 1.0)
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(mean, self._learned)]
        size = tf.linalg.global_norm(gradients)
        sound = tf.math.is_finite(size) & tf.math.is_finite(mean) & (tf.reduce_sum(weights) > 0)
        tf.cond(sound, lambda: self._apply(gradients), lambda: tf.constant(False))
        return total

    def _apply(self, gradients: Any) -> Any:
        self._optimizer.apply(gradients, self._learned)
        return tf.constant(True)

    def _predict_step(self, inputs: Any, prior: Any) -> Any:
        return self._residual(inputs, prior, training=False)

    def _residual(self, inputs: Any, prior: Any, *, training: bool) -> Any:
        made = self.model.get_layer
        return deep(made, inputs, self.shape, prior[..., None], _lstm, training)

    def _losses(self, targets: Any, timed_out: Any, prior: Any, residual: Any) -> Any:
        """Of the logit, or log seconds and log sigma, without the small-data guard."""
        bias = self.model.get_layer("gate").bias
        linear = residual + bias + _first(prior, self.shape.outputs)
        return self._loss(targets, timed_out, linear, tf.exp(bias[-1]))


def _first(column: Any, columns: int) -> Any:
    """[B, T] to [B, T, columns], zero but in the first column."""
    return tf.stack([column, *[tf.zeros_like(column)] * (columns - 1)], axis=-1)


def _lstm(layer: keras.layers.LSTM, x: Any) -> Any:
    """[B, T, inputs] → [B, T, units], from zero states."""
    kernel, recurrent, bias = (tf.convert_to_tensor(w) for w in layer.trainable_weights)
    zeros = tf.zeros((tf.shape(x)[0], layer.units))
    unused = tf.zeros((layer.units,))
    result = tf.raw_ops.BlockLSTMV2(
        seq_len_max=tf.cast(tf.shape(x)[1], tf.int64),
        x=tf.transpose(x, (1, 0, 2)),
        cs_prev=zeros,
        h_prev=zeros,
        w=tf.concat([kernel, recurrent], axis=0),
        wci=unused,
        wcf=unused,
        wco=unused,
        b=bias,
        cell_clip=0.0,
        use_peephole=False,
    )
    return tf.transpose(result.h, (1, 0, 2))


def _cross_entropy(targets: Any, timed_out: Any, linear: Any, sigma: Any) -> Any:
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=linear[..., 0])


def _squared_error(targets: Any, timed_out: Any, linear: Any, sigma: Any) -> Any:
    return tf.square(linear[..., 0] - targets)


def _log_normal(targets: Any, timed_out: Any, linear: Any, sigma: Any) -> Any:
    """The median learns from squared errors of log seconds in units of the prior's ``sigma``, the
    second output from the log-normal likelihood with the median held still: a likelihood of both
    lets the rows that seem certain pull at the median. A time-out's clock reading is what will be
    shown, so it moves the median like any other; that the true time was longer is told to sigma."""
    log_sigma = tf.maximum(linear[..., 1], SMALLEST_LOG_SIGMA)
    error = targets - linear[..., 0]
    z = tf.stop_gradient(error) * tf.exp(-log_sigma)
    seen = 0.5 * tf.square(z) + log_sigma
    longer = 0.5 * tf.math.erfc(tf.minimum(z, FARTHEST) / math.sqrt(2.0))
    censored = -tf.math.log(tf.maximum(longer, LEAST_SURVIVAL))
    return 0.5 * tf.square(error / sigma) + tf.where(timed_out > 0, censored, seen)


_LOSSES = {
    ("residual", "correctness"): _cross_entropy,
    ("residual", "time"): _log_normal,
    ("reference", "correctness"): _cross_entropy,
    ("reference", "time"): _squared_error,
}


def _random_states(model: keras.Model) -> list[Any]:
    layers = [layer for layer in model.layers if layer.name.startswith("dropout")]
    return [layer.seed_generator.state for layer in layers]
