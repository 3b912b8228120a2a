"""What the page of preparation shows, apart from how."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pages import chances, heatmap
from gateway.pages.frame import Viewer
from gateway.pages.parts import address
from gateway.ranking import Suggestion
from gateway.words import MOST_CANDIDATES, Words
from schemas.replies import Forecast, ForecastCell
from tests.unit.test_ranking import cell

WHO = Viewer(ZoneInfo("UTC"), "auto", False)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CELLS = [
    cell(f"topic-{at:02}", p - at / 100, difficulty)
    for at in range(30)
    for difficulty, p in (("hard", 0.4), ("easy", 0.9), ("medium", 0.6))
]


def test_topics_come_in_pages_and_the_easiest_difficulty_first() -> None:
    first, last = heatmap.page(CELLS, 0), heatmap.page(CELLS, 99)
    assert first.difficulties == ("easy", "medium", "hard")
    assert (len(first.topics), len(first.cells), first.pages) == (12, 36, 3)
    assert (last.number, len(last.topics)) == (2, 6)
    assert heatmap.page(CELLS, -1) == first
    assert heatmap.page([], 0).pages == 1


def test_every_cell_says_its_chance_and_suggested_ones_their_place() -> None:
    page = heatmap.page(CELLS[:3], 0)
    suggested = [Suggestion("topic-00", "medium", 0.6, "")]
    (series,) = heatmap.options(WHO, page, suggested)["series"]
    told = {tuple(item["value"]): item["label"]["formatter"] for item in series["data"]}
    assert told == {
        (0, 0, 0.9): "0.90\n20 s",
        (1, 0, 0.6): "#1  0.60\n20 s",
        (2, 0, 0.4): "0.40\n20 s",
    }
    assert chances.summary(page) == "Chances of 1 topics at 3 difficulties, from 0.40 to 0.90"


@given(st.floats(0.01, 0.99), st.booleans())
def test_what_is_written_in_a_cell_can_be_read(chance: float, dark: bool) -> None:
    ground = heatmap.shade(chance, dark)
    ink = heatmap.ink(ground)
    assert heatmap.contrast((0, 0, 0) if ink == "#000000" else (255, 255, 255), ground) >= 4.5


def test_contrast_is_that_of_the_guidelines() -> None:
    assert heatmap.contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert heatmap.contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)


def found(cells: list[ForecastCell], **more: object) -> SimpleNamespace:
    forecast = Forecast(
        request_id="r", predicted_at=NOW, user_id="ada", cells=tuple(cells), history_length=0
    )
    values = {"forecast": forecast, "cells": cells, "done": {}, "all": len(cells), "newest": 0}
    return SimpleNamespace(**{**values, **more})


def test_what_is_missing_is_said() -> None:
    assert chances.instead(None, "") == ""
    assert chances.instead(found([]), "") == chances.NO_MODEL
    assert chances.instead(found([]), "zz") == "No topic of the serving version holds “zz”."
    assert chances.instead(found(CELLS), "") == chances.NEW
    assert chances.instead(found(CELLS, done={("a", "b"): 1}), "") == ""
    assert chances.instead(found(CELLS, all=900), "").startswith("These are 90 of 900 ")


def test_candidates_are_bounded_and_hold_whole_topics() -> None:
    words = Words(1, tuple(f"topic-{at}" for at in range(400)), ("easy", "hard", "medium"))
    some, number = words.candidates()
    assert (len(some), number) == (498, 1200)
    assert len({each.topic for each in some}) * 3 == 498
    few, number = words.candidates("TOPIC-39")
    assert (len(few), number) == (33, 33)
    assert Words().candidates() == ([], 0)
    wide = Words(1, ("t",), tuple(map(str, range(900))))
    assert len(wide.candidates()[0]) == MOST_CANDIDATES


def test_an_address_carries_any_name() -> None:
    assert address("tasks", user="a&b=<c>", topic="ü x", difficulty="") == (
        "/tasks?user=a%26b%3D%3Cc%3E&topic=%C3%BC+x"
    )
