"""A peer of `retrace bench predict`: both Keras models over a learner's whole history, anew for
every request, as in the system that Retrace replaces."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from benchmarks import child, machine, padded_prefix, simulated

LEARNERS, ROWS = 50, 500


def measure(job: dict[str, Any], tell: child.Tell) -> dict[str, Any]:
    """Milliseconds a request, by ``Model.predict`` on one learner's padded history."""
    import keras

    keras.utils.set_random_seed(job["seed"])
    history = simulated.history(ROWS, LEARNERS, job["seed"])
    inputs, _ = padded_prefix.samples(history)
    steps = job["longest"]
    padded = {n: np.zeros((ROWS, steps), dtype=column.dtype) for n, column in inputs.items()}
    for name, column in inputs.items():
        padded[name][:, -column.shape[1] :] = column[:, -steps:]
    models = [
        padded_prefix.network(keras, padded, is_probability=is_probability)
        for is_probability in (True, False)
    ]
    seconds = []
    for row in range(job["requests"] + 3):
        one = {name: column[row % ROWS][None] for name, column in padded.items()}
        began = time.perf_counter()
        for model in models:
            model.predict(one, verbose=0)
        seconds.append(time.perf_counter() - began)
    median = statistics.median(seconds[3:])
    tell(f"{median * 1000:.0f} ms a request")
    return {
        "peer": "Keras over the whole history", "steps": steps, "requests": job["requests"],
        "ms": round(median * 1000, 1), "per_second": round(1 / median, 1),
        "peak_mib": machine.peak_mib(),
    }  # fmt: skip


if __name__ == "__main__":
    child.serve(measure)
