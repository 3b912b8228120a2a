"""What moved a prediction."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from simulated import fitted, history, only

from inference.learners import GROUPS, Ask
from inference.predictor import NOTHING, Predictor
from inference.why import LOOKED_AT, SINGLE, explain
from training.artifacts import Artifact
from training.export import files

PAST = history(1, 300)
LATER = float(PAST.completed_at[-1]) + 600.0


@cache
def predictor() -> Predictor:
    return Predictor(Artifact("v1", files(fitted()), fitted().metadata()))


def ask(at: float = LATER) -> Ask:
    return Ask("user-0", "topic-1", "easy", at)


def test_an_effect_is_the_prediction_minus_the_one_without_it() -> None:
    found = explain(predictor(), ask(), PAST)
    looked_at = only(PAST, np.arange(300 - LOOKED_AT, 300))
    (answer,) = predictor().predict([ask()], [looked_at])
    assert found.answer.p_correct == pytest.approx(answer.p_correct, abs=1e-5)
    for effect in [e for e in found.effects if e.kind == "completion"]:
        rest = only(looked_at, looked_at.numbers != effect.number)
        (without,) = predictor().predict([ask()], [rest])
        assert effect.p_change == pytest.approx(answer.p_correct - without.p_correct, abs=1e-5)
        assert effect.seconds_change == pytest.approx(
            answer.expected_seconds - without.expected_seconds, abs=1e-3
        )


def test_the_newest_are_looked_at_one_by_one_the_others_by_topic() -> None:
    effects = explain(predictor(), ask(), PAST).effects
    single = sorted(e.number or 0 for e in effects if e.kind == "completion")
    assert single == list(range(300 - SINGLE + 1, 301))
    by_topic = [e.name for e in effects if e.kind == "topic"]
    assert sum(int(name.split()[0]) for name in by_topic) == LOOKED_AT - SINGLE
    assert {e.name for e in effects if e.kind == "inputs"} == set(GROUPS)
    strengths = [abs(e.p_change) for e in effects]
    assert strengths == sorted(strengths, reverse=True)


def test_the_sentences_say_what_happened_when() -> None:
    rows = np.arange(24)
    past = only(PAST, rows)
    right = np.where(rows < 20, True, False)
    started = LATER - np.where(rows < 20, 5 * 86_400.0, 900.0) + rows
    past = replace(
        past,
        topics=np.array(["topic-2"] * 20 + ["topic-1"] * 4, dtype=object),
        is_correct=right,
        started_at=started,
        completed_at=started + 10.0,
    )
    found = explain(predictor(), ask(), past)
    words = [word for word in found.words if word.startswith("4 misses in topic-1 within the hour")]
    assert len(words) == 1
    assert float(words[0].split(": ")[1]) < 0
    assert any("topic-2 4 days before" in word for word in found.words)


def test_only_what_was_done_by_then_is_explained() -> None:
    middle = float(PAST.completed_at[99])
    effects = explain(predictor(), ask(middle), PAST).effects
    assert max(e.number or 0 for e in effects) <= 100


def test_nothing_done_has_nothing_but_inputs() -> None:
    found = explain(predictor(), ask(), NOTHING)
    assert {e.kind for e in found.effects} == {"inputs"}
    assert found.words == ()
    topic = next(e for e in found.effects if e.name == GROUPS[1])
    assert topic.p_change == pytest.approx(0.0, abs=1e-6)


def test_without_an_ability_the_prediction_moves_and_without_itself_it_does_not() -> None:
    found = {e.name: e for e in explain(predictor(), ask(), PAST).effects if e.kind == "inputs"}
    assert abs(found["estimated ability and speed, and the last answer"].p_change) > 0.01
    stranger = Ask("nobody", "topic-1", "easy", LATER)
    own = replace(PAST, users=np.array(["nobody"] * 300, dtype=object))
    (who,) = [e for e in explain(predictor(), stranger, own).effects if e.name == GROUPS[0]]
    assert who.p_change == pytest.approx(0.0, abs=1e-6)
