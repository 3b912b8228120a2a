from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from training.prior import FEATURE_PENALTY, LIMIT, Prior
from training.prior import fit as fit_with

SIZES = (5, 4, 3)


def fit(*columns: Any) -> Prior:
    """With the same penalty on each of the features."""
    return fit_with(*columns, penalties=np.full(columns[0].shape[1], FEATURE_PENALTY))


def rows(n: int, seed: int = 0, features: int = 6) -> tuple[Any, ...]:
    """Features, user, topic, difficulty, correct, log seconds; the first feature matters."""
    g = np.random.default_rng(seed)
    x = g.normal(3.0, 2.0, (n, features))
    names = [g.integers(1, size, n) for size in SIZES]
    correct = g.random(n) < expit(x[:, 0] - 3 + 0.5 * names[1] - 1)
    return x, *names, correct, 2 - 0.2 * x[:, 0] + 0.1 * names[2] + g.normal(0, 0.3, n)


def test_what_was_put_in_is_found() -> None:
    data = rows(20_000)
    found = fit(*data, SIZES)
    assert found.correctness.weights == pytest.approx([1, 0, 0, 0, 0, 0], abs=0.2)
    assert found.time.weights == pytest.approx([-0.2, 0, 0, 0, 0, 0], abs=0.02)
    assert found.sigma == pytest.approx(0.3, abs=0.02)
    p = expit(found.correctness(*data[:4]))
    assert p.mean() == pytest.approx(data[4].mean(), abs=0.01)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 50])
def test_few_rows(n: int) -> None:
    data = rows(n)
    found = fit(*data, SIZES)
    for linear in (found.correctness, found.time):
        assert np.isfinite(linear(*data[:4])).all()
    assert found.sigma > 0


@pytest.mark.parametrize("outcome", [True, False])
def test_outcomes_and_times_all_alike(outcome: bool) -> None:
    x, user, topic, difficulty, correct, seconds = rows(30)
    names = (user, topic, difficulty)
    found = fit(x, *names, np.full_like(correct, outcome), np.full_like(seconds, 2.5), SIZES)
    p = expit(found.correctness(x, *names))
    assert ((p > 0.5) == outcome).all()
    assert ((p > 0) & (p < 1)).all()
    assert found.time(x, *names) == pytest.approx(2.5)


def test_constant_and_extreme_features() -> None:
    data = rows(200)
    data[0][:, 1] = 7.0
    found = fit(*data, SIZES).correctness
    assert found.weights[1] == 0
    names = [name[:1] for name in data[1:4]]
    mean, sd = data[0].mean(axis=0), data[0].std(axis=0)
    far = found(np.full((1, 6), 1e300), *names)
    assert far == pytest.approx(found((mean + LIMIT * sd)[None], *names))


def test_unknown_names_add_nothing() -> None:
    data = rows(300)
    data[1][:150] = 0
    data[2][:100] = 0
    found = fit(*data, SIZES)
    zero = np.zeros(300, dtype=np.int64)
    for linear in (found.correctness, found.time):
        held = np.clip(data[0], linear.low, linear.high)
        expected = held @ linear.weights + linear.bias
        assert linear(data[0], zero, zero, zero) == pytest.approx(expected)
        assert not linear.cell[0].any()
        assert not linear.cell[:, 0].any()


def test_one_learner_and_topic() -> None:
    x, user, *_, correct, seconds = rows(40)
    one = np.ones_like(user)
    found = fit(x, one, one, one, correct, seconds, (2, 2, 2))
    assert np.isfinite(found.correctness(x, one, one, one)).all()


def test_a_learners_intercept_takes_nothing_from_the_weights() -> None:
    data = rows(300)
    other = fit(data[0], np.ones_like(data[1]), *data[2:], SIZES)
    found = fit(*data, SIZES)
    assert np.array_equal(found.correctness.weights, other.correctness.weights)


def test_names_are_bounded() -> None:
    n, many = 3_000, 1_000
    x, user, _, difficulty, correct, seconds = rows(n)
    topic = np.random.default_rng(1).integers(1, many, n)
    topic[:500] = 1
    found = fit(x, user, topic, difficulty, correct, seconds, (5, many, 3)).correctness
    tables = (found.topic, found.difficulty, found.cell)
    assert sum(np.count_nonzero(table) for table in tables) <= 256
    assert found.topic[1] != 0


def test_the_same_rows_give_the_same_prior() -> None:
    one, two = fit(*rows(100), SIZES), fit(*rows(100), SIZES)
    assert np.array_equal(one.correctness.weights, two.correctness.weights)
    assert one.sigma == two.sigma
