"""What to practise next, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ranking import MOST, Practised, ago, rank
from schemas.replies import ForecastCell

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHANCES = st.floats(0.01, 0.99)


def cell(topic: str, p_correct: float, difficulty: str = "easy") -> ForecastCell:
    return ForecastCell(
        topic=topic,
        difficulty=difficulty,
        p_correct=p_correct,
        expected_seconds=20,
        seconds_low=10,
        seconds_high=40,
        source="lstm",
    )


def test_the_closest_comes_first_and_says_why() -> None:
    cells = [cell("a", 0.9), cell("b", 0.68), cell("c", 0.55)]
    done = {
        ("b", "easy"): Practised(12, NOW - timedelta(hours=2)),
        ("c", "easy"): Practised(1, NOW - timedelta(seconds=20)),
    }
    ranked = rank(cells, done, 0.7, NOW)
    assert [each.topic for each in ranked] == ["b", "c", "a"]
    assert [each.why for each in ranked] == [
        "0.68, closest to 0.70; last practised 2 h ago; 12 tasks so far",
        "0.55, 0.15 below 0.70; last practised just now; 1 task so far",
        "0.90, 0.20 above 0.70; not practised yet",
    ]


def test_what_hits_the_target_says_so() -> None:
    (only,) = rank([cell("a", 0.7049)], {}, 0.7, NOW)
    assert only.why == "0.70, the target; not practised yet"


def test_of_equals_the_longest_not_practised_comes_first() -> None:
    cells = [cell(name, 0.701 + at / 1000) for at, name in enumerate("abc")]
    done = {
        ("a", "easy"): Practised(3, NOW - timedelta(days=1)),
        ("b", "easy"): Practised(3, NOW - timedelta(days=9)),
    }
    assert [each.topic for each in rank(cells, done, 0.7, NOW)] == ["c", "b", "a"]


def test_nothing_to_rank() -> None:
    assert rank([], {}, 0.7, NOW) == []


@given(st.lists(CHANCES, max_size=40), CHANCES)
def test_none_left_out_is_closer(chances: list[float], target: float) -> None:
    cells = [cell(f"t{at}", chance) for at, chance in enumerate(chances)]
    ranked = rank(cells, {}, target, NOW)
    assert len(ranked) == min(MOST, len(cells))
    away = [abs(round(each.p_correct * 100) - round(target * 100)) for each in ranked]
    assert away == sorted(away)
    kept = {each.topic for each in ranked}
    others = [c.p_correct for c in cells if c.topic not in kept]
    assert all(abs(round(p * 100) - round(target * 100)) >= away[-1] for p in others)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "just now"), (59, "just now"), (60, "1 min ago"), (7300, "2 h ago"), (90_000, "1 d ago")],
)
def test_ago(seconds: float, words: str) -> None:
    assert ago(seconds) == words
