"""A network's ONNX graph, written node by node: the form that serves.

It has the LSTMs' states as inputs and outputs, so that serving can go on where it was. Few nodes:
of a single step they take more time than its arithmetic. A test holds the graph equal to the Keras
model. Imports no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.features import FEATURES
from training.prior import LIMIT
from training.sequences import LOG_SECONDS
from training.shapes import SMALLEST_LOG_SIGMA, STATES, UNITS, WIDE, Shape, inputs_of

OPSET = 17
IR_VERSION = 8
# Keras keeps an LSTM's gates as input, forget, cell, output; ONNX as input, output, forget, cell.
GATES = [0, 3, 1, 2]

Weights = Mapping[str, Sequence[NDArray[Any]]]


class _Builder:
    """Nodes and constants with names of their own."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, kind: Any = np.float32) -> str:
        name = f"w{len(self.constants)}"
        array = np.ascontiguousarray(value, dtype=kind)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def __call__(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        names = [f"n{len(self.nodes)}_{at}" for at in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def name(self, value: str, name: str) -> None:
        """Make a value an output of the graph."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))


def onnx_bytes(shape: Shape, weights: Weights) -> bytes:
    """Inputs as ``inputs_of`` has them, [B, T], and the states h1, c1 [B, 64], h2, c2 [B, 32].
    Outputs ``linear`` [B, T, outputs] (the logit, or log of the median seconds and sigma),
    ``prior`` [B, T, 1] (of the residual architecture) and the states, named ``…_out``."""
    build = _Builder()
    known, prior = _known(build, shape, weights)
    hidden = _lstm(build, known, weights["lstm1"], 1)
    hidden = _lstm(build, hidden, weights["lstm2"], 2)
    if prior is not None:
        hidden = build("Concat", hidden, known, axis=-1)
        build.name(prior, "prior")
    for layer in ("dense1", "dense2"):
        hidden = build("Relu", _dense(build, hidden, weights[layer]))
    kernel, bias = weights["last"]
    factor, shift = weights["gate"]
    gated = _dense(build, hidden, (kernel * factor, bias * factor + shift))
    build.name(_finished(build, shape, prior, gated), "linear")
    return _bytes(build, shape, prior is not None)


def _known(build: _Builder, shape: Shape, weights: Weights) -> tuple[str, str | None]:
    """A step's inputs to the first LSTM [B, T, width], and the prior."""
    words = [
        build("Gather", build.constant(weights[f"{name}_embedding"][0]), name)
        for name in shape.embeddings
    ]
    if shape.arch == "reference":
        axis = build.constant([2], np.int64)
        return build("Concat", *words, build("Unsqueeze", "time", axis), axis=-1), None
    scaled = build("Clip", _scale(build, "features", weights["scaled"]),
                   build.constant(-LIMIT), build.constant(LIMIT))  # fmt: skip
    first = build("Mul", "topic", build.constant(shape.difficulties, np.int32))
    names = {name: name for name in WIDE} | {"cell": build("Add", first, "difficulty")}
    kernel, bias = (build.constant(w) for w in weights["wide_features"])
    tables = {name: build.constant(weights[f"wide_{name}"][0]) for name in WIDE}
    rows = [build("Gather", table, names[name]) for name, table in tables.items()]
    prior = build("Sum", build("MatMul", scaled, kernel), bias, *rows)
    beside = _scale(build, prior, weights["prior_scaled"])
    return build("Concat", *words, scaled, beside, axis=-1), prior


def _lstm(build: _Builder, x: str, weights: Sequence[NDArray[Any]], number: int) -> str:
    """[B, T, inputs] → [B, T, units], from the states h and c of this number."""
    kernel, recurrent, bias = (_gates(w) for w in weights)
    axis = build.constant([0], np.int64)
    states = [build("Unsqueeze", f"{state}{number}", axis) for state in "hc"]
    steps, h, c = build(
        "LSTM", build("Transpose", x, perm=[1, 0, 2]),
        build.constant(kernel), build.constant(recurrent),
        build.constant(np.concatenate([bias, np.zeros_like(bias)], axis=1)),
        "", *states, outputs=3, hidden_size=UNITS[number - 1],
    )  # fmt: skip
    for value, state in ((h, "h"), (c, "c")):
        build.name(build("Squeeze", value, axis), f"{state}{number}_out")
    direction = build("Squeeze", steps, build.constant([1], np.int64))
    return str(build("Transpose", direction, perm=[1, 0, 2]))


def _gates(keras: NDArray[Any]) -> NDArray[Any]:
    """[…, 4·units] in Keras's order to [1, 4·units, …] in ONNX's."""
    parts = np.split(keras, 4, axis=-1)
    return np.concatenate([parts[at] for at in GATES], axis=-1).T[None]


def _dense(build: _Builder, x: str, weights: Sequence[NDArray[Any]]) -> str:
    kernel, bias = (build.constant(w) for w in weights)
    return str(build("Add", build("MatMul", x, kernel), bias))


def _scale(build: _Builder, x: str, weights: Sequence[NDArray[Any]]) -> str:
    factor, shift = (build.constant(w) for w in weights)
    return str(build("Add", build("Mul", x, factor), shift))


def _finished(build: _Builder, shape: Shape, prior: str | None, gated: str) -> str:
    if shape.name == "correctness":
        return gated if prior is None else str(build("Add", prior, gated))
    middle, spread = build("Split", gated, axis=-1, outputs=2)
    if prior is not None:
        middle = build("Add", prior, middle)
    middle = build("Clip", middle, *(build.constant(edge) for edge in LOG_SECONDS))
    sigma = build("Exp", build("Max", spread, build.constant(SMALLEST_LOG_SIGMA)))
    return str(build("Concat", middle, sigma, axis=-1))


def _bytes(build: _Builder, shape: Shape, has_prior: bool) -> bytes:
    kinds = {"int32": TensorProto.INT32, "float32": TensorProto.FLOAT}
    inputs = [
        helper.make_tensor_value_info(
            name, kinds[kind], ["B", "T", FEATURES] if name == "features" else ["B", "T"]
        )
        for name, kind in inputs_of(shape.arch).items()
    ]
    states = [
        [
            helper.make_tensor_value_info(f"{s}{end}", TensorProto.FLOAT, ["B", n])
            for s, n in STATES.items()
        ]
        for end in ("", "_out")
    ]
    outputs = [
        helper.make_tensor_value_info("linear", TensorProto.FLOAT, ["B", "T", shape.outputs])
    ]
    if has_prior:
        outputs.append(helper.make_tensor_value_info("prior", TensorProto.FLOAT, ["B", "T", 1]))
    graph = helper.make_graph(
        build.nodes, shape.name, [*inputs, *states[0]], [*outputs, *states[1]], build.constants
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
