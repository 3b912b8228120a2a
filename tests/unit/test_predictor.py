from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from onnx import helper, numpy_helper
from simulated import fitted, history, only

from inference.predictor import Ask, Predictor, default
from schemas.errors import ArtifactError
from schemas.history import History
from training.artifacts import Artifact
from training.export import files
from training.networks import STATES
from training.sequences import sequences

NOW = 1.7e9 + 20_000


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


def test_serving_answers_as_training_would() -> None:
    past = past_of("user-3")
    before = only(past, np.arange(len(past) - 1))
    last = Ask("user-3", past.topics[-1], past.difficulties[-1], past.started_at[-1])
    (answer,) = predictor().predict([last], [before])
    (steps,) = sequences(past, fitted().encoder)
    inputs = {
        name: getattr(steps, name)[None].astype(np.float32 if name == "time" else np.int32)
        for name in ("user", "topic", "difficulty", "time")
    }
    assert answer.p_correct == pytest.approx(float(fitted().correctness(inputs)[0, -1]), abs=1e-5)
    assert answer.expected_seconds == pytest.approx(float(fitted().time(inputs)[0, -1]), rel=1e-5)


def test_a_batch_answers_as_one_by_one_would() -> None:
    asks = [ask(f"user-{n}") for n in range(40)]
    pasts = [only(past_of(each.user_id), np.arange(n % 25)) for n, each in enumerate(asks)]
    together = predictor().predict(asks, pasts)
    for one, past, answer in zip(asks, pasts, together, strict=True):
        (alone,) = predictor().predict([one], [past])
        assert alone.p_correct == pytest.approx(answer.p_correct, abs=1e-5)
        assert alone.expected_seconds == pytest.approx(answer.expected_seconds, rel=1e-5)
        assert alone.history_length == answer.history_length == len(past)


def test_a_default_never_disturbs_the_others() -> None:
    past, nothing = past_of("user-3"), only(past_of("user-3"), np.arange(0))
    asks = [ask("nobody"), ask(), ask(topic="?"), ask(difficulty="?"), ask()]
    found = predictor().predict(asks, [nothing, past, past, past, nothing])
    assert [answer.source for answer in found] == ["default", "lstm", "default", "default", "lstm"]
    assert found[0] == default("learner not seen in training")
    assert found[2].reason == "unknown topic"
    assert found[3].reason == "unknown difficulty"
    assert found[4].history_length == 0


def test_without_a_model() -> None:
    found = Predictor(None).predict([ask(), ask()], [past_of("user-3")] * 2)
    assert found == [default("no model yet")] * 2
    assert (found[0].p_correct, found[0].expected_seconds) == (0.5, 60.0)
    Predictor(None).warm()


def test_nothing_asked() -> None:
    assert predictor().predict([], []) == []


def table_of_users(table: np.ndarray) -> bytes:
    """A graph with a network's inputs that answers by the learner alone."""
    kinds = {"user": 6, "topic": 6, "difficulty": 6, "time": 1}
    inputs = [helper.make_tensor_value_info(n, kind, ["B", "T"]) for n, kind in kinds.items()]
    inputs += [helper.make_tensor_value_info(n, 1, ["B", units]) for n, units in STATES.items()]
    output = helper.make_tensor_value_info("output", 1, ["B", "T"])
    gather = helper.make_node("Gather", ["table", "user"], ["output"])
    values = numpy_helper.from_array(table.astype(np.float32), "table")
    graph = helper.make_graph([gather], "by_user", inputs, [output], [values])
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())


def test_a_number_that_is_none_is_a_default_for_its_ask_only() -> None:
    table = np.full(64, 30.0)
    table[[fitted().encoder.users.index(user) for user in ("user-3", "user-5")]] = np.nan, np.inf
    damaged = replace(artifact(), files={**artifact().files, "time.onnx": table_of_users(table)})
    users = ["user-3", "user-4", "user-5"]
    found = Predictor(damaged).predict([ask(u) for u in users], [past_of(u) for u in users])
    assert found[0] == found[2] == default("the networks gave no finite number")
    assert (found[1].source, found[1].expected_seconds) == ("lstm", 30.0)


def test_answers_stay_within_the_contract_s_ranges() -> None:
    wide = replace(artifact(), metadata={**artifact().metadata, "sigma": 50.0})
    (answer,) = Predictor(wide).predict([ask()], [past_of("user-3")])
    assert (answer.seconds_low, answer.seconds_high) == (5.0, 600.0)


def test_warming_runs_the_networks() -> None:
    predictor().warm()


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
