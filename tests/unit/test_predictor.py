from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from onnx import helper, numpy_helper
from simulated import fitted, history, only

from inference.learners import Ask
from inference.predictor import Predictor
from inference.told import default
from schemas.errors import ArtifactError
from schemas.history import History
from training.artifacts import Artifact
from training.export import files
from training.features import FEATURES
from training.served import Opinion, Served
from training.shapes import STATES, inputs_of

NOW = 1.7e9 + 100_000


@cache
def artifact() -> Artifact:
    return Artifact("v1", files(fitted()), fitted().metadata())


@cache
def predictor() -> Predictor:
    return Predictor(artifact())


def past_of(user: str) -> History:
    past = history(40, 1200)
    return only(past, past.users == user)


def ask(user: str = "user-3", topic: str = "topic-1", difficulty: str = "easy") -> Ask:
    return Ask(user, topic, difficulty, NOW)


def test_the_networks_answer() -> None:
    past = past_of("user-3")
    (answer,) = predictor().predict([ask()], [past])
    assert answer.source == "lstm"
    assert answer.history_length == len(past)
    assert "trained on 1200 completions" in answer.reason
    assert 0.01 <= answer.p_correct <= 0.99
    assert 5 <= answer.seconds_low < answer.expected_seconds < answer.seconds_high <= 600


def test_serving_answers_as_a_replay_of_the_whole_history_would() -> None:
    past = past_of("user-3")
    before, at = only(past, np.arange(len(past) - 1)), np.array([len(past) - 1])
    last = Ask("user-3", past.topics[-1], past.difficulties[-1], past.started_at[-1])
    (answer,) = predictor().predict([last], [before])
    said = Served(artifact()).predict(past, at)
    assert answer.p_correct == pytest.approx(said.p[0], abs=1e-9)
    assert answer.expected_seconds == pytest.approx(float(np.exp(said.mu[0])), rel=1e-9)
    assert said.p[0] == pytest.approx(fitted_mixture(said), abs=1e-9)


def fitted_mixture(said: Opinion) -> float:
    mixture = fitted().record.product()[2]
    return float(mixture.p(said.alone[:, 0], said.prior[:, 0], said.lnirt[:, 0])[0])


def test_what_had_not_been_completed_at_the_start_is_not_read() -> None:
    past = past_of("user-3")
    middle = len(past) // 2
    early = Ask("user-3", "topic-1", "easy", past.started_at[middle] + 1e-3)
    (whole,) = predictor().predict([early], [past])
    known = past.completed_at <= early.started_at
    assert whole.history_length == known.sum() < len(past)
    changed = replace(past, is_correct=np.where(known, past.is_correct, ~past.is_correct))
    assert predictor().predict([early], [changed]) == [whole]


def test_a_batch_answers_as_one_by_one_would() -> None:
    asks = [ask(f"user-{n}") for n in range(40)]
    pasts = [only(past_of(each.user_id), np.arange(n % 25)) for n, each in enumerate(asks)]
    together = predictor().predict(asks, pasts)
    for one, past, answer in zip(asks, pasts, together, strict=True):
        (alone,) = predictor().predict([one], [past])
        assert alone.p_correct == pytest.approx(answer.p_correct, abs=1e-5)
        assert alone.expected_seconds == pytest.approx(answer.expected_seconds, rel=1e-5)
        assert alone.history_length == answer.history_length == len(past)


def test_every_source_in_one_batch() -> None:
    past, nothing = past_of("user-3"), only(past_of("user-3"), np.arange(0))
    asks = [ask("nobody"), ask(), ask(topic="?"), ask(difficulty="?"), ask()]
    found = predictor().predict(asks, [nothing, past, past, past, nothing])
    assert [answer.source for answer in found] == ["lstm", "lstm", "lnirt", "lnirt", "lstm"]
    assert "learner not seen in training, reads 0" in found[0].reason
    assert found[2].reason == f"unknown topic, reads {len(past)} of this learner's"
    assert found[3].reason.startswith("unknown difficulty")
    assert found[4].history_length == 0


def test_a_stranger_with_a_history_is_read() -> None:
    right, wrong = (
        replace(past_of("user-3"), is_correct=np.full(len(past_of("user-3")), outcome))
        for outcome in (True, False)
    )
    good, bad = predictor().predict([ask("stranger")] * 2, [right, wrong])
    assert good.source == bad.source == "lstm"
    assert good.p_correct > bad.p_correct + 0.1


def test_without_a_model() -> None:
    found = Predictor(None).predict([ask(), ask()], [past_of("user-3")] * 2)
    assert found == [default("no model yet", "no-model")] * 2
    assert (found[0].p_correct, found[0].expected_seconds) == (0.5, 60.0)
    Predictor(None).warm()


def test_nothing_asked() -> None:
    assert predictor().predict([], []) == []


def table_of_users(table: np.ndarray) -> bytes:
    """A graph with the time network's inputs that answers by the learner alone."""
    kinds = {name: {"int32": 6, "float32": 1}[kind] for name, kind in inputs_of("residual").items()}
    shapes = {name: ["B", "T", FEATURES][: 2 + (name == "features")] for name in kinds}
    inputs = [helper.make_tensor_value_info(n, kind, shapes[n]) for n, kind in kinds.items()]
    inputs += [helper.make_tensor_value_info(n, 1, ["B", units]) for n, units in STATES.items()]
    output = helper.make_tensor_value_info("linear", 1, ["B", "T", 2])
    gather = helper.make_node("Gather", ["table", "user"], ["linear"])
    values = numpy_helper.from_array(table.astype(np.float32), "table")
    graph = helper.make_graph([gather], "by_user", inputs, [output], [values])
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())


def with_times(table: np.ndarray) -> Artifact:
    return replace(artifact(), files={**artifact().files, "time.onnx": table_of_users(table)})


def test_a_number_that_is_none_falls_back_for_its_ask_only() -> None:
    table = np.tile([np.log(30.0), 0.1], (64, 1))
    users = ["user-3", "user-4", "user-5"]
    table[[fitted().encoder.users.index(u) for u in users[::2]], 0] = np.nan, np.inf
    asks, pasts = [ask(u) for u in users], [past_of(u) for u in users]
    found = Predictor(with_times(table)).predict(asks, pasts)
    assert [answer.source for answer in found] == ["lnirt", "lstm", "lnirt"]
    assert found[0].reason.startswith("the networks gave no finite number")
    assert found[1].expected_seconds == pytest.approx(30.0)


def test_answers_stay_within_the_contract_s_ranges() -> None:
    wide = with_times(np.tile([np.log(30.0), 50.0], (64, 1)))
    (answer,) = Predictor(wide).predict([ask()], [past_of("user-3")])
    assert (answer.seconds_low, answer.seconds_high) == (5.0, 600.0)


def test_warming_runs_the_networks() -> None:
    predictor().warm()


def test_a_version_whose_networks_tell_no_states_is_refused() -> None:
    with pytest.raises(ArtifactError, match="don't run"):
        Predictor(with_times(np.ones((1, 2)))).warm()


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (lambda: replace(artifact(), metadata={}), "lacks what serving needs"),
        (lambda: replace(artifact(), files={}), "lacks what serving needs"),
        (
            lambda: replace(artifact(), files={**artifact().files, "time.onnx": b"junk"}),
            "time.onnx can't be loaded",
        ),
    ],
)
def test_a_version_that_can_t_serve_is_refused(damaged: object, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        Predictor(damaged())  # type: ignore[operator]
