"""The peer: training as in the system that Retrace replaces, in plain Keras.

For each completion the learner's whole history up to it is one sample, padded on the left to the
longest: n rows of up to n steps. One network per target on embeddings of learner, topic and
difficulty and on the normalised time, which never sees an outcome, trained anew by ``Model.fit``.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import child, machine, past
from schemas.history import History

WHOLE_EPOCHS = 20
BATCH = 32
WORDS = {"user": 16, "topic": 16, "difficulty": 4}

Columns = dict[str, NDArray[Any]]


def measure(job: dict[str, Any], tell: child.Tell) -> dict[str, Any]:
    """Seconds of some epochs of both networks, and of the whole training that follows from them."""
    import keras

    keras.utils.set_random_seed(job["seed"])
    rows = past.made(job["rows"], job["seed"], job["file"])
    inputs, targets = samples(rows)
    load, seconds = machine.load(), {}
    for name, target in targets.items():
        seconds[name] = _epochs(keras, inputs, target, name == "correctness", job["epochs"])
        tell(f"{name}: {seconds[name][-1]:.2f} s an epoch")
    return {
        "peer": "padded prefixes, Keras Model.fit", "rows": len(rows),
        "data": "simulated" if job["file"] is None else "file",
        "steps": inputs["time"].shape[1], "batch": BATCH, "load": load,
        "epoch_seconds": seconds, "whole_epochs": WHOLE_EPOCHS,
        "seconds": round(sum(whole(each) for each in seconds.values()), 2),
        "peak_mib": machine.peak_mib(),
    }  # fmt: skip


def whole(seconds: list[float]) -> float:
    """Of ``WHOLE_EPOCHS`` epochs, from those measured; the first of them traces too."""
    later = seconds[1:] or seconds
    return seconds[0] + (WHOLE_EPOCHS - 1) * sum(later) / len(later)


def samples(history: History) -> tuple[Columns, Columns]:
    """Inputs [n, longest], 0 where padded, and targets [n], in the history's order."""
    users = np.unique(history.users.astype(str), return_inverse=True)[1]
    longest = int(np.bincount(users).max())
    prefixes = np.full((len(history), longest), -1, dtype=np.int64)
    for user in range(users.max() + 1):
        rows = np.flatnonzero(users == user)
        for at, row in enumerate(rows):
            prefixes[row, longest - at - 1 :] = rows[: at + 1]
    span = np.ptp(history.started_at) or 1.0
    columns = {
        "user": users + 1,
        "topic": np.unique(history.topics.astype(str), return_inverse=True)[1] + 1,
        "difficulty": np.unique(history.difficulties.astype(str), return_inverse=True)[1] + 1,
        "time": ((history.started_at - history.started_at.min()) / span).astype(np.float32),
    }
    real = prefixes >= 0
    inputs = {n: np.where(real, c[prefixes], 0).astype(c.dtype) for n, c in columns.items()}
    targets = {"correctness": history.is_correct, "time": np.log(history.seconds)}
    return inputs, {name: target.astype(np.float32) for name, target in targets.items()}


def network(keras: Any, inputs: Columns, *, is_probability: bool) -> Any:
    """LSTM 64 → LSTM 32 → Dense 32 → Dense 16 on [n, longest], compiled."""
    layers, steps = keras.layers, inputs["time"].shape[1]
    entries = {name: keras.Input((steps,), name=name) for name in inputs}
    known = [
        layers.Embedding(int(inputs[name].max()) + 1, width)(entries[name])
        for name, width in WORDS.items()
    ]
    x = layers.Concatenate()([*known, layers.Reshape((steps, 1))(entries["time"])])
    x = layers.Dropout(0.2)(layers.LSTM(64, return_sequences=True)(x))
    x = layers.Dropout(0.2)(layers.LSTM(32)(x))
    x = layers.Dense(16, "relu")(layers.Dense(32, "relu")(x))
    model = keras.Model(entries, layers.Dense(1, "sigmoid" if is_probability else None)(x))
    model.compile("adam", "binary_crossentropy" if is_probability else "mse")
    return model


def _epochs(
    keras: Any, inputs: Columns, target: NDArray[Any], is_probability: bool, epochs: int
) -> list[float]:
    model, seconds = network(keras, inputs, is_probability=is_probability), []
    for _ in range(epochs):
        began = time.perf_counter()
        model.fit(inputs, target, batch_size=BATCH, verbose=0)
        seconds.append(round(time.perf_counter() - began, 4))
    return seconds


if __name__ == "__main__":
    child.serve(measure)
