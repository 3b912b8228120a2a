"""Training from nothing and further: what is learned, recorded, and refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from simulated import fitted, fitter, history, only

from schemas.errors import ModelRejected, NotEnoughData
from schemas.history import History
from training.artifacts import Artifact
from training.deep import EpochReport, TrainingStopped, Watcher
from training.export import serving_files
from training.fit import Fitted, Fitter, Order
from training.metrics import log_loss
from training.record import Record
from training.sequences import LOG_SECONDS
from training.served import Opinion, Served
from training.shapes import MODELS

QUICK = Order(seed=1, epochs=2)
PAST = history(8, 200)
USUAL = history(3, 30, seed=1)


def upto(rows: int, past: History = PAST) -> History:
    return only(past, np.arange(rows))


def anew(past: History, order: Order = QUICK, **more: object) -> Fitted:
    """From nothing, on networks that have been traced already."""
    return fitter().fit(past, replace(order, anew=True), **more)  # type: ignore[arg-type]


def begun(rows: int, order: Order = QUICK, past: History = PAST) -> Fitter:
    """The shared fitter, after it has learned these rows only."""
    forgetful().fit(upto(rows, past), order)
    return fitter()


def forgetful() -> Fitter:
    """The shared fitter as after a restart, but traced already."""
    fitter()._chain = None
    return fitter()


def same_weights(one: Fitted, other: Fitted) -> bool:
    return all(
        np.array_equal(a, b)
        for name in MODELS
        for layer, weights in one.weights[name].items()
        for a, b in zip(weights, other.weights[name][layer], strict=True)
    )


def reported(fitter: Fitter, past: History, order: Order = QUICK) -> tuple[Fitted, int]:
    reports: list[EpochReport] = []
    return fitter.fit(past, order, Watcher(reports.append)), len(reports)


def test_a_learnable_signal_is_learned() -> None:
    past, found = history(40, 1200), fitted().record.metrics()
    newest = past.is_correct[-240:]
    base = log_loss(newest, np.full(240, past.is_correct[:-240].mean()))
    assert found["rows"] == len(fitted().record) == 240
    for scores in (found, found["lnirt"]):
        assert scores["log_loss"] < base - 0.1
        assert scores["log_loss"] < found["topic_difficulty"]["log_loss"]
        assert scores["auc"] > 0.75
        assert scores["log_rmse"] < 0.8 * np.log(past.seconds).std()
        assert 0.7 < scores["coverage_80"] < 0.9
    assert found["serving"] is None


def test_what_is_kept_with_the_model_is_json() -> None:
    data = json.loads(json.dumps(fitted().metadata(), allow_nan=False))
    assert (data["users"], data["topics"], data["difficulties"]) == (40, 4, 3)
    assert data["completions"] == data["learned_rows"] == 1200
    assert data["arch"] == "residual"
    assert set(data) > {"encoder", "lnirt", "mixture", "metrics"}


def test_a_seed_fixes_everything_on_a_fitter_used_before() -> None:
    orders = [replace(QUICK, seed=seed) for seed in (4, 5, 4)]
    first, other, again = (anew(upto(100), order) for order in orders)
    assert same_weights(first, again)
    assert first.metadata() == again.metadata()
    assert not same_weights(first, other)


def test_a_seed_fixes_what_is_learned_further() -> None:
    first, second = (begun(80).fit(upto(90), QUICK) for _ in range(2))
    assert same_weights(first, second)
    assert np.array_equal(first.record.rows, second.record.rows, equal_nan=True)


def test_epochs_are_reported_and_bounded() -> None:
    reports: list[EpochReport] = []
    anew(upto(60), replace(QUICK, epochs=3), watcher=Watcher(reports.append))
    for name in MODELS:
        assert [r.epoch for r in reports if r.model == name] == [1, 2, 3]
    assert all(r.epochs == 3 and np.isfinite([r.loss, r.val_loss]).all() for r in reports)


def test_five_more_rows_are_predicted_and_then_learned() -> None:
    before = begun(100).fit(upto(101), QUICK)
    after, reports = reported(fitter(), upto(106))
    assert reports == 2
    assert (after.rows, after.upto) == (106, 106)
    assert len(after.record) == len(before.record) + 5
    numbers = after.record.column("number")
    assert numbers[-5:].tolist() == [102, 103, 104, 105, 106]
    assert np.array_equal(after.record.rows[:-5], before.record.rows, equal_nan=True)
    assert np.isfinite(after.record.rows[:, :-3]).all()
    assert not same_weights(before, after)


def other_last(past: History) -> History:
    """With another outcome and time of the last row."""
    other = only(past, np.arange(len(past)))
    other.is_correct[-1] ^= True
    other.seconds[-1] *= 9
    other.completed_at[-1] += 100
    return other


def predictions(found: Fitted) -> np.ndarray:
    return found.record.rows[:, 3:-3]


def test_a_row_is_predicted_before_it_is_learned() -> None:
    past = upto(100)
    first, other = (anew(each) for each in (past, other_last(past)))
    assert predictions(first).tolist() == predictions(other).tolist()
    assert not same_weights(first, other)


def test_a_row_is_predicted_before_it_is_learned_further() -> None:
    past = upto(85)
    first, other = (begun(80).fit(each, QUICK) for each in (past, other_last(past)))
    assert len(first.record) == 21
    assert predictions(first).tolist() == predictions(other).tolist()
    assert not same_weights(first, other)


def test_what_is_predicted_is_what_the_version_before_would_serve() -> None:
    before = begun(100).fit(upto(101), QUICK)
    after = fitter().fit(upto(106), QUICK)
    said = Served(Artifact("v1", serving_files(before), before.metadata())).predict(
        upto(106), np.arange(101, 106)
    )
    networks = [f"network_{what}" for what in ("p", "mu", "sigma")]
    for at, name in enumerate(networks):
        assert after.record.column(name)[-5:] == pytest.approx(said.alone[:, at], rel=1e-4)
        lnirt = name.replace("network", "lnirt")
        assert after.record.column(lnirt)[-5:] == pytest.approx(said.lnirt[:, at])


def test_a_history_half_as_long_again_is_learned_from_nothing() -> None:
    assert reported(begun(60), upto(89))[1] == 2
    found, reports = reported(fitter(), upto(90))
    assert reports == 2 * QUICK.epochs
    assert same_weights(found, anew(upto(90)))


def test_the_history_of_another_store_is_learned_from_nothing() -> None:
    begun(60)
    other = only(history(8, 80, seed=9), np.arange(65))
    found, reports = reported(fitter(), other)
    assert reports == 2 * QUICK.epochs
    assert found.record.column("serving_p").tolist() == pytest.approx([np.nan] * 13, nan_ok=True)


def test_other_orders_are_learned_from_nothing() -> None:
    begun(60)
    for order in (replace(QUICK, seed=2), replace(QUICK, epochs=3), replace(QUICK, anew=True)):
        assert reported(fitter(), upto(65), order)[1] == 2 * order.epochs


def test_after_a_retraining_on_demand_it_goes_on() -> None:
    anew(upto(60))
    assert reported(fitter(), upto(65))[1] == 2


def test_the_same_history_again() -> None:
    before = begun(60).fit(upto(62), QUICK)
    again, reports = reported(fitter(), upto(62))
    assert reports == 2
    assert np.array_equal(again.record.rows, before.record.rows, equal_nan=True)


def test_a_shorter_history_is_learned_from_nothing() -> None:
    assert reported(begun(100), upto(90))[1] == 2 * QUICK.epochs


def test_new_names_are_learned_further() -> None:
    past = upto(90)
    past.users[80:85], past.topics[82:], past.difficulties[84:] = "new", "😀", "harder"
    begun(80)
    found, reports = reported(fitter(), past)
    assert reports == 2
    assert found.encoder.users.index("new") == 9
    assert found.encoder.topics.names[4:] == ("😀",)
    assert found.users == 9
    assert found.lnirt.a.shape == (6, 5)
    assert np.isfinite(found.record.rows[:, :-3]).all()
    said = sane(found, past)
    assert said.network.all()


def test_serving_is_scored_on_the_same_rows() -> None:
    def serving(past: History, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        new = past.numbers[rows] > 80
        return tuple(np.where(new, value, np.nan) for value in (0.6, 3.0, 0.5))

    found = forgetful().fit(upto(100), QUICK, serving=serving)
    assert found.record.column("number").tolist() == list(range(81, 101))
    assert found.record.metrics()["serving"]["log_loss"] == pytest.approx(
        log_loss(PAST.is_correct[80:100], np.full(20, 0.6))
    )
    further = fitter().fit(upto(103), QUICK, serving=serving)
    assert further.record.metrics()["serving"]["rows"] == len(further.record) == 23
    silent = fitter().fit(upto(104), QUICK).record
    assert len(silent) == 24
    assert silent.metrics()["serving"]["rows"] == silent.metrics()["rows"] == 23


def test_what_serving_said_is_kept_over_a_restart() -> None:
    def serving(past: History, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(np.full(len(rows), value) for value in (0.6, 3.0, 0.5))

    known = Record.from_bytes(anew(upto(100), serving=serving).record.to_bytes())
    found = forgetful().fit(upto(100), QUICK, known=known).record
    assert found.column("serving_p").tolist() == [0.6] * 20
    assert found.metrics()["serving"]["rows"] == 20


def test_too_few_completions_are_refused() -> None:
    with pytest.raises(NotEnoughData, match="9 completions are too few"):
        fitter().fit(upto(9), QUICK)
    assert len(anew(upto(10)).record) == 2


def test_training_can_be_stopped_and_then_works_again() -> None:
    reports: list[EpochReport] = []
    watcher = Watcher(reports.append, lambda: len(reports) == 3)
    with pytest.raises(TrainingStopped):
        anew(upto(80), watcher=watcher)
    assert len(reports) == 3
    assert same_weights(anew(upto(80)), anew(upto(80)))


def fill(fitter: Fitter, name: str, layer: str, value: float) -> None:
    """Give all weights of a layer this value."""
    held = fitter._deep[name].traced.model.get_layer(layer)
    held.set_weights([np.full_like(w, value) for w in held.get_weights()])


@pytest.mark.parametrize("name", MODELS)
def test_a_loss_that_is_not_finite_is_refused_and_the_next_fit_works(name: str) -> None:
    expected, mine = anew(upto(80)), fitter()

    def spoil(report: EpochReport) -> None:
        if report.model == name:
            fill(mine, name, "last", np.nan)

    with pytest.raises(ModelRejected, match=f"{name} network"):
        anew(upto(80), watcher=Watcher(spoil))
    found, reports = reported(mine, upto(80))
    assert reports == 2 * QUICK.epochs
    assert same_weights(found, expected)


@pytest.mark.parametrize("name", MODELS)
def test_weights_that_are_not_finite_are_refused_further(name: str) -> None:
    mine = begun(80)
    fill(mine, name, "dense2", np.inf)
    with pytest.raises(ModelRejected, match=f"{name} network"):
        mine.fit(upto(85), QUICK)
    found, reports = reported(mine, upto(85))
    assert reports == 2 * QUICK.epochs
    sane(found, upto(85))


def sane(found: Fitted, past: History) -> Opinion:
    """What the version serves of these rows, all of it usable."""
    json.dumps(found.metadata(), allow_nan=False)
    artifact = Artifact("v1", serving_files(found), found.metadata())
    both = History(*(np.concatenate([vars(past)[n], vars(USUAL)[n]]) for n in vars(past)))
    said = Served(artifact).predict(both, np.arange(len(both)))
    assert np.isfinite([said.p, said.mu, said.sigma]).all()
    assert ((said.p > 0) & (said.p < 1)).all()
    assert ((said.sigma > 0.01) & (said.sigma < 20)).all()
    assert (said.mu >= LOG_SECONDS[0]).all()
    assert (said.mu <= LOG_SECONDS[1]).all()
    return Opinion(*(column[: len(past)] for column in vars(said).values()))


def named(past: History, **names: str) -> History:
    same = {n: np.full(len(past), name, dtype=object) for n, name in names.items()}
    return replace(past, **same)


def at(past: History, started_at: np.ndarray) -> History:
    return replace(past, started_at=started_at, completed_at=started_at + past.seconds)


def lasting(past: History, seconds: np.ndarray) -> History:
    return replace(past, seconds=seconds, completed_at=past.started_at + seconds)


RISING = PAST.started_at
HARD = {
    "one learner": history(1, 200),
    "one of everything": named(PAST, users="all", topics="all", difficulties="all"),
    "one topic, an emoji": named(PAST, topics="😀"),
    "no names": named(PAST, users="", topics="", difficulties=""),
    "all wrong": replace(PAST, is_correct=np.zeros(200, dtype=bool)),
    "all timed out": replace(PAST, timed_out=np.ones(200, dtype=bool)),
    "tiny times": lasting(PAST, np.full(200, 1e-3)),
    "huge times": lasting(PAST, np.full(200, 1e5)),
    "all at one instant": at(PAST, np.full(200, RISING[0])),
    "two completions at one instant": at(PAST, np.repeat(RISING[::2], 2) - PAST.seconds),
    "a clock running backwards": at(PAST, RISING[::-1].copy()),
    "completed before it started": replace(PAST, completed_at=RISING - 50),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_histories_give_usable_answers(name: str) -> None:
    past = HARD[name]
    order = replace(QUICK, epochs=1, anew=True)
    fitter().fit(only(past, np.arange(190)), order)
    sane(fitter().fit(past, replace(order, anew=False)), past)


def test_all_answers_right() -> None:
    past = replace(PAST, is_correct=np.ones(200, dtype=bool))
    assert sane(anew(past), past).p[20:].min() > 0.9


def test_all_times_alike() -> None:
    past = lasting(PAST, np.full(200, 20.0))
    said = sane(anew(past), past)
    assert np.exp(said.mu[20:]) == pytest.approx(20.0, rel=0.1)
    assert said.sigma[-1] < 0.2


def test_one_learner_with_thousands_of_tasks() -> None:
    past = history(1, 3000)
    found = anew(past, Order(seed=1, epochs=1))
    assert found.record.metrics()["rows"] == 600
    sane(found, past)


def test_each_learner_with_one_task() -> None:
    past = replace(upto(120), users=np.array([f"user-{n}" for n in range(120)], dtype=object))
    begun(60, past=past)
    found, reports = reported(fitter(), upto(110, past))
    assert reports == 2 * QUICK.epochs
    assert [shape.users for shape in found.shapes.values()] == [256, 256]
    assert found.users == 110
    sane(found, past)


def test_the_reference_networks_learn_too() -> None:
    order, mine = replace(QUICK, arch="reference"), Fitter()
    first = mine.fit(upto(100), order)
    found, reports = reported(mine, upto(105), order)
    assert reports == 2
    assert len(found.record) == len(first.record) + 5
    assert found.metadata()["arch"] == "reference"
    said = sane(found, PAST)
    assert said.network.all()
    assert np.isnan(said.prior).all()
