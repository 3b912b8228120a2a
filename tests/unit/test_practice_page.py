"""What the page of practice says, apart from how."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gateway.pages import fields, last_tasks, phrases, trouble, why
from gateway.pages.frame import Viewer
from gateway.practice import Task
from gateway.problems import Problem, store_away
from gateway.ranking import Practised
from schemas.errors import ArtifactError
from schemas.replies import Effect

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WHO = Viewer(ZoneInfo("Europe/Berlin"), "auto", False)


def task(**more: Any) -> Task:
    values = {
        "id": "t",
        "user_id": "ada",
        "topic": "fractions",
        "difficulty": "easy",
        "created_at": NOW,
        "completed": True,
        "is_correct": True,
        "actual_time_seconds": 12.3,
        "predicted_correct": 0.68,
        "predicted_time_seconds": 24.0,
        "seconds_low": 12.0,
        "seconds_high": 47.0,
        "source": "lstm",
        "model_version": 85,
    }
    return Task.model_validate({**values, **more})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.05, "0.1 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (119.4, "119 s"),
        (310.2, "5 min 10 s"),
        (600, "10 min"),
    ],
)
def test_seconds(value: float, words: str) -> None:
    assert phrases.seconds(value) == words


@pytest.mark.parametrize(
    ("taken", "where"),
    [(11.9, "below"), (12.0, "within"), (47.0, "within"), (47.5, "above")],
)
def test_the_outcome_stands_beside_the_prediction(taken: float, where: str) -> None:
    words = phrases.outcome(task(actual_time_seconds=taken))
    assert words.startswith("Right was predicted with 68 %; ")
    assert words.endswith(f"is {where} the 80 % interval of 12 s to 47 s.")


def test_where_a_prediction_comes_from() -> None:
    told = phrases.origin(task(reason="trained on 9 completions"))
    assert told == "From the networks (lstm), version 85: trained on 9 completions."
    without = task(source="default", model_version=None, reason="timeout")
    assert phrases.origin(without) == "The default, without a model: no prediction came in time."
    assert phrases.interval(task()) == "80 %: 12 s to 47 s"


@pytest.mark.parametrize(
    ("total", "since", "filled", "asked_at"),
    [(0, 0, 0, 0), (3, 3, 3, 0), (5, 0, 5, 5), (6, 1, 1, 5), (10, 0, 5, 10)],
)
def test_the_dots_fill_and_stay_full_at_the_fifth(
    total: int, since: int, filled: int, asked_at: int
) -> None:
    dots = phrases.Dots.of({"completions": total, "since_last_request": since, "every": 5})
    assert (dots.filled, dots.asked_at) == (filled, asked_at)
    assert ("training asked for" in dots.words().split(": ")[1][:18]) == (filled == 5)


def test_the_completion_that_asks_for_training_says_so() -> None:
    assert phrases.recorded(435, 5) == "This is completion 435: training asked for."
    assert phrases.recorded(436, 5) == "This is completion 436."


def test_what_became_of_a_training() -> None:
    assert phrases.training(0, None) == "No training has been asked for yet."
    assert phrases.training(5, None).endswith("the trainer has not taken it up yet.")
    published = phrases.training(5, {"state": "published", "version": 3})
    assert published == "Training asked for at completion 5: version 3 was published."
    assert phrases.training(5, {"state": "running", "version": None}).endswith("it runs now.")


def test_how_much_a_learner_has_practised() -> None:
    assert phrases.so_far({}, 1024) == "New: no task completed yet"
    assert phrases.so_far({("a", "easy"): Practised(1, NOW)}, 1024) == "1 task so far"
    many = {("a", "easy"): Practised(1000, NOW), ("b", "easy"): Practised(24, NOW)}
    assert phrases.so_far(many, 1024) == "1024 tasks and more so far"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "fill this in"),
        ("x" * 129, "at most 128 characters"),
        ("a\x00b", "must not hold a NUL character"),
        ("\ud800", "holds what is no character"),
        (None, "cannot be used"),
        ("🦊" * 128, None),
        ("<script>alert(1)</script>", None),
    ],
)
def test_a_learner_is_told_what_is_wrong(value: str | None, words: str | None) -> None:
    assert fields.problem(fields.IDS, value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "more than 0"),
        (90_000.0, "at most 86400"),
        (None, "fill this in"),
        (float("nan"), "not a number"),
        (3.5, None),
    ],
)
def test_seconds_are_told_what_is_wrong(value: float | None, words: str | None) -> None:
    assert fields.problem(fields.SECONDS, value) == words


def test_a_target_of_an_address() -> None:
    assert fields.number("0.8", 0.7) == 0.8
    assert [fields.number(each, 0.7) for each in ("", "x", "7", "nan")] == [0.7] * 4


def test_names_that_begin_alike() -> None:
    assert fields.beginning(("Fractions", "functions", "geometry"), "F") == [
        "Fractions",
        "functions",
    ]
    assert len(fields.beginning(tuple(f"t{at}" for at in range(99)), "")) == fields.MOST


def test_the_strongest_reasons_are_bars() -> None:
    effects = [
        Effect(kind="inputs", name="which learner it is", p_change=-0.2, seconds_change=0),
        Effect(
            kind="completion",
            name="fractions, easy",
            p_change=0.061,
            seconds_change=0,
            is_correct=True,
            completed_at=NOW,
        ),
        Effect(kind="topic", name="no effect", p_change=0.0001, seconds_change=0),
    ]
    assert why.bars(effects, WHO) == [
        ("Which learner it is", -20.0),
        ("fractions, easy: right at 13:00", 6.1),
    ]
    assert why.sentence("2 misses in a: b within the hour: -0.05") == (
        "2 misses in a: b within the hour: −0.05"
    )
    assert why.signed(-3.25, 1) == "−3.2"


def test_another_version_that_explains_is_named() -> None:
    assert why.teller(task(), SimpleNamespace(model_version=85)) == "By version 85."
    other = why.teller(task(), SimpleNamespace(model_version=86))
    assert other == "By version 86, which serves now; 85 predicted."


def test_a_row_of_the_last_tasks() -> None:
    assert last_tasks.cells(task(), WHO) == (
        "01 Mar 13:00:00",
        "fractions, easy",
        "68 %, 24 s (lstm 85)",
        "✓ right, 12 s",
    )
    waits = task(is_correct=None, predicted_correct=None)
    assert last_tasks.cells(waits, WHO)[2:] == ("–", "not answered")


UP = {"ok": True, "since": "2026-03-01T11:00:00Z"}
DOWN = {"ok": False, "since": "2026-03-01T11:58:00Z"}
SILENT = Problem(503, "inference does not answer in time")


@pytest.mark.parametrize(
    ("error", "kafka", "store", "words"),
    [
        (SILENT, DOWN, UP, "Kafka has not answered since 12:58:00."),
        (SILENT, UP, DOWN, "Inference does not answer in time."),
        (SILENT, UP, UP, "Inference does not answer in time."),
        (store_away(), DOWN, DOWN, "PostgreSQL has not answered since 12:58:00."),
        (store_away(), DOWN, UP, "The store does not answer in time."),
        (PoolTimeout(), UP, DOWN, "PostgreSQL has not answered since 12:58:00."),
        (ArtifactError("v1/x is missing."), UP, UP, "V1/x is missing."),
    ],
)
def test_trouble_says_what_since_when_and_what_to_do(
    error: Exception, kafka: dict[str, Any], store: dict[str, Any], words: str
) -> None:
    told = trouble.told(error, {"kafka": kafka, "store": store}, WHO)
    assert told.startswith(words)
    assert told.endswith("`retrace doctor` says what is wrong.")


def test_an_unexpected_error_is_no_trouble_that_a_page_hides() -> None:
    assert trouble.told(KeyError("x"), {"kafka": UP, "store": UP}, WHO) == ""
