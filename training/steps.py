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

from training.networks import network

# Adam 1e-2 for up to 100 steps, then less: 3e-3 for the eight hundred of 400 learners.
LEARNING_RATE = 1e-2
STEPS = 100
CLIP_NORM = 1.0
INPUTS = {"user": tf.int32, "topic": tf.int32, "difficulty": tf.int32, "time": tf.float32}

Floats = NDArray[np.float32]
Tables = Mapping[str, tuple[int, int]]


class TrainingSteps:
    """One network of fixed sizes with its optimizer, traced once and used for many trainings."""

    def __init__(self, name: str, tables: Tables) -> None:
        self.tables = tables
        self._model = network(name, tables, seed=0)
        self._loss = _cross_entropy if name == "correctness" else _squared_error
        self._optimizer = keras.optimizers.Adam(LEARNING_RATE, global_clipnorm=CLIP_NORM)
        self._optimizer.build(self._model.trainable_variables)
        self._fresh_optimizer = [variable.numpy() for variable in self._optimizer.variables]
        inputs = {key: tf.TensorSpec((None, None), dtype) for key, dtype in INPUTS.items()}
        column = tf.TensorSpec((None, None), tf.float32)
        self._learn = tf.function(
            self._learn_step, input_signature=(inputs, column, column), autograph=False
        )
        self._predict = tf.function(self._predict_step, input_signature=(inputs,), autograph=False)

    def begin(self, fresh: keras.Model, steps: int) -> None:
        """Forget everything; start from the weights and random states of a network just built.

        ``steps`` are how many it may take: the more, the smaller each is.
        """
        self._model.set_weights(fresh.get_weights())
        for ours, theirs in zip(_random_states(self._model), _random_states(fresh), strict=True):
            ours.assign(theirs)
        for variable, value in zip(self._optimizer.variables, self._fresh_optimizer, strict=True):
            variable.assign(value)
        self._optimizer.learning_rate = LEARNING_RATE * min(1.0, math.sqrt(STEPS / steps))

    def learn(self, inputs: Mapping[str, Any], targets: Floats, weights: Floats) -> float:
        """One Adam step on the weighted mean loss; returns the weighted sum before the step.

        A gradient that overflows on its way back through a long history is left out.
        """
        return float(self._learn(dict(inputs), targets, weights))

    def predict(self, inputs: Mapping[str, Any]) -> Floats:
        """Logits, or log seconds, [B, T]."""
        return np.asarray(self._predict(dict(inputs)))

    @property
    def weights(self) -> list[Floats]:
        return list(self._model.get_weights())

    @weights.setter
    def weights(self, values: list[Floats]) -> None:
        self._model.set_weights(values)

    def _learn_step(self, inputs: Any, targets: Any, weights: Any) -> Any:
        variables = self._model.trainable_variables
        with tf.GradientTape() as tape:
            losses = self._loss(targets, linear(self._model, inputs, training=True))
            total = tf.reduce_sum(weights * losses)
            mean = total / tf.maximum(tf.reduce_sum(weights), 1.0)
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(mean, variables)]
        bounded = tf.math.is_finite(tf.linalg.global_norm(gradients))
        self._optimizer.apply([tf.where(bounded, g, 0.0) for g in gradients], variables)
        return total

    def _predict_step(self, inputs: Any) -> Any:
        return linear(self._model, inputs, training=False)


def linear(model: keras.Model, inputs: Mapping[str, Any], *, training: bool) -> Any:
    """The model's logit, or unclipped log seconds, of every step, [B, T]."""
    layer = model.get_layer
    embedded = [layer(f"{t}_embedding")(inputs[t]) for t in ("user", "topic", "difficulty")]
    x = layer("task")([*embedded, layer("time_column")(inputs["time"])])
    x = layer("dropout1")(_lstm(layer("lstm1"), x), training=training)
    x = layer("dropout2")(_lstm(layer("lstm2"), x), training=training)
    x = layer("dropout3")(layer("dense1")(x), training=training)
    return layer("linear")(layer("last")(layer("dense2")(x)))


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


def _cross_entropy(targets: Any, logits: Any) -> Any:
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)


def _squared_error(targets: Any, log_seconds: Any) -> Any:
    return tf.square(log_seconds - targets)


def _random_states(model: keras.Model) -> list[Any]:
    return [model.get_layer(f"dropout{i}").seed_generator.state for i in (1, 2, 3)]
