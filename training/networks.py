"""The two networks and their configuration, nothing else.

``residual``: a wide and a deep part. The wide part is the prior, linear in what is known at a
task's start. The deep part reads embeddings of learner, topic and difficulty, the same features
and the previous outcome through LSTM 64 → LSTM 32 → Dense 32 → Dense 16, causally, so that one
pass predicts every step; its last layer starts at zero, so the model starts as the prior.

``reference``: the networks that Retrace replaces, on embeddings and the normalised start time.

``correctness`` ends in a probability [B, T], ``time`` in the median of a log-normal in seconds and
the standard deviation of its logarithm [B, T, 2]. Plain Keras layers: the files load in safe mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from training.features import FEATURES
from training.prior import LIMIT
from training.sequences import LOG_SECONDS
from training.shapes import MODELS, SMALLEST_LOG_SIGMA, UNITS, WIDE, Shape, inputs_of

HEAD = (32, 16)
DROPOUT = 0.2
INPUT_DROPOUT = {"correctness": 0.1, "time": 0.05}

Made = Callable[[str], Any]
RunLstm = Callable[[Any, Any], Any]


def network(shape: Shape, seed: int) -> keras.Model:
    """The Keras model of this shape, freshly drawn."""
    inputs = {
        name: keras.Input(
            (None, FEATURES) if name == "features" else (None,), dtype=dtype, name=name
        )
        for name, dtype in inputs_of(shape.arch).items()
    }
    made = {layer.name: layer for layer in _layers(shape, seed)}
    prior = wide(made.__getitem__, inputs, shape) if shape.arch == "residual" else None
    residual = deep(made.__getitem__, inputs, shape, prior, lambda layer, x: layer(x))
    output = _finished(made.__getitem__, shape, prior, made["gate"](residual))
    return keras.Model(inputs, output, name=shape.name)


def scaled(made: Made, inputs: Mapping[str, Any]) -> Any:
    """The features standardised, and kept within ± 5 standard deviations, [B, T, FEATURES]."""
    return keras.ops.clip(made("scaled")(inputs["features"]), -LIMIT, LIMIT)


def wide(made: Made, inputs: Mapping[str, Any], shape: Shape) -> Any:
    """The prior: a logit, or log seconds, [B, T, 1]."""
    cell = inputs["topic"] * shape.difficulties + inputs["difficulty"]
    words = {name: inputs[name] for name in WIDE[:3]} | {"cell": cell}
    rows = [made(f"wide_{name}")(words[name]) for name in WIDE]
    return made("wide")([made("wide_features")(scaled(made, inputs)), *rows])


def deep(
    made: Made, inputs: Mapping[str, Any], shape: Shape, prior: Any, lstm: RunLstm,
    training: bool = False,
) -> Any:  # fmt: skip
    """What the networks add to the prior [B, T, outputs], before the gate."""
    known = [made(f"{name}_embedding")(inputs[name]) for name in shape.embeddings]
    if shape.arch == "reference":
        known.append(made("time_column")(inputs["time"]))
    else:
        numbers = made("numbers")([scaled(made, inputs), made("prior_scaled")(prior)])
        known.append(made("dropout0")(numbers, training=training))
    x = made("known")(known)
    h = made("dropout1")(lstm(made("lstm1"), x), training=training)
    h = made("dropout2")(lstm(made("lstm2"), h), training=training)
    if shape.arch == "residual":
        h = made("beside")([h, x])
    return made("last")(made("dense2")(made("dense1")(h)))


def _finished(made: Made, shape: Shape, prior: Any, gated: Any) -> Any:
    """The answer: p correct [B, T], or median seconds and sigma [B, T, 2]."""
    if shape.name == "correctness":
        logit = gated if prior is None else made("sum")([prior, gated])
        return made("output")(keras.ops.squeeze(keras.ops.sigmoid(logit), -1))
    middle, spread = gated[..., :1], gated[..., 1:]
    if prior is not None:
        middle = made("sum")([prior, middle])
    seconds = keras.ops.exp(keras.ops.clip(middle, *LOG_SECONDS))
    sigma = keras.ops.exp(keras.ops.maximum(spread, SMALLEST_LOG_SIGMA))
    return made("output")(keras.ops.concatenate([seconds, sigma], -1))


def _layers(shape: Shape, seed: int) -> Iterator[Any]:
    draws = np.random.SeedSequence([seed, MODELS.index(shape.name)]).generate_state(32)
    seeds = iter((draws // 2).tolist())
    for name, (rows, columns) in shape.embeddings.items():
        draw = keras.initializers.RandomNormal(stddev=0.05, seed=next(seeds))
        yield layers.Embedding(rows, columns, draw, name=f"{name}_embedding")
    for units, number in zip(UNITS, (1, 2), strict=True):
        yield _lstm(units, f"lstm{number}", seeds)
        yield layers.Dropout(DROPOUT, seed=next(seeds), name=f"dropout{number}")
    for units, number in zip(HEAD, (1, 2), strict=True):
        draw = keras.initializers.GlorotUniform(next(seeds))
        yield layers.Dense(units, "relu", kernel_initializer=draw, name=f"dense{number}")
    zero = shape.arch == "residual"
    draw = keras.initializers.Zeros() if zero else keras.initializers.GlorotUniform(next(seeds))
    yield layers.Dense(shape.outputs, kernel_initializer=draw, name="last")
    yield layers.Concatenate(name="known")
    yield layers.Dropout(INPUT_DROPOUT[shape.name], seed=next(seeds), name="dropout0")
    yield scale("gate", shape.outputs)
    yield layers.Identity(name="output")
    yield from _wide_layers(shape) if zero else [layers.Reshape((-1, 1), name="time_column")]


def _lstm(units: int, name: str, seeds: Iterator[int]) -> Any:
    return layers.LSTM(
        units,
        return_sequences=True,
        use_cudnn=False,
        kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
        recurrent_initializer=keras.initializers.Orthogonal(seed=next(seeds)),
        name=name,
    )


def _wide_layers(shape: Shape) -> Iterator[Any]:
    rows = (shape.users, shape.topics, shape.difficulties, shape.topics * shape.difficulties)
    for name, count in zip(WIDE, rows, strict=True):
        yield layers.Embedding(count, 1, "zeros", name=f"wide_{name}")
    yield layers.Dense(1, kernel_initializer="zeros", name="wide_features")
    yield layers.Add(name="wide")
    yield scale("scaled", FEATURES)
    yield scale("prior_scaled", 1)
    yield layers.Concatenate(name="numbers")
    yield layers.Concatenate(name="beside")
    yield layers.Add(name="sum")


def scale(name: str, columns: int) -> Any:
    """Each column times a number plus a number of its own."""
    return layers.EinsumDense(
        "btf,f->btf", (None, columns), bias_axes="f", kernel_initializer="ones", name=name
    )
