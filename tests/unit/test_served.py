"""A version's opinion from its files alone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from simulated import fitted, history, only

from schemas.errors import ArtifactError
from schemas.history import History
from training.artifacts import Artifact
from training.export import files
from training.sequences import replay
from training.served import Opinion, Served


@cache
def artifact() -> Artifact:
    return Artifact("v1", files(fitted()), fitted().metadata())


@cache
def served() -> Served:
    return Served(artifact())


PAST = history(40, 1200)


def asked(**words: str) -> History:
    """The last row with other words."""
    past = only(PAST, np.arange(1200))
    for name, word in words.items():
        getattr(past, name)[-1] = word
    return past


def of_last(past: History) -> Opinion:
    return served().predict(past, np.array([len(past) - 1]))


def test_what_is_served_is_the_mixture_of_its_parts() -> None:
    found, mixture = served().predict(PAST, np.arange(1200)), served().mixture
    assert found.network.all()
    assert found.p == pytest.approx(
        mixture.p(found.alone[:, 0], found.prior[:, 0], found.lnirt[:, 0])
    )
    assert found.mu == pytest.approx((found.alone[:, 1] + found.prior[:, 1]) / 2)
    assert found.sigma == pytest.approx(found.alone[:, 2] * mixture.width)
    assert mixture == fitted().record.product()[2]
    assert np.ptp(found.p) > 0.5


def test_its_parts_are_lnirt_and_the_networks() -> None:
    found = served().predict(PAST, np.arange(1200))
    inputs = replay(fitted().encoder.tasks(PAST), fitted().encoder, fitted().lnirt)
    assert found.lnirt == pytest.approx(np.column_stack([inputs.p, inputs.mu, inputs.sigma]))
    assert np.isfinite(found.prior).all()
    assert np.corrcoef(found.prior[:, 1], found.alone[:, 1])[0, 1] > 0.9
    assert ((found.prior[:, 0] > 0) & (found.prior[:, 0] < 1)).all()


def test_rows_may_be_asked_for_in_any_order_and_number() -> None:
    whole = served().predict(PAST, np.arange(1200))
    rows = np.random.default_rng(1).permutation(1200)[:70]
    some = served().predict(PAST, rows)
    for name in ("p", "mu", "sigma", "prior", "alone"):
        np.testing.assert_allclose(getattr(some, name), getattr(whole, name)[rows], atol=1e-5)
    assert len(served().predict(PAST, rows[:0]).p) == 0


def test_a_row_needs_no_later_one() -> None:
    whole = served().predict(PAST, np.arange(1200))
    for row in (0, 5, 300, 1199):
        (p,) = served().predict(only(PAST, np.arange(row + 1)), np.array([row])).p
        assert p == pytest.approx(whole.p[row], abs=1e-5)


def test_the_own_outcome_is_not_heard() -> None:
    past = only(PAST, np.arange(1200))
    past.is_correct[-1] ^= True
    past.seconds[-1], past.completed_at[-1] = 1e-3, past.started_at[-1]
    assert of_last(past).p == pytest.approx(of_last(PAST).p, abs=1e-6)
    assert of_last(past).mu == pytest.approx(of_last(PAST).mu, abs=1e-6)


def test_numbered_learners_have_histories_of_their_own() -> None:
    alone = of_last(only(PAST, np.arange(1199, 1200))).p
    known = of_last(PAST).p
    numbers = np.unique(PAST.users.astype(str), return_inverse=True)[1]
    numbers[-1] = 40
    found = served().predict(PAST, np.array([1199]), numbers)
    assert found.p == pytest.approx(alone, abs=1e-5)
    assert abs(alone - known) > 1e-3


@pytest.mark.parametrize("words", [{"topics": "?"}, {"difficulties": "😀"}])
def test_lnirt_answers_for_unknown_words(words: dict[str, str]) -> None:
    found = of_last(asked(**words))
    assert found.network.tolist() == [False]
    assert np.column_stack([found.p, found.mu, found.sigma]).tolist() == found.lnirt.tolist()
    assert found.known_topic.tolist() == [words != {"topics": "?"}]
    assert found.known_difficulty.tolist() == ["topics" in words]


def test_networks_answer_for_an_unknown_learner() -> None:
    found = of_last(asked(users="nobody"))
    assert found.network.all()
    assert found.mu == pytest.approx((found.alone[:, 1] + found.prior[:, 1]) / 2)
    assert 0 < found.p[0] < 1


def test_a_network_without_a_finite_number_leaves_lnirt_to_answer() -> None:
    weights = copy.deepcopy(dict(fitted().weights))
    weights["time"]["last"][1][:] = np.nan  # type: ignore[index]
    broken = replace(fitted(), weights=weights)
    found = Served(Artifact("v2", files(broken), broken.metadata())).predict(PAST, np.arange(50))
    assert not found.network.any()
    assert found.p.tolist() == found.lnirt[:, 0].tolist()
    assert np.isfinite([found.p, found.mu, found.sigma]).all()


@pytest.mark.parametrize(
    "damaged",
    [
        lambda held: {},
        lambda held: {"correctness.onnx": held["correctness.onnx"]},
        lambda held: held | {"time.onnx": b"junk"},
        lambda held: held | {"time.onnx": b""},
        lambda held: held | {"correctness.onnx": held["correctness.onnx"][:-500]},
    ],
    ids=["none", "one", "junk", "empty", "cut"],
)
def test_files_that_can_t_serve_are_refused(
    damaged: Callable[[dict[str, bytes]], dict[str, bytes]],
) -> None:
    with pytest.raises(ArtifactError, match="v1"):
        Served(replace(artifact(), files=damaged(dict(artifact().files))))


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.pop(name)


def having(part: str, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data[part].update(values)


@pytest.mark.parametrize(
    "change",
    [
        *map(without, ("arch", "encoder", "lnirt", "mixture", "completions")),
        having("lnirt", a=[[1.0]]),
        having("lnirt", sigma=None),
        having("lnirt", drift="fast"),
        having("lnirt", covariance=[[1.0, 0.0], [0.0, -1.0]]),
        having("encoder", topics=["one"]),
        having("encoder", time={}),
        having("mixture", weights=[1.0]),
        having("mixture", width=0.0),
        having("mixture", weights=None),
        lambda data: data.update(lnirt=None),
        lambda data: data.update(mixture=[]),
        lambda data: data.update(completions="many"),
    ],
)
def test_metadata_that_can_t_serve_is_refused(change: Callable[[dict[str, Any]], None]) -> None:
    data = copy.deepcopy(dict(artifact().metadata))
    change(data)
    with pytest.raises(ArtifactError, match="v1"):
        Served(replace(artifact(), metadata=data))


def test_many_learners_are_served_at_once() -> None:
    past = history(5, 20_000)
    past = replace(past, users=np.array([f"someone-{n}" for n in range(20_000)], dtype=object))
    found = served().predict(past, np.arange(20_000))
    assert found.network.all()
    assert np.isfinite([found.p, found.mu, found.sigma]).all()
