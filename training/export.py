"""Fitted networks to files: Keras for people and further training, ONNX graphs for serving.

The ONNX graphs take and give the LSTMs' states, so that serving can go on where it was.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from training.fit import Fitted
from training.networks import MODELS, serving

OPSET = 17


def files(fitted: Fitted) -> dict[str, bytes]:
    """The four model files of a version, by name."""
    models = {name: getattr(fitted, name) for name in MODELS}
    kept = {f"{name}_model.keras": keras_bytes(model) for name, model in models.items()}
    return kept | {f"{name}.onnx": onnx_bytes(model) for name, model in models.items()}


def keras_bytes(model: keras.Model) -> bytes:
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()


def onnx_bytes(model: keras.Model) -> bytes:
    """The model's serving form: inputs user, topic, difficulty int32 [B, T], time float32 [B, T],
    h1, c1 [B, 64], h2, c2 [B, 32]; outputs ``output`` [B, T] and the states, named ``…_out``."""
    form = serving(model)
    names = [tensor.name for tensor in form.inputs]
    specs = [tf.TensorSpec(tensor.shape, tensor.dtype, tensor.name) for tensor in form.inputs]

    def call(*tensors: Any) -> Any:
        return form(dict(zip(names, tensors, strict=True)), training=False)

    with _quiet():
        import tf2onnx  # slow to import, and only needed here

        proto, _ = tf2onnx.convert.from_function(
            tf.function(call, autograph=False), input_signature=specs, opset=OPSET
        )
    return bytes(proto.SerializeToString())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keras and tf2onnx use what NumPy deprecates; tf2onnx also logs each rewriting."""
    log = logging.getLogger("tf2onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
