"""ONNX graphs equal the Keras models, on whole histories and step by step."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
from simulated import fitted, history
from test_networks import BOTH, by_layer, random_inputs, shape_of, traced

from training.export import files, serving_files, set_weights
from training.networks import network
from training.onnx_graph import onnx_bytes
from training.sequences import batches, replay, sequences
from training.shapes import MODELS, STATES, inputs_of

STATE_OUTPUTS = [f"{name}_out" for name in STATES]


@cache
def graph(name: str, arch: str) -> bytes:
    return onnx_bytes(shape_of(name, arch), by_layer(traced(name, arch).model))


def session_of(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def zeros(learners: int) -> dict[str, np.ndarray]:
    return {key: np.zeros((learners, units), np.float32) for key, units in STATES.items()}


def as_keras(name: str, arch: str, linear: np.ndarray) -> np.ndarray:
    """A graph's linear output in the units of the Keras model."""
    if name == "correctness":
        return 1 / (1 + np.exp(-linear[..., 0].astype(np.float64)))
    return np.concatenate([np.exp(linear[..., :1]), linear[..., 1:]], axis=-1)


@pytest.mark.parametrize(("name", "arch"), BOTH)
def test_whole_histories_agree_with_keras(name: str, arch: str) -> None:
    steps, session = traced(name, arch), session_of(graph(name, arch))
    for seed, (learners, length) in enumerate([(5, 40), (1, 1), (3, 8)]):
        inputs = random_inputs(steps.shape, learners, length, seed)
        (linear,) = session.run(["linear"], inputs | zeros(learners))
        found, expected = as_keras(name, arch, linear), np.asarray(steps.model(inputs))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "arch"), BOTH)
def test_step_by_step_with_carried_states_is_the_whole_history(name: str, arch: str) -> None:
    inputs = random_inputs(shape_of(name, arch), 5, 40)
    session, states = session_of(graph(name, arch)), zeros(5)
    whole, *ends = session.run(["linear", *STATE_OUTPUTS], inputs | states)
    for t in range(40):
        one = {key: value[:, t : t + 1] for key, value in inputs.items()}
        linear, *after = session.run(["linear", *STATE_OUTPUTS], one | states)
        states = dict(zip(STATES, after, strict=True))
        np.testing.assert_allclose(linear[:, 0], whole[:, t], rtol=1e-5, atol=1e-5)
    for end, state in zip(ends, states.values(), strict=True):
        np.testing.assert_allclose(state, end, atol=1e-5)
        assert np.abs(end).max() > 0.01


@pytest.mark.parametrize("name", MODELS)
def test_the_prior_comes_out_beside_the_answer(name: str) -> None:
    inputs = random_inputs(shape_of(name, "residual"), 2, 9)
    (prior,) = session_of(graph(name, "residual")).run(["prior"], inputs | zeros(2))
    assert prior.shape == (2, 9, 1)
    assert "prior" not in {o.name for o in session_of(graph(name, "reference")).get_outputs()}


@pytest.mark.parametrize("name", MODELS)
def test_a_fitted_version_s_graph_is_its_keras_model(name: str) -> None:
    past, found = history(40, 1200), fitted()
    tasks = found.encoder.tasks(past)
    inputs = replay(tasks, found.encoder, found.lnirt)
    (batch, *_) = batches(sequences(tasks), inputs)
    mine = {n: batch.inputs[n] for n in inputs_of("residual")}
    session = session_of(serving_files(found)[f"{name}.onnx"])
    (linear,) = session.run(["linear"], mine | zeros(len(batch.rows)))
    model = network(found.shapes[name], seed=0)
    set_weights(model, found.weights[name])
    expected = np.asarray(model(mine))
    np.testing.assert_allclose(as_keras(name, "residual", linear), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "arch"), BOTH)
def test_graphs_hold_real_lstms(name: str, arch: str) -> None:
    nodes = onnx.load_from_string(graph(name, arch)).graph.node
    assert sum(node.op_type == "LSTM" for node in nodes) == 2
    assert not any(node.op_type in ("Loop", "Scan") for node in nodes)


def test_a_version_s_files() -> None:
    found = files(fitted())
    assert sorted(found) == [
        "correctness.onnx", "correctness_model.keras", "record.npy", "time.onnx",
        "time_model.keras",
    ]  # fmt: skip
    assert all(len(content) > 10_000 for content in found.values())
    served = serving_files(fitted())
    assert served == {name: found[name] for name in served}
    json.dumps(fitted().metadata(), allow_nan=False)
