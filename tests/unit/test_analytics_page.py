"""What the page of analytics draws and says."""

from __future__ import annotations

import json
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from test_analytics_rules import NOW, both, row, view

from gateway.comparison import compare
from gateway.filters import Filters
from gateway.learning import Practised, Step, curves
from gateway.pages import marks, phrasing, plots, rivals, timelines
from gateway.pages.frame import Viewer
from gateway.scored import Score, Scored, reliability

WHO = Viewer(ZoneInfo("Europe/Berlin"), "auto", dark=False)
STRANGE = "<script>alert(1)</script>"


def named(options: marks.Options) -> list[str]:
    return [each["name"] for each in options["series"]]


def test_a_reliability_diagram_has_the_diagonal_counts_and_both_arms() -> None:
    rows = Scored.of([row(p=0.75), row(p=0.75, correct=False), row(p=0.2, arm="challenger")])
    options = plots.reliabilities(WHO, reliability(rows))
    assert named(options) == [
        "as predicted",
        "tasks, champion", "95 % interval, champion", "champion",
        "tasks, challenger", "95 % interval, challenger", "challenger",
    ]  # fmt: skip
    diagonal, bars, whiskers, curve, *_ = options["series"]
    assert diagonal["data"] == [(0, 0), (1, 1)]
    assert bars["data"] == [(0.75, 2)]
    assert bars["yAxisIndex"] == 1
    assert curve["data"] == [(0.75, 0.5, 2)]
    assert whiskers["data"][2] == (None, None)


def test_times_are_on_log_axes_around_all_points() -> None:
    rows = Scored.of([row(expected=5.0, seconds=70.0), row(source="lnirt", seconds=0.4)])
    options = plots.times(WHO, rows)
    assert {options[axis]["type"] for axis in ("xAxis", "yAxis")} == {"log"}
    assert (options["xAxis"]["min"], options["yAxis"]["max"]) == (0.25, 128.0)
    assert named(options) == ["lstm", "lnirt", "default", "as predicted"]
    assert options["series"][0]["data"] == [(5.0, 70.0)]
    assert len(plots.times(WHO, Scored.of([row()] * 4000))["series"][0]["data"]) == plots.DRAWN


@pytest.mark.parametrize(
    ("values", "ends"), [([], (4, 512)), ([8.0], (8, 8)), ([3.0, 600.0], (2, 1024))]
)
def test_ends_of_a_log_axis(values: list[float], ends: tuple[float, float]) -> None:
    assert plots.span(values) == ends


@pytest.mark.parametrize(("value", "end"), [(0.3, 0.5), (1.0, 1.0), (6.3, 10.0), (21.0, 50.0)])
def test_a_nice_end_is_at_least_the_value(value: float, end: float) -> None:
    assert marks.nice(value) == pytest.approx(end)


def test_scores_have_a_line_a_source_and_points_a_version() -> None:
    lines = [
        Score(NOW, None, "lstm", "champion", 100, 0.61, None),
        Score(NOW, None, "lnirt", "challenger", 9, 0.7, 0.6),
    ]
    points = [Score(NOW, 7, "lstm", "champion", 100, 0.6, None)]
    shown = view(Scored.of([row()]), over_time=lines, by_version=points)
    options = timelines.scores(WHO, shown, "log_loss", "log loss, nats")
    assert named(options) == ["lstm", "lnirt, challenger", "lstm, by version"]
    at = NOW.timestamp() * 1000
    assert options["series"][0]["data"] == [(at, 0.61)]
    assert options["series"][2]["data"][0]["value"] == (at, 0.6, 7, 100)
    assert options["xAxis"]["min"] == (NOW - timedelta(days=1)).timestamp() * 1000
    assert timelines.scores(WHO, shown, "auc", "AUC")["series"][0]["data"] == [(at, None)]


def test_without_right_and_wrong_there_is_no_auc_to_draw() -> None:
    alike = Score(NOW, None, "lstm", "champion", 3, 0.3, None)
    defined = Score(NOW, 7, "lstm", "champion", 3, 0.3, 0.5)
    rows = Scored.of([row()])
    assert not view(rows).has_auc
    assert not view(rows, over_time=[alike], by_version=[alike]).has_auc
    assert view(rows, over_time=[alike], by_version=[defined]).has_auc


def test_sources_are_stacked_with_a_bar_at_every_step() -> None:
    later = NOW + timedelta(seconds=900)
    steps = [
        Score(NOW, None, "lstm", "champion", 3, 0.6, None),
        Score(later, None, "default", "champion", 2, 0.7, None),
    ]
    options = timelines.sources(WHO, view(Scored.of([row()]), over_time=steps))
    assert [[tasks for _, tasks in each["data"]] for each in options["series"]] == [[3, 0], [0, 2]]


def test_curves_are_of_the_topics_of_most_tasks() -> None:
    tasks = [Practised(f"t{n % 7}" if n < 70 else STRANGE, True, 9.0, NOW) for n in range(100)]
    shown = view(Scored.of([row()]), learner=STRANGE, curves=curves(tasks))
    options = timelines.learning(WHO, shown, "seconds", "seconds")
    assert named(options)[0] == STRANGE
    assert len(options["series"]) == timelines.TOPICS
    said = phrasing.notes(shown)["success"]
    assert "The 5 topics of most tasks, of 8." in said
    assert said.endswith(f"Learner: {STRANGE}, who has the most here.")


@pytest.mark.parametrize("number", [0, 1, 59, 60, 61, 5000])
def test_a_thinned_curve_keeps_its_newest_step(number: int) -> None:
    steps = [Step("t", n, NOW, 0.5, 9.0) for n in range(number)]
    thin = timelines.thinned(steps)
    assert len(thin) <= timelines.STEPS
    assert not steps or thin[-1] == steps[-1]
    assert list(thin) == sorted(thin, key=lambda step: step.task)


def test_a_comparison_says_how_and_what_is_better() -> None:
    others, beside = both(2000, 100, 0.3)
    paired = compare(others, beside, beside)
    assert rivals.note(paired).startswith("Paired: both answered the same 2\u202f000 tasks")
    loss, _, time = rivals.rows(paired)
    assert loss[0] == "log loss, nats"
    assert loss[4] == "champion is better"
    assert time[3:] == ("0 (0 to 0)", "no difference yet")
    apart = compare(others, Scored.of([]), beside)
    assert rivals.note(apart).startswith("Not paired: ")
    options = rivals.options(WHO, paired)
    assert options["yAxis"]["data"] == ["log loss", "wrong side of 0.5", "time error"]
    assert options["xAxis"]["min"] == -options["xAxis"]["max"]


def test_without_a_challenger_it_says_how_to_set_one() -> None:
    assert rivals.note(None) == ""
    assert rivals.rows(None) == []
    assert "RETRACE_CHALLENGER," in phrasing.PANELS["arms"][2]


def test_everything_can_be_drawn_of_nothing() -> None:
    nothing = view(Scored.of([]))
    json.dumps(
        [
            plots.reliabilities(WHO, nothing.bins),
            plots.times(WHO, nothing.rows),
            timelines.scores(WHO, nothing, "auc", "AUC"),
            timelines.sources(WHO, nothing),
            timelines.learning(WHO, nothing, "success", "share"),
            rivals.options(WHO, None),
        ]
    )
    assert set(phrasing.notes(nothing)) == set(phrasing.PANELS)
    assert phrasing.notes(nothing)["reliability"] == ""


def test_the_summary_says_how_many_and_since_when() -> None:
    none, some = view(Scored.of([])), Scored.of([row(), row(at=NOW.timestamp() - 60)])
    assert phrasing.summary(WHO, none).startswith("No task completed in the last day ")
    assert phrasing.summary(WHO, view(some)).startswith("2 predictions of tasks completed in the")
    assert phrasing.summary(WHO, view(some, more=True, filters=Filters(last="week"))) == (
        "Predictions of tasks completed in the last week: the newest 5\u202f000 of these, since "
        "01 Mar 12:59. Read at 13:00:00."
    )
