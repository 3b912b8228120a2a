from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
from simulated import fitted

from training.export import files, onnx_bytes
from training.networks import MODELS, STATES, serving

STATE_OUTPUTS = [f"{name}_out" for name in STATES]


@cache
def graph(name: str) -> bytes:
    return onnx_bytes(getattr(fitted(), name))


@pytest.mark.parametrize("name", MODELS)
def test_whole_history_and_step_by_step_agree_with_keras(name: str) -> None:
    random = np.random.default_rng(2)
    shape = (5, 40)
    inputs = {
        "user": random.integers(0, 41, shape).astype(np.int32),
        "topic": random.integers(0, 5, shape).astype(np.int32),
        "difficulty": random.integers(0, 4, shape).astype(np.int32),
        "time": random.uniform(-1, 2, shape).astype(np.float32),
    }
    model = getattr(fitted(), name)
    session = onnxruntime.InferenceSession(graph(name), providers=["CPUExecutionProvider"])
    states = {key: np.zeros((5, units), np.float32) for key, units in STATES.items()}
    whole, *ends = session.run(["output", *STATE_OUTPUTS], inputs | states)
    expected = serving(model)(inputs | states)
    np.testing.assert_allclose(whole, np.asarray(model(inputs)), rtol=1e-5, atol=1e-5)
    for key, end in zip(STATE_OUTPUTS, ends, strict=True):
        np.testing.assert_allclose(end, np.asarray(expected[key]), atol=1e-5)
    for t in range(shape[1]):
        one = {key: value[:, t : t + 1] for key, value in inputs.items()}
        output, *after = session.run(["output", *STATE_OUTPUTS], one | states)
        states = dict(zip(STATES, after, strict=True))
        np.testing.assert_allclose(output[:, 0], whole[:, t], rtol=1e-5, atol=1e-5)


def test_graphs_hold_real_lstms() -> None:
    nodes = onnx.load_from_string(graph("time")).graph.node
    assert sum(node.op_type == "LSTM" for node in nodes) == 2
    assert not any(node.op_type in ("Loop", "Scan") for node in nodes)


def test_a_version_s_model_files() -> None:
    found = files(fitted())
    assert sorted(found) == [
        "correctness.onnx",
        "correctness_model.keras",
        "time.onnx",
        "time_model.keras",
    ]
    assert all(len(content) > 10_000 for content in found.values())
