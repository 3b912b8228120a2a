"""Single training steps: the loss of a time-out, and gradients that are none."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_ndtr
from test_networks import BOTH, random_inputs, shape_of

from training.shapes import SMALLEST_LOG_SIGMA
from training.steps import TrainingSteps, _log_normal

LINES = (3, 8)


@cache
def fresh(name: str, arch: str) -> TrainingSteps:
    steps = TrainingSteps(shape_of(name, arch))
    steps.begin(1)
    return steps


def weights(steps: TrainingSteps) -> list[np.ndarray]:
    return [np.array(w) for w in steps.model.get_weights()]


def unchanged(steps: TrainingSteps, before: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(before, weights(steps), strict=True))


def learn(steps: TrainingSteps, value: float = 1.0, weight: float = 1.0) -> float:
    column = np.full(LINES, value, dtype=np.float32)
    none = np.zeros(LINES, dtype=np.float32)
    mass = np.full(LINES, weight, dtype=np.float32)
    inputs = random_inputs(steps.shape, *LINES)
    return steps.learn(0.01, inputs, none, column, none, mass)


@pytest.mark.parametrize(("name", "arch"), BOTH)
@pytest.mark.parametrize(("value", "weight"), [(np.nan, 1.0), (np.inf, 1.0), (0.5, 3e38)])
def test_a_gradient_that_overflows_is_left_out(
    name: str, arch: str, value: float, weight: float
) -> None:
    steps = fresh(name, arch)
    steps.begin(1)
    before = weights(steps)
    assert not np.isfinite(learn(steps, value, weight))
    assert unchanged(steps, before)
    assert np.isfinite(learn(steps))
    assert not unchanged(steps, before)
    assert not np.isfinite(learn(steps, value, weight))
    assert all(np.isfinite(w).all() for w in weights(steps))


@pytest.mark.parametrize(("name", "arch"), BOTH)
def test_steps_lower_the_loss_and_leave_the_prior_alone(name: str, arch: str) -> None:
    steps = fresh(name, arch)
    steps.begin(2)
    frozen = {
        layer.name: layer.get_weights() for layer in steps.model.layers
        if layer.name.startswith(("wide", "gate", "scaled", "prior"))
    }  # fmt: skip
    losses = [learn(steps) for _ in range(12)]
    assert losses[-1] < losses[0] - 0.01
    for layer, values in frozen.items():
        now = steps.model.get_layer(layer).get_weights()
        assert all(np.array_equal(a, b) for a, b in zip(values, now, strict=True))


@pytest.mark.parametrize(("name", "arch"), BOTH)
def test_beginning_again_forgets_everything(name: str, arch: str) -> None:
    steps = fresh(name, arch)
    runs = []
    for seed in (3, 3, 4):
        steps.begin(seed)
        losses = [learn(steps) for _ in range(3)]
        runs.append((losses, weights(steps)))
    assert runs[0][0] == runs[1][0] != runs[2][0]
    assert all(np.array_equal(a, b) for a, b in zip(runs[0][1], runs[1][1], strict=True))


@pytest.mark.parametrize(("name", "arch"), BOTH)
def test_rows_of_no_weight_teach_nothing(name: str, arch: str) -> None:
    steps = fresh(name, arch)
    steps.begin(1)
    before = weights(steps)
    assert learn(steps, weight=0.0) == 0.0
    assert unchanged(steps, before)


def slopes(error: float, log_sigma: float, timed_out: bool) -> tuple[float, float, float]:
    """The loss of one time, and its gradients in the median and in log sigma."""
    linear = tf.constant([[0.0, log_sigma]], dtype=tf.float32)
    target, out = (tf.constant([x], dtype=tf.float32) for x in (error, float(timed_out)))
    with tf.GradientTape() as tape:
        tape.watch(linear)
        loss = _log_normal(target, out, linear, tf.constant(0.5))
    return float(loss[0]), *np.asarray(tape.gradient(loss, linear))[0].tolist()


errors = st.floats(-4.0, 4.0, width=32)
spreads = st.floats(-1.0, 1.0, width=32)


@given(errors, spreads)
def test_a_time_out_moves_the_median_like_a_time_seen(error: float, log_sigma: float) -> None:
    _, seen, _ = slopes(error, log_sigma, False)
    _, cut, _ = slopes(error, log_sigma, True)
    assert seen == pytest.approx(-error / 0.5**2, rel=1e-4, abs=1e-6)
    assert cut == pytest.approx(seen, rel=1e-5, abs=1e-6)


def numerical(f: Callable[[float], float], at: float) -> float:
    return (f(at + 1e-5) - f(at - 1e-5)) / 2e-5


@given(errors, spreads)
def test_a_time_out_tells_sigma_that_the_time_was_longer(error: float, log_sigma: float) -> None:
    if error * np.exp(-log_sigma) > 4.5:
        return
    *_, cut = slopes(error, log_sigma, True)
    expected = numerical(lambda s: -float(log_ndtr(-error * np.exp(-s))), log_sigma)
    assert cut == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert np.sign(cut) in (0.0, -np.sign(error))


@given(errors, spreads)
def test_a_time_seen_has_the_likelihood_of_a_log_normal(error: float, log_sigma: float) -> None:
    loss, _, sigma = slopes(error, log_sigma, False)
    z = error * np.exp(-log_sigma)
    median = 0.5 * (error / 0.5) ** 2
    assert loss - median == pytest.approx(0.5 * z * z + log_sigma, rel=1e-4, abs=1e-4)
    assert sigma == pytest.approx(1 - z * z, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("timed_out", [False, True])
@pytest.mark.parametrize("error", [-19.0, -1e-30, 0.0, 19.0])
@pytest.mark.parametrize("log_sigma", [-1e4, SMALLEST_LOG_SIGMA, 0.0, 20.0])
def test_extreme_times_have_finite_gradients(
    error: float, log_sigma: float, timed_out: bool
) -> None:
    assert np.isfinite(slopes(error, log_sigma, timed_out)).all()


def test_tables_are_laid_out_as_the_network_reads_them() -> None:
    steps = fresh("time", "residual")
    cells = np.arange(12.0).reshape(4, 3)
    steps.set_table("wide_cell", cells)
    steps.set_table("wide_topic", np.arange(4.0))
    model: keras.Model = steps.model
    laid = model.get_layer("wide_cell").get_weights()[0][:, 0]
    assert laid[2 * steps.shape.difficulties + 1] == cells[2, 1]
    assert laid.sum() == cells.sum()
    assert model.get_layer("wide_topic").get_weights()[0][:5, 0].tolist() == [0, 1, 2, 3, 0]
