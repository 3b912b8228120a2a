"""The two networks and their configuration, nothing else.

Both read embeddings of learner, topic and difficulty and the task's normalised start time through
LSTM 64 → LSTM 32 → Dense 32 → Dense 16, causally, so that one pass predicts every step.
``correctness`` ends in a probability, ``time`` in the median of a log-normal, in seconds. Plain
Keras layers only: the files load in safe mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from training.sequences import Encoder

MODELS = ("correctness", "time")
UNITS = (64, 32)
STATES = {"h1": UNITS[0], "c1": UNITS[0], "h2": UNITS[1], "c2": UNITS[1]}
DROPOUT = 0.2
LOG_SECONDS = (-5.0, 12.0)


@dataclass(frozen=True)
class Sizes:
    """How many names are known; tables have room to spare, so a new name seldom changes shapes."""

    users: int
    topics: int
    difficulties: int

    @classmethod
    def of(cls, encoder: Encoder) -> Sizes:
        return cls(len(encoder.users), len(encoder.topics), len(encoder.difficulties))

    @property
    def tables(self) -> Mapping[str, tuple[int, int]]:
        """Rows and width of each embedding table. Row 0 is the unknown name."""
        return {
            "user": (power_of_two(self.users + 1, 64), width(self.users, 8, 64)),
            "topic": (power_of_two(self.topics + 1, 16), width(self.topics, 4, 32)),
            "difficulty": (power_of_two(self.difficulties + 1, 8), 4),
        }


def power_of_two(n: int, least: int) -> int:
    """The smallest power of two that is at least ``n`` and at least ``least``, itself one."""
    return max(least, 1 << max(0, n - 1).bit_length())


def width(names: int, least: int, most: int) -> int:
    return min(most, max(least, int(names**0.25 * 8)))


def network(name: str, tables: Mapping[str, tuple[int, int]], seed: int) -> keras.Model:
    """user, topic, difficulty int32 [B, T], time float32 [B, T] → [B, T]: p correct, or seconds."""
    inputs = _inputs()
    made = _layers(name, tables, seed)
    return keras.Model(inputs, _connect(name, made, inputs, None)[0], name=name)


def serving(model: keras.Model) -> keras.Model:
    """The same layers with the LSTMs' states as further inputs and outputs, [B, 64] and [B, 32]."""
    inputs = _inputs()
    states = {name: keras.Input((units,), name=name) for name, units in STATES.items()}
    made = {layer.name: layer for layer in model.layers}
    output, after = _connect(model.name, made, inputs, states)
    named = {"output": output} | {f"{name}_out": state for name, state in after.items()}
    return keras.Model(inputs | states, named, name=f"{model.name}_serving")


def _inputs() -> dict[str, Any]:
    inputs = {
        name: keras.Input((None,), dtype="int32", name=name)
        for name in ("user", "topic", "difficulty")
    }
    return inputs | {"time": keras.Input((None,), dtype="float32", name="time")}


def _layers(name: str, tables: Mapping[str, tuple[int, int]], seed: int) -> dict[str, Any]:
    draws = np.random.SeedSequence([seed, MODELS.index(name)]).generate_state(32)
    seeds = iter((draws // 2).tolist())

    def glorot() -> Any:
        return keras.initializers.GlorotUniform(next(seeds))

    def lstm(units: int, label: str) -> Any:
        return layers.LSTM(
            units,
            return_sequences=True,
            return_state=True,
            use_cudnn=False,
            kernel_initializer=glorot(),
            recurrent_initializer=keras.initializers.Orthogonal(seed=next(seeds)),
            name=label,
        )

    def dense(units: int, label: str, activation: str | None = "relu") -> Any:
        return layers.Dense(units, activation, kernel_initializer=glorot(), name=label)

    made = [
        layers.Embedding(
            rows,
            columns,
            embeddings_initializer=keras.initializers.RandomUniform(seed=next(seeds)),
            name=f"{table}_embedding",
        )
        for table, (rows, columns) in tables.items()
    ]
    made += [layers.Reshape((-1, 1), name="time_column"), layers.Concatenate(name="task")]
    made += [lstm(UNITS[0], "lstm1"), lstm(UNITS[1], "lstm2")]
    made += [dense(32, "dense1"), dense(16, "dense2"), dense(1, "last", None)]
    made += [layers.Dropout(DROPOUT, seed=next(seeds), name=f"dropout{i}") for i in (1, 2, 3)]
    made += [layers.Reshape((-1,), name="linear")]
    made += [
        layers.Activation("sigmoid" if name == "correctness" else "exponential", name="output")
    ]
    return {layer.name: layer for layer in made}


def _connect(
    name: str, made: Mapping[str, Any], inputs: Mapping[str, Any], states: Mapping[str, Any] | None
) -> tuple[Any, dict[str, Any]]:
    embedded = [
        made[f"{table}_embedding"](inputs[table]) for table in ("user", "topic", "difficulty")
    ]
    x = made["task"]([*embedded, made["time_column"](inputs["time"])])
    first = [states["h1"], states["c1"]] if states else None
    second = [states["h2"], states["c2"]] if states else None
    x, h1, c1 = made["lstm1"](x, initial_state=first)
    x, h2, c2 = made["lstm2"](made["dropout1"](x), initial_state=second)
    x = made["dense1"](made["dropout2"](x))
    x = made["linear"](made["last"](made["dense2"](made["dropout3"](x))))
    if name == "time":
        x = keras.ops.clip(x, *LOG_SECONDS)
    return made["output"](x), {"h1": h1, "c1": c1, "h2": h2, "c2": c2}
