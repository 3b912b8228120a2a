"""Simulated learners: the same in every run, with the ability that they are said to have."""

from __future__ import annotations

import numpy as np
import pytest

from ops.learners import DIFFICULTIES, TOPICS, Classroom, learner, p_correct
from ops.simulate import Plan
from ops.simulate_run import total, words


def test_a_seed_draws_the_same_tasks_and_answers_again() -> None:
    first, second, other = (Classroom(5, seed) for seed in (1, 1, 2))
    attempts = [[room.attempt() for _ in range(50)] for room in (first, second, other)]
    assert attempts[0] == attempts[1] != attempts[2]


def test_learners_are_the_same_whatever_the_seed_and_their_number() -> None:
    assert Classroom(3, 1).learners == Classroom(9, 2).learners[:3]
    assert learner(0).name == "learner-01"
    assert learner(99).name == "learner-100"
    assert len({learner(index).ability for index in range(50)}) == 50


def test_p_correct_falls_with_difficulty_and_rises_with_ability_and_practice() -> None:
    assert p_correct(0, 0, 0) == 0.5
    assert p_correct(0, 1.2, 0) < p_correct(0, 0, 0) < p_correct(1, 0, 0)
    assert p_correct(0, 0, 10) > p_correct(0, 0, 1) > p_correct(0, 0, 0)


def test_answers_come_as_often_right_as_ability_and_difficulty_say() -> None:
    room = Classroom(20, 3)
    attempts = [room.attempt() for _ in range(4000)]
    easy, hard = (
        np.mean([a.is_correct for a in attempts if a.difficulty == name])
        for name in ("easy", "hard")
    )
    assert easy - hard > 0.2
    able = max(room.learners, key=lambda one: sum(one.ability))
    weak = min(room.learners, key=lambda one: sum(one.ability))
    rates = [
        np.mean([a.is_correct for a in attempts if a.learner == one.name]) for one in (weak, able)
    ]
    assert rates[1] - rates[0] > 0.2


def test_times_are_what_an_event_allows_and_topics_and_difficulties_all_occur() -> None:
    room = Classroom(20, 4)
    attempts = [room.attempt() for _ in range(1000)]
    assert all(1 <= attempt.seconds <= 600 for attempt in attempts)
    assert {a.topic for a in attempts} == set(TOPICS)
    assert {a.difficulty for a in attempts} == set(DIFFICULTIES)


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (Plan(1, rate=2.0, seconds=10), 20),
        (Plan(1, rate=2.0, seconds=10, completions=7), 7),
        (Plan(1, rate=0, seconds=10), None),
        (Plan(1, rate=0, completions=7), 7),
        (Plan(1, rate=1), None),
    ],
)
def test_the_bar_knows_the_total_where_it_can_be_known(plan: Plan, expected: int | None) -> None:
    assert total(plan) == expected


def test_the_end_is_one_line() -> None:
    facts = {"completions": 1, "duplicates": 2, "prediction_requests": 1200, "seconds": 1.5}
    expected = "Published 1 completion, 2 duplicates and 1 200 prediction requests in 1.5 s."
    assert words(facts) == expected
