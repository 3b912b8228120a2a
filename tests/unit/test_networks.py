from pathlib import Path

import keras
import numpy as np
import pytest

from training.export import keras_bytes
from training.networks import MODELS, Sizes, network, serving, width
from training.steps import linear

TABLES = Sizes(20, 6, 3).tables


def random_inputs(learners: int, length: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    shape = (learners, length)
    return {
        "user": random.integers(0, 20, shape).astype(np.int32),
        "topic": random.integers(0, 6, shape).astype(np.int32),
        "difficulty": random.integers(0, 3, shape).astype(np.int32),
        "time": random.random(shape).astype(np.float32),
    }


def test_embedding_widths_grow_with_the_fourth_root() -> None:
    assert [width(n, 8, 64) for n in (1, 16, 400, 10_000)] == [8, 16, 35, 64]
    assert [width(n, 4, 32) for n in (0, 1, 6, 10_000)] == [4, 8, 12, 32]


def test_tables_have_room_for_new_names() -> None:
    assert Sizes(20, 6, 3).tables == {"user": (64, 16), "topic": (16, 12), "difficulty": (8, 4)}
    assert Sizes(63, 15, 7).tables["user"][0] == 64
    assert Sizes(64, 16, 8).tables["user"][0] == 128


@pytest.mark.parametrize("name", MODELS)
def test_saved_models_load_in_safe_mode(name: str, tmp_path: Path) -> None:
    model, inputs = network(name, TABLES, seed=3), random_inputs(2, 9)
    (tmp_path / "model.keras").write_bytes(keras_bytes(model))
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert np.array_equal(loaded(inputs), model(inputs))
    assert "h1" in {tensor.name for tensor in serving(loaded).inputs}


@pytest.mark.parametrize("name", MODELS)
def test_a_later_step_never_changes_an_earlier_output(name: str) -> None:
    model, inputs = network(name, TABLES, seed=3), random_inputs(2, 12)
    before = np.asarray(model(inputs))
    inputs["topic"][:, 8:] = 5 - inputs["topic"][:, 8:]
    after = np.asarray(model(inputs))
    assert np.array_equal(before[:, :8], after[:, :8])
    assert not np.array_equal(before[:, 8:], after[:, 8:])


@pytest.mark.parametrize("name", MODELS)
def test_the_fused_training_pass_is_the_same_network(name: str) -> None:
    model, inputs = network(name, TABLES, seed=3), random_inputs(4, 30)
    fused = np.asarray(linear(model, inputs, training=False), dtype=np.float64)
    output = 1 / (1 + np.exp(-fused)) if name == "correctness" else np.exp(fused)
    assert np.abs(output - np.asarray(model(inputs))).max() < 1e-6


def test_extreme_weights_never_overflow_the_time() -> None:
    model = network("time", TABLES, seed=3)
    for bias in (1e6, -1e6):
        model.get_layer("last").bias.assign([bias])
        seconds = np.asarray(model(random_inputs(1, 8)))
        assert np.isfinite(seconds).all()
        assert (seconds > 0).all()


def test_a_seed_fixes_the_weights() -> None:
    first, same, other = (network("time", TABLES, seed).get_weights() for seed in (1, 1, 2**40))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])
