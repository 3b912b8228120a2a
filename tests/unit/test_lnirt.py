"""LNIRT recovers what it simulates, shrinks what it has not seen, and filters as it fits."""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import multivariate_normal, norm

from training.lnirt import Lnirt, fit, posterior
from training.lnirt_filter import advance, answer, initial

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
RECOVERY = Path(os.environ.get("RETRACE_SHARED_DATA", SHARED))


@dataclass(frozen=True)
class Rows:
    learner: np.ndarray
    topic: np.ndarray
    difficulty: np.ndarray
    correct: np.ndarray
    log_seconds: np.ndarray
    timed_out: np.ndarray
    shape: tuple[int, int] = (6, 3)

    def fit(self, **options) -> Lnirt:
        what = (self.correct, self.log_seconds, self.timed_out)
        return fit(self.learner, self.topic, self.difficulty, self.shape, *what, **options)

    def known_to(self, model: Lnirt) -> np.ndarray:
        what = (self.correct, self.log_seconds, self.timed_out)
        return posterior(model, self.learner, self.topic, self.difficulty, *what)

    def filtered(self, model: Lnirt) -> np.ndarray:
        """One learner's rows, one after another."""
        state = initial(model, 1)
        columns = (self.topic, self.difficulty, self.correct, self.log_seconds, self.timed_out)
        for i in range(len(self.topic)):
            state = advance(model, state, *(column[i : i + 1] for column in columns))
        return state


def truth(shape=(6, 3), seed=0, covariance=((0.8, 0.2), (0.2, 0.15))) -> Lnirt:
    """Parameters with Πa = Πφ = 1 over the cells that have names."""
    random = np.random.default_rng(seed)
    a, phi = np.exp(random.normal(0, 0.2, (2, *shape)))
    for slope in (a, phi):
        slope /= np.exp(np.log(slope[1:, 1:]).mean())
    b, lam = random.normal(0, 0.8, shape), random.normal(2, 0.5, shape)
    sigma = np.exp(random.normal(-0.8, 0.2, shape))
    return Lnirt(a, b, phi, lam, sigma, np.array(covariance), drift=0.0)


def simulated(model: Lnirt, learners: int, tasks: int, seed: int = 1, limit=np.inf):
    """Rows in random order, and θ, ζ [learners, 2]; times are cut at the limit of log seconds."""
    random = np.random.default_rng(seed)
    person = random.multivariate_normal([0, 0], model.covariance, learners)
    learner = random.permutation(np.repeat(np.arange(learners), tasks))
    topic = random.integers(1, model.a.shape[0], len(learner))
    difficulty = random.integers(1, model.a.shape[1], len(learner))
    at = (topic, difficulty)
    theta, zeta = person[learner].T
    correct = random.random(len(learner)) < ndtr(model.a[at] * theta - model.b[at])
    time = model.lam[at] - model.phi[at] * zeta + model.sigma[at] * random.normal(size=len(topic))
    shape = (model.a.shape[0], model.a.shape[1])
    cut = np.minimum(time, limit)
    return Rows(learner, topic, difficulty, correct, cut, time > limit, shape), person


def rmse(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(np.mean((x - y) ** 2)))


def only(rows: Rows, kept: np.ndarray) -> Rows:
    columns = [f.name for f in dataclasses.fields(Rows) if f.name != "shape"]
    return dataclasses.replace(rows, **{name: getattr(rows, name)[kept] for name in columns})


def rows_of(n: int, **columns) -> Rows:
    one = np.ones(n, dtype=np.int64)
    given = {"learner": one, "topic": one, "difficulty": one, "correct": one > 0}
    given |= {"log_seconds": np.full(n, 2.0), "timed_out": one < 0}
    return Rows(**(given | columns))


def is_sane(model: Lnirt) -> bool:
    return Lnirt.from_dict(model.to_dict()) is not None and bool((model.sigma >= 0.05).all())


def test_parameters_are_recovered():
    model = truth()
    rows, person = simulated(model, 600, 40)
    found = rows.fit(identified=True)
    named = (slice(1, None), slice(1, None))
    assert rmse(found.a[named], model.a[named]) < 0.08
    assert rmse(found.b[named], model.b[named]) < 0.08
    assert rmse(found.phi[named], model.phi[named]) < 0.05
    assert rmse(found.lam[named], model.lam[named]) < 0.04
    assert rmse(found.sigma[named], model.sigma[named]) < 0.02
    assert found.covariance == pytest.approx(model.covariance, abs=0.08)
    state = rows.known_to(found)
    assert rmse(state[:, 0], person[:, 0]) < 0.35
    assert rmse(state[:, 1], person[:, 1]) < 0.12


def test_few_tasks_of_many_learners_leave_no_bias():
    """Two tasks say little of a learner, and the cells' step has to know how little."""
    model = truth((3, 2), covariance=((1.0, 0.3), (0.3, 0.5)))
    model = dataclasses.replace(model, sigma=np.full((3, 2), 0.5))
    rows, _ = simulated(model, 10_000, 2)
    found = rows.fit(identified=True, iterations=200)
    assert found.sigma[1:, 1] == pytest.approx(model.sigma[1:, 1], abs=0.03)
    assert found.phi[1:, 1] == pytest.approx(model.phi[1:, 1], abs=0.06)
    assert found.covariance[1, 1] == pytest.approx(0.5, abs=0.05)


def test_identification_holds_exactly():
    rows, _ = simulated(truth(), 50, 20)
    found = rows.fit(identified=True)
    for slope in (found.a, found.phi):
        assert np.log(slope[1:, 1:]).mean() == pytest.approx(0, abs=1e-12)


def test_posterior_spread_is_honest():
    """Standardised errors of θ and ζ have variance 1 when the parameters are the true ones."""
    model = truth()
    rows, person = simulated(model, 2000, 12)
    state = rows.known_to(model)
    for error, variance in zip((state[:, :2] - person).T, state[:, [2, 4]].T, strict=True):
        assert np.mean(error**2 / variance) == pytest.approx(1, abs=0.1)


def test_one_answer_and_time_give_the_exact_moments():
    model = truth()
    one = rows_of(1, log_seconds=np.array([2.5]))
    state = one.filtered(model)[0]
    a, b, phi, lam, sigma = model.cells[1, 1]
    theta, zeta = np.meshgrid(np.linspace(-7, 7, 701), np.linspace(-4, 4, 801))
    density = multivariate_normal([0, 0], model.covariance).pdf(np.stack([theta, zeta], axis=-1))
    density *= ndtr(a * theta - b) * norm.pdf(2.5, lam - phi * zeta, sigma)
    density /= density.sum()
    first, second = (density * theta).sum(), (density * zeta).sum()
    theta, zeta = theta - first, zeta - second
    moments = [(density * m).sum() for m in (theta**2, theta * zeta, zeta**2)]
    assert state == pytest.approx([first, second, *moments], abs=1e-6)


def test_filter_equals_the_batch_posterior_of_times():
    """With a ≈ 0 the answers say nothing, and everything else is exactly normal."""
    model = dataclasses.replace(truth(), a=np.full((6, 3), 1e-9))
    rows, _ = simulated(model, 1, 30)
    assert rows.filtered(model)[0] == pytest.approx(rows.known_to(model)[0], abs=1e-6)


def test_filter_is_near_the_batch_posterior_with_answers_and_time_outs():
    model = truth()
    rows, _ = simulated(model, 1, 60, limit=2.2)
    assert 5 < rows.timed_out.sum() < 55
    assert rows.filtered(model)[0] == pytest.approx(rows.known_to(model)[0], abs=0.05)


def test_answer_integrates_over_what_is_not_known():
    model = truth()
    theta, zeta = np.random.default_rng(0).multivariate_normal([0, 0], model.covariance, 200000).T
    p, mu, sigma = answer(model, initial(model, 1), np.array([2]), np.array([1]))
    a, b, phi, lam, noise = model.cells[2, 1]
    assert p[0] == pytest.approx(ndtr(a * theta - b).mean(), abs=0.005)
    assert mu[0] == pytest.approx((lam - phi * zeta).mean(), abs=0.005)
    assert sigma[0] == pytest.approx(np.hypot(noise, phi * zeta.std()), abs=0.005)


def test_drift_keeps_a_learner_teachable():
    still = truth()
    moving = dataclasses.replace(still, drift=0.03)
    right = rows_of(200)
    assert moving.regained[2, 0] > 0
    assert right.filtered(moving)[0, 2] > 5 * right.filtered(still)[0, 2]


def test_censored_times_are_not_taken_for_times():
    model = truth()
    rows, person = simulated(model, 600, 40, limit=2.3)
    assert 0.2 < rows.timed_out.mean() < 0.5
    found = rows.fit(identified=True, iterations=60)
    naive = dataclasses.replace(rows, timed_out=np.zeros(len(rows.topic), bool))
    named = (slice(1, None), slice(1, None))
    lam = (model.lam - model.phi * person[:, 1].mean())[named]
    assert (found.lam[named] - lam).mean() == pytest.approx(0, abs=0.02)
    assert rmse(found.lam[named], lam) < 0.04
    assert rmse(found.sigma[named], model.sigma[named]) < 0.03
    assert (naive.fit(identified=True).lam[named] - lam).mean() < -0.1


def test_a_time_out_slows_the_learner_as_its_limit_says():
    model = truth()
    late = rows_of(1, log_seconds=np.array([3.5]), timed_out=np.array([True]))
    in_time = dataclasses.replace(late, timed_out=np.array([False]))
    assert late.filtered(model)[0, 1] < in_time.filtered(model)[0, 1]


def test_a_limit_of_no_time_says_nothing():
    model = truth()
    at_once = rows_of(1, log_seconds=np.array([-20.0]), timed_out=np.array([True]))
    deaf = dataclasses.replace(model, sigma=np.full((6, 3), 1e9))
    untimed = dataclasses.replace(at_once, timed_out=np.array([False]))
    assert at_once.filtered(model) == pytest.approx(untimed.filtered(deaf), abs=1e-6)


def additive() -> Lnirt:
    """Cells that are exactly topic + difficulty, as the fallback assumes."""
    topic, difficulty = np.linspace(-1, 1, 7)[:, None], np.array([[0.0, -0.7, 0.7]])
    sum_of = topic + difficulty
    one = np.ones((7, 3))
    return Lnirt(one, sum_of, one, 2 + sum_of, 0.4 * one, np.diag([0.3, 0.1]))


def test_an_unseen_cell_is_its_topic_plus_its_difficulty():
    model = additive()
    rows, _ = simulated(model, 300, 40)
    kept = ~((rows.topic == 6) & (rows.difficulty == 2))
    found = only(rows, kept).fit()
    assert found.b[6, 2] == pytest.approx(model.b[6, 2], abs=0.25)
    assert found.lam[6, 2] == pytest.approx(model.lam[6, 2], abs=0.2)


def test_unseen_names_take_the_average():
    model = additive()
    rows, _ = simulated(model, 300, 40)
    found = rows.fit()
    assert found.b[0, 1:] == pytest.approx(found.b[1:, 1:].mean(axis=0), abs=0.1)
    assert found.lam[0, 1:] == pytest.approx(found.lam[1:, 1:].mean(axis=0), abs=0.1)
    assert found.lam[0, 0] == pytest.approx(found.lam[1:, 1:].mean(), abs=0.1)


def test_few_rows_leave_the_slopes_and_move_the_cell_most():
    found = rows_of(4, correct=np.zeros(4, bool), log_seconds=np.full(4, 5.5)).fit()
    assert found.a == pytest.approx(np.ones((6, 3)), abs=0.15)
    assert found.phi == pytest.approx(np.ones((6, 3)), abs=0.15)
    for table in (found.b, found.lam):
        assert table[1, 1] > table[1, 2] > table[2, 2]
        assert table[1, 1] > table[2, 1] > table[2, 2]
    assert 4.5 < found.lam[1, 1] < 5.6


def test_no_rows_give_even_odds_and_a_minute():
    found = rows_of(0).fit()
    p, mu, sigma = answer(found, initial(found, 2), np.array([0, 3]), np.array([0, 2]))
    assert p == pytest.approx([0.5, 0.5])
    assert np.exp(mu) == pytest.approx([60, 60])
    assert (sigma > 0.3).all()
    assert rows_of(0).known_to(found).shape == (0, 5)


def test_seconds_have_no_scale():
    rows, _ = simulated(truth(), 60, 30)
    slow = dataclasses.replace(rows, log_seconds=rows.log_seconds + np.log(1000))
    first, second = rows.fit(iterations=40), slow.fit(iterations=40)
    assert second.lam[1:, 1:] - np.log(1000) == pytest.approx(first.lam[1:, 1:], abs=0.05)
    assert second.sigma == pytest.approx(first.sigma, abs=0.01)


HARD = {
    "one row": rows_of(1),
    "one time-out": rows_of(1, timed_out=np.array([True])),
    "all right": rows_of(500, learner=np.arange(500) % 20),
    "all wrong": rows_of(500, correct=np.zeros(500, bool)),
    "all timed out": rows_of(500, timed_out=np.ones(500, bool), learner=np.arange(500) % 7),
    "widest times": rows_of(400, log_seconds=np.tile(np.log([1e-3, 1e5]), 200)),
    "time-outs at the widest": rows_of(
        400, log_seconds=np.tile(np.log([1e-3, 1e5]), 200), timed_out=np.arange(400) % 4 > 1
    ),
    "one learner's 10 000 tasks": rows_of(10_000, correct=np.arange(10_000) % 3 > 0),
    "100 000 learners of one task": rows_of(
        100_000, learner=np.arange(100_000), correct=np.arange(100_000) % 2 > 0
    ),
    "one cell": dataclasses.replace(
        rows_of(50, topic=np.zeros(50, int), difficulty=np.zeros(50, int)), shape=(1, 1)
    ),
}


@pytest.mark.parametrize("rows", HARD.values(), ids=HARD.keys())
@pytest.mark.parametrize("identified", [False, True])
def test_hard_rows_give_a_sane_model(rows: Rows, identified: bool):
    found = rows.fit(identified=identified)
    assert is_sane(found)
    state = rows.known_to(found)
    assert np.isfinite(state).all()
    assert (state[:, [2, 4]] > 0).all()
    assert (state[:, 2] * state[:, 4] > state[:, 3] ** 2).all()


@pytest.mark.parametrize("drift", [0.0, 0.03])
@pytest.mark.parametrize("name", ["widest times", "one learner's 10 000 tasks", "all timed out"])
def test_filter_survives_hard_rows(name: str, drift: float):
    model = dataclasses.replace(truth(), sigma=np.full((6, 3), 0.05), drift=drift)
    state = HARD[name].filtered(model)[0]
    assert np.isfinite(state).all()
    assert state[2] > 0
    assert state[2] * state[4] > state[3] ** 2
    p, _, sigma = answer(model, state[None], np.array([1]), np.array([1]))
    assert 0 <= p[0] <= 1
    assert sigma[0] >= 0.05


def test_filter_is_the_same_for_many_learners_at_once():
    model = truth()
    rows, _ = simulated(model, 1, 50, limit=2.5)
    columns = (rows.topic, rows.difficulty, rows.correct, rows.log_seconds, rows.timed_out)
    start = np.repeat(only(rows, np.arange(5)).filtered(model), 50, axis=0)
    together = advance(model, start, *columns)
    alone = [advance(model, start[:1], *(c[i : i + 1] for c in columns))[0] for i in range(50)]
    assert start[0] == pytest.approx(start[-1])
    assert together == pytest.approx(np.array(alone))


def test_the_same_rows_give_the_same_model():
    rows, _ = simulated(truth(), 40, 20, limit=2.5)
    assert rows.fit().to_dict() == rows.fit().to_dict()


def test_order_of_rows_and_names_of_learners_do_not_matter():
    rows, _ = simulated(truth(), 40, 20)
    moved = only(rows, np.random.default_rng(3).permutation(len(rows.topic)))
    moved = dataclasses.replace(moved, learner=-7 * moved.learner)
    assert np.allclose(moved.fit().cells, rows.fit().cells, atol=1e-8)


def test_a_warm_start_is_where_a_long_fit_ends():
    rows, _ = simulated(truth(), 200, 30)
    long = rows.fit(iterations=60)
    assert np.allclose(rows.fit(start=long, iterations=10).cells, long.cells, atol=0.02)
    other = dataclasses.replace(rows, shape=(8, 3))
    assert other.fit(start=long).a.shape == (8, 3)


def test_round_trip():
    model = truth()
    again = Lnirt.from_dict(model.to_dict())
    assert again.to_dict() == model.to_dict()
    assert np.array_equal(again.cells, model.cells)


WRONG = {
    "shape": {"b": [[0.0]]},
    "no table": {"a": 1.0},
    "not finite": {"lam": np.full((6, 3), np.nan).tolist()},
    "negative slope": {"a": np.full((6, 3), -1.0).tolist()},
    "no noise": {"sigma": np.zeros((6, 3)).tolist()},
    "covariance": {"covariance": [[1.0, 2.0], [2.0, 1.0]]},
    "lopsided": {"covariance": [[1.0, 0.1], [0.2, 1.0]]},
    "covariance's shape": {"covariance": [1.0, 1.0]},
    "backward drift": {"drift": -0.1},
    "words": {"phi": "steep"},
    "nothing": {"sigma": None, "drift": None},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_what_no_model_can_be_is_refused(change):
    with pytest.raises(ValueError, match=r"LNIRT|convert|setting"):
        Lnirt.from_dict(truth().to_dict() | change)


def test_what_is_missing_is_refused():
    whole = truth().to_dict()
    for name in whole:
        with pytest.raises(KeyError):
            Lnirt.from_dict({key: whole[key] for key in whole if key != name})


def test_recovery_set_is_recovered_as_well_as_by_gibbs_sampling():
    """Within 1.15 of the errors of R's LNIRT on 1 000 persons × 30 items."""
    name = "lnirt_sim_1000x30_{}.csv"
    if not (RECOVERY / name.format("y")).exists():
        pytest.skip(f"the recovery set is not in {RECOVERY}; set RETRACE_SHARED_DATA to its folder")
    y, times, items, persons = (
        np.genfromtxt(RECOVERY / name.format(part), delimiter=",", skip_header=1)
        for part in ("y", "logrt", "items", "persons")
    )
    learner, item = np.indices(y.shape).reshape(2, -1)
    none = np.zeros(y.size, dtype=np.int64)
    rows = Rows(learner, item, none, y.ravel() > 0, times.ravel(), none > 0, (y.shape[1], 1))
    found = rows.fit(identified=True)
    state = rows.known_to(found)
    estimates = [*found.cells[:, 0, :4].T, *state[:, :2].T]
    error = [rmse(x, y) for x, y in zip(estimates, [*items[:, :4].T, *persons.T], strict=True)]
    limit = [0.0713, 0.0495, 0.0345, 0.0449, 0.312, 0.198]
    assert all(e <= most for e, most in zip(error, limit, strict=True)), error
