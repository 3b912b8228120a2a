"""The Keras models: they start as the prior, are causal, and equal the pass that trains them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
from simulated import history

from training.deep import Deep, Watcher
from training.export import keras_bytes, set_weights
from training.features import FEATURES
from training.networks import network, wide
from training.sequences import LOG_SECONDS, Encoder
from training.shapes import MODELS, SMALLEST_LOG_SIGMA, Shape, Sizes, inputs_of
from training.stage import Stage
from training.steps import TrainingSteps

BOTH = [(name, arch) for name in MODELS for arch in ("residual", "reference")]
SIZES = Sizes(20, 6, 3)


def shape_of(name: str, arch: str) -> Shape:
    return Shape(name, arch, *SIZES.rows)  # type: ignore[arg-type]


def random_inputs(shape: Shape, learners: int, length: int, seed: int = 5) -> dict[str, np.ndarray]:
    """Any history at all, features far outside included."""
    random = np.random.default_rng(seed)
    most = {n: rows for n, (rows, _) in shape.embeddings.items()}
    found: dict[str, np.ndarray] = {}
    for name in inputs_of(shape.arch):
        if name == "features":
            found[name] = random.normal(0, 4, (learners, length, FEATURES)).astype(np.float32)
        elif name == "time":
            found[name] = random.uniform(-1, 2, (learners, length)).astype(np.float32)
        else:
            found[name] = random.integers(0, most[name], (learners, length)).astype(np.int32)
    return found


def shaken(model: keras.Model, seed: int = 7) -> keras.Model:
    """No weight stays at zero, so that no part of the model is idle."""
    random = np.random.default_rng(seed)
    for layer in model.layers:
        weights = layer.get_weights()
        layer.set_weights([w + random.normal(0, 0.1, w.shape).astype(w.dtype) for w in weights])
    return model


@cache
def traced(name: str, arch: str) -> TrainingSteps:
    steps = TrainingSteps(shape_of(name, arch))
    shaken(steps.model)
    return steps


def by_layer(model: keras.Model) -> dict[str, list[np.ndarray]]:
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def test_tables_have_room_for_new_names() -> None:
    assert Sizes(20, 6, 3).rows == (64, 16, 8)
    assert Sizes(50, 15, 7).rows == (64, 16, 8)
    assert Sizes(51, 16, 8).rows == (64, 32, 16)
    assert Sizes(52, 1, 1).rows == (128, 16, 8)


@pytest.mark.parametrize("name", MODELS)
def test_a_new_model_says_what_the_prior_says(name: str) -> None:
    past = history(8, 150)
    encoder, every = Encoder.of(past), np.ones(150, dtype=np.bool_)
    stage = Stage.of(past, encoder, every)
    said = stage.said()[name]
    prior = said.prior
    deep = Deep(Shape(name, "residual", *Sizes.of(encoder).rows))
    deep.train(stage, said, every, every, seed=1, rounds=0, watcher=Watcher())
    assert deep.linear(stage, said, every)[:, 0] == pytest.approx(prior)
    inputs = {n: stage.inputs.columns[n][None] for n in inputs_of("residual")}
    output = np.asarray(deep.traced.model(inputs))[0]
    if name == "correctness":
        assert output == pytest.approx(1 / (1 + np.exp(-prior)), abs=1e-5)
    else:
        assert output[:, 0] == pytest.approx(np.exp(prior), rel=1e-4)
        assert output[:, 1] == pytest.approx(stage.prior.sigma, rel=1e-5)


@pytest.mark.parametrize(("name", "arch"), BOTH)
def test_the_fused_training_pass_is_the_same_network(name: str, arch: str) -> None:
    steps = traced(name, arch)
    model, inputs = steps.model, random_inputs(steps.shape, 4, 30)
    prior = np.zeros((4, 30), dtype=np.float32)
    if arch == "residual":
        prior = np.asarray(wide(model.get_layer, inputs, steps.shape))[..., 0]
    scale, bias = model.get_layer("gate").get_weights()
    linear = (steps.predict(inputs, prior) * scale + bias).astype(np.float64)
    linear[..., 0] += prior
    expected = np.asarray(model(inputs))
    assert np.ptp(expected) > 0.05
    if name == "correctness":
        np.testing.assert_allclose(1 / (1 + np.exp(-linear[..., 0])), expected, atol=1e-5)
    else:
        linear[..., 0] = np.clip(linear[..., 0], *LOG_SECONDS)
        linear[..., 1] = np.maximum(linear[..., 1], SMALLEST_LOG_SIGMA)
        np.testing.assert_allclose(linear, np.log(expected), atol=1e-5)


@pytest.mark.parametrize(("name", "arch"), BOTH)
def test_saved_models_load_in_safe_mode(name: str, arch: str, tmp_path: Path) -> None:
    model, shape = traced(name, arch).model, shape_of(name, arch)
    inputs = random_inputs(shape, 2, 9)
    (tmp_path / "model.keras").write_bytes(keras_bytes(shape, by_layer(model)))
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert np.array_equal(loaded(inputs), model(inputs))


@pytest.mark.parametrize(("name", "arch"), BOTH)
def test_weights_by_layer_are_all_there_is(name: str, arch: str) -> None:
    model, shape = traced(name, arch).model, shape_of(name, arch)
    other, inputs = network(shape, seed=9), random_inputs(shape, 2, 9)
    assert not np.array_equal(other(inputs), model(inputs))
    set_weights(other, by_layer(model))
    assert np.array_equal(other(inputs), model(inputs))


@pytest.mark.parametrize(("name", "arch"), BOTH)
def test_a_later_step_never_changes_an_earlier_output(name: str, arch: str) -> None:
    model, shape = traced(name, arch).model, shape_of(name, arch)
    inputs, other = (random_inputs(shape, 2, 12, seed) for seed in (1, 2))
    mixed = {n: np.concatenate([inputs[n][:, :8], other[n][:, 8:]], axis=1) for n in inputs}
    before, after = np.asarray(model(inputs)), np.asarray(model(mixed))
    assert np.array_equal(before[:, :8], after[:, :8])
    assert not np.isclose(before[:, 8:], after[:, 8:]).all()


@pytest.mark.parametrize("arch", ["residual", "reference"])
def test_extreme_weights_never_overflow_the_time(arch: str) -> None:
    shape = shape_of("time", arch)
    model = network(shape, seed=3)
    bias = model.get_layer("last").bias
    for value in (1e6, -1e6):
        bias.assign([value, min(value, 10.0)][: shape.outputs])
        found = np.asarray(model(random_inputs(shape, 1, 8)))
        assert np.isfinite(found).all()
        assert (found > 0).all()


def test_a_seed_fixes_the_weights() -> None:
    shape = shape_of("time", "residual")
    first, same = (network(shape, 1).get_weights() for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    another = network(shape_of("correctness", "residual"), 1)
    for drawn in ("user_embedding", "lstm1", "dense1"):
        tables = [network(shape, seed).get_layer(drawn).get_weights()[0] for seed in (1, 2**40)]
        tables.append(another.get_layer(drawn).get_weights()[0])
        assert len({table.tobytes() for table in tables}) == 3
