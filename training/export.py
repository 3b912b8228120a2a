"""Fitted networks to files: Keras for people and further training, ONNX graphs for serving."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import keras

from training.fit import Fitted
from training.networks import network
from training.onnx_graph import Weights, onnx_bytes
from training.served import GRAPHS, RECORD
from training.shapes import MODELS, Shape


def files(fitted: Fitted) -> dict[str, bytes]:
    """The files of a version, by name."""
    made = {f"{n}_model.keras": keras_bytes(fitted.shapes[n], fitted.weights[n]) for n in MODELS}
    return made | serving_files(fitted)


def serving_files(fitted: Fitted) -> dict[str, bytes]:
    """Those that serving reads."""
    graphs = {GRAPHS[n]: onnx_bytes(fitted.shapes[n], fitted.weights[n]) for n in MODELS}
    return graphs | {RECORD: fitted.record.to_bytes()}


def keras_bytes(shape: Shape, weights: Weights) -> bytes:
    """The Keras model with these weights as a ``.keras`` file."""
    model = _template(shape)
    set_weights(model, weights)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras uses what NumPy deprecates.
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()


def set_weights(model: keras.Model, weights: Mapping[str, object]) -> None:
    for name, values in weights.items():
        model.get_layer(name).set_weights(values)


@lru_cache(maxsize=4)
def _template(shape: Shape) -> keras.Model:
    return network(shape, seed=0)
