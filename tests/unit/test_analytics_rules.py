"""The analytics' rules: filters, steps of time, intervals, curves, files."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import filters, sheets
from gateway.analytics import View
from gateway.comparison import compare
from gateway.filters import Filters
from gateway.learning import RUNNING, Practised, curves
from gateway.scored import Score, Scored, gap, of_sums, over_time, reliability, wilson
from training import metrics

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
_names = count()


def row(**more: Any) -> tuple[Any, ...]:
    usual = {
        "task": f"task-{next(_names)}", "user": "ann", "topic": "t", "arm": "champion",
        "source": "lstm", "version": 3, "p": 0.7, "expected": 20.0, "low": 10.0, "high": 40.0,
        "correct": True, "seconds": 25.0, "at": NOW.timestamp(),
    }  # fmt: skip
    return tuple((usual | more).values())


def view(rows: Scored, **more: Any) -> View:
    usual = {
        "filters": Filters(), "at": NOW, "rows": rows, "more": False,
        "bins": reliability(rows), "over_time": (),
        "by_version": (), "comparison": None, "learner": None, "curves": {},
    }  # fmt: skip
    return View(**(usual | more))


def test_an_address_says_what_is_shown_and_nothing_else() -> None:
    assert Filters().query() == ""
    mine = Filters(user="<b>&=?", topic="+ -", version=0, last="month")
    assert filters.read(dict(_pairs(mine.query()))) == (mine, [])


def _pairs(query: str) -> list[tuple[str, str]]:
    from urllib.parse import parse_qsl

    return parse_qsl(query.removeprefix("?"))


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"version": "-1"}, "version"),
        ({"version": "x"}, "version"),
        ({"version": "2147483648"}, "version"),
        ({"last": "year"}, "last"),
        ({"user": "x" * 129}, "user"),
        ({"topic": "a\x00"}, "topic"),
    ],
)
def test_what_an_address_cannot_say_is_left_out(said: dict[str, str], wrong: str) -> None:
    assert filters.read({**said, "unknown": "x"}) == (Filters(), [wrong])
    assert filters.read({"topic": "t", **said} if wrong != "topic" else said)[1] == [wrong]


def test_an_empty_word_is_no_filter() -> None:
    assert filters.read({"user": "", "topic": "", "version": "", "last": ""}) == (Filters(), [])


@pytest.mark.parametrize(
    ("last", "window", "bucket"),
    [("hour", 900, 900), ("day", 900, 900), ("week", 900, 6300), ("month", 900, 27_000),
     ("day", 60, 900), ("hour", 7200, 7200)],
)  # fmt: skip
def test_a_step_of_time_is_of_whole_windows(last: Any, window: int, bucket: int) -> None:
    assert Filters(last=last).bucket(window) == bucket


def test_columns_have_their_types_even_where_there_are_none() -> None:
    none = Scored.of([])
    assert len(none) == 0
    assert (none.correct.dtype, none.version.dtype, none.p.dtype) == (bool, np.int64, float)
    assert reliability(none) == {}
    assert over_time(none, 900) == []


def test_each_arm_has_its_diagram() -> None:
    rows = Scored.of(
        [row(p=0.72), row(p=0.78, correct=False), row(p=0.31, arm="challenger", source="lnirt")]
    )
    found = reliability(rows)
    assert list(found) == ["champion", "challenger"]
    (seventh,) = found["champion"]
    assert (seventh.place, seventh.tasks, seventh.observed) == (7, 2, 0.5)
    assert seventh.mean_p == pytest.approx(0.75)
    assert seventh.ends == (0.7, 0.8)
    assert [(each.place, each.tasks) for each in found["challenger"]] == [(3, 1)]


def test_sums_make_the_bins_that_rows_make() -> None:
    random = np.random.default_rng(5)
    p, right = random.random(200), random.random(200) < 0.6
    p[0] = 1.0
    rows = Scored.of([row(p=float(a), correct=bool(y)) for a, y in zip(p, right, strict=True)])
    (bins,) = reliability(rows).values()
    sums = [("champion", b.place, b.tasks, b.mean_p * b.tasks, b.observed * b.tasks) for b in bins]
    assert gap(of_sums(sums)["champion"]) == pytest.approx(metrics.ece(right, p, 10))
    assert of_sums(sums)["champion"][-1].tasks == sum(p >= 0.9)
    assert of_sums([]) == {}


def test_an_interval_of_a_share_is_wilson_s() -> None:
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)  # Newcombe 1998
    assert wilson(1.0, 5)[1] == 1.0
    assert wilson(0.0, 5)[0] == 0.0


def test_steps_of_time_have_the_scores_of_their_rows() -> None:
    later = NOW.timestamp() + 900
    early = [row(p=0.8), row(p=0.6, correct=False), row(p=0.9, source="lnirt", arm="challenger")]
    found = over_time(Scored.of([row(at=later, p=0.5), *early]), 900)
    told = [(each.at, each.source, each.arm, each.tasks, each.auc) for each in found]
    assert told == [
        (NOW, "lnirt", "challenger", 1, None),
        (NOW, "lstm", "champion", 2, 1.0),
        (NOW + timedelta(seconds=900), "lstm", "champion", 1, None),
    ]
    right, p = np.array([True, False]), np.array([0.8, 0.6])
    assert found[1].log_loss == pytest.approx(metrics.log_loss(right, p))


def both(tasks: int, learners: int, better: float, seed: int = 1) -> tuple[Scored, Scored]:
    """Rivals and champions on the same tasks; the champion has the true chances."""
    random = np.random.default_rng(seed)
    rivals, beside = [], []
    for at in range(tasks):
        p = float(random.uniform(0.1, 0.9))
        same = {"task": f"t{at}", "user": f"u{at % learners}", "correct": random.random() < p}
        beside.append(row(**same, p=p))
        rivals.append(row(**same, p=min(0.99, max(0.01, p + better)), arm="challenger"))
    return Scored.of(rivals), Scored.of(beside[::-1])


def test_the_same_tasks_are_compared_in_pairs() -> None:
    rivals, beside = both(2000, 100, 0.3)
    found = compare(rivals, beside, Scored.of([row()]))
    assert found is not None
    assert (found.paired, found.champion_tasks, found.learners) == (True, 2000, 100)
    loss, wrong, time = found.differences
    assert loss.low is not None
    assert loss.better == "champion"
    assert 0 < loss.low < loss.difference
    assert wrong.better == "champion"
    assert (time.difference, time.low, time.high, time.better) == (0.0, 0.0, 0.0, "")


def test_pairs_are_surer_than_two_groups() -> None:
    rivals, beside = both(2000, 100, 0.1)
    paired, apart = compare(rivals, beside, beside), compare(rivals, Scored.of([]), beside)
    assert paired is not None
    assert apart is not None
    assert (apart.paired, apart.learners) == (False, 200)
    assert apart.differences[0].difference == pytest.approx(paired.differences[0].difference)
    assert _width(apart) > 2 * _width(paired)


def _width(found: Any) -> float:
    return float(found.differences[0].high - found.differences[0].low)


def test_an_interval_covers_no_difference_about_19_times_of_20() -> None:
    """Two groups of 20 learners with chances of their own, from the same population."""
    held = 0
    for seed in range(300):
        random = np.random.default_rng(seed)
        groups = [
            Scored.of(
                row(user=f"{arm}{u}", arm=arm, correct=bool(random.random() < ability))
                for u in range(20)
                for ability in [random.uniform(0.3, 0.9)]
                for _ in range(10)
            )
            for arm in ("challenger", "champion")
        ]
        found = compare(groups[0], Scored.of([]), groups[1])
        assert found is not None
        held += not found.differences[0].better
    assert 0.92 < held / 300 < 0.98


def test_two_groups_are_compared_over_the_time_that_both_cover() -> None:
    old = [row(user=f"u{n}", p=0.2, at=NOW.timestamp() - 9e5) for n in range(9)]
    champions = Scored.of([row(user=f"u{n}") for n in range(9)] + old)
    rivals = Scored.of([row(user=f"v{n}", arm="challenger") for n in range(9)])
    found = compare(rivals, Scored.of([]), champions)
    assert found is not None
    assert found.champion_tasks == 9
    assert found.differences[0].difference == pytest.approx(0.0)


def test_where_there_is_nothing_to_compare() -> None:
    none, some = Scored.of([]), Scored.of([row(arm="challenger")])
    assert compare(none, none, some) is None
    assert compare(some, none, none) is None
    alone = compare(some, Scored.of([row(task=some.task[0])]), none)
    assert alone is not None
    assert {(each.low, each.better) for each in alone.differences} == {(None, "")}


def test_curves_are_of_the_last_tasks_on_each_topic() -> None:
    tasks = [Practised("a", n >= 30, float(n), NOW) for n in range(60)]
    found = curves([Practised("b", True, 5.0, NOW), *tasks])
    assert list(found) == ["a", "b"]
    assert [step.task for step in found["a"]] == list(range(1, 61))
    assert (found["a"][0].success, found["a"][0].seconds) == (0.0, 0.0)
    assert found["a"][39].success == 10 / RUNNING
    assert found["a"][59].seconds == np.median(np.arange(60 - RUNNING, 60))
    assert curves([]) == {}


FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝")


@given(st.text(max_size=20) | st.builds(str.__add__, st.sampled_from(FORMULAS), st.text()))
def test_no_cell_of_text_is_a_formula(words: str) -> None:
    cell = str(sheets.cell(words))
    assert not cell.startswith(FORMULAS)
    assert cell.removeprefix("'") == words.removeprefix("'") or cell == words


def test_numbers_stay_numbers_and_times_are_rfc_3339() -> None:
    assert sheets.cell(-0.25) == -0.25
    assert sheets.cell(NOW) == "2026-03-01T12:00:00Z"
    assert sheets.cell(True) == "true"
    assert sheets.cell(None) is None


def test_every_file_has_a_header_and_rows_as_wide() -> None:
    rivals, beside = both(1200, 10, 0.1)
    rows = Scored.of([row(user="=1+1", topic='a,"b"\n', version=0)] * 1200)
    steps = [Score(NOW, None, "lstm", "champion", 5, 0.5, None), Score(NOW, 0, "d", "c", 1, 1.0, 1)]
    tasks = [Practised("-topic", True, 5.0, NOW)] * 3
    some = view(
        rows, over_time=steps, by_version=steps, comparison=compare(rivals, beside, beside),
        learner="@ann", curves=curves(tasks),
    )  # fmt: skip
    for chart, sheet in sheets.SHEETS.items():
        (header, *found) = _read("".join(sheets.lines(sheet(some))))
        assert found, chart
        assert {len(each) for each in found} == {len(header)}, chart
        assert [len(_read("".join(sheets.lines(sheet(view(Scored.of([])))))))] == [1], chart
    (_, *times) = _read("".join(sheets.lines(sheets.SHEETS["times"](some))))
    assert len(times) == 1200
    assert times[0][:4] == ["2026-03-01T12:00:00Z", rows.task[0], "'=1+1", 'a,"b"\n']
    assert _read("".join(sheets.lines(sheets.SHEETS["learning"](some))))[1][:2] == [
        "'@ann",
        "'-topic",
    ]


def _read(words: str) -> list[list[str]]:
    return list(csv.reader(StringIO(words, newline="")))
