"""Protocols that leak nothing, figures as computed by hand, and the command."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from simulated import history, only
from sklearn import metrics as sklearn_metrics
from typer.testing import CliRunner

from ops import cli
from ops.cli import app
from schemas.errors import TrainingFailed, UsageError
from schemas.history import History
from training import bootstrap, contenders, evaluate, metrics, protocols
from training.evaluate import Answers, Predictions

METRICS = {
    "n", "auc", "accuracy", "log_loss", "brier", "ece", "mae_seconds", "mae_seconds_clipped",
    "log_rmse", "coverage_80",
}  # fmt: skip


class Spy:
    """Remembers what it may learn and what it is asked."""

    def __init__(self) -> None:
        self.learned: list[History] = []
        self.asked: list[History] = []

    def learn(self, history: History) -> None:
        assert list(history.numbers) == sorted(history.numbers)
        self.learned.append(history)

    def predict(self, history: History, rows: np.ndarray) -> Predictions:
        assert list(history.numbers) == sorted(history.numbers)
        self.asked.append(only(history, rows))
        return Predictions(*np.full((3, len(rows)), 0.5))


def by_completion(past: History) -> History:
    ordered = only(past, np.argsort(past.completed_at, kind="stable"))
    return replace(ordered, numbers=np.arange(1, len(past) + 1))


DATA = by_completion(history(12, 600))


def spied(plan: protocols.Plan) -> tuple[list[Spy], Answers]:
    spies: list[Spy] = []

    def make() -> Spy:
        spies.append(Spy())
        return spies[-1]

    answers = evaluate.run(plan, make)
    return [spy for spy in spies if spy.learned], answers


def test_user_disjoint_never_learns_from_a_learner_it_predicts() -> None:
    spies, answers = spied(protocols.user_disjoint(DATA, 1))
    assert len(spies) == 5
    for spy in spies:
        (learned,), (asked,) = spy.learned, spy.asked
        assert not set(learned.users) & set(asked.users)
        assert len(learned) + len(asked) == len(DATA)
    predicted = np.concatenate([spy.asked[0].numbers for spy in spies])
    assert sorted(predicted) == list(DATA.numbers)
    assert len(answers) == len(DATA)


def test_prequential_learns_only_what_was_completed_before_the_blocks_first_start() -> None:
    (spy,), answers = spied(protocols.prequential(DATA, 100))
    assert len(spy.learned) == 5
    for learned, asked in zip(spy.learned, spy.asked, strict=True):
        first = asked.started_at.min()
        assert learned.completed_at.max() <= first
        assert len(learned) == np.sum(DATA.completed_at <= first)
    starts = np.concatenate([asked.started_at for asked in spy.asked])
    assert np.array_equal(starts, np.sort(DATA.started_at)[100:])
    assert len(answers) == 500


def test_a_task_without_duration_is_not_learned_before_it_is_predicted() -> None:
    instant = replace(DATA, completed_at=DATA.started_at.copy())
    (spy,), _ = spied(protocols.prequential(by_completion(instant), 100))
    for learned, asked in zip(spy.learned, spy.asked, strict=True):
        assert not set(learned.started_at) & set(asked.started_at)


def test_small_begins_after_fifty_events_and_refits_at_every_fifth() -> None:
    spies, answers = spied(protocols.small(DATA, 3, 4, 2))
    assert len(spies) == 2
    for spy in spies:
        asked = np.concatenate([asked.numbers for asked in spy.asked])
        assert list(asked) == list(range(51, len(asked) + 51))
        assert all(len(each) == 5 for each in spy.asked[:-1])
        assert len({user for learned in spy.learned for user in learned.users}) == 4
    assert len(answers) == sum(len(asked) for spy in spies for asked in spy.asked)


def test_small_keeps_each_learners_order_and_learns_nothing_from_its_future() -> None:
    for block in protocols.small(DATA, 3, 4, 2).blocks:
        task = only(block.seen, np.arange((len(block.seen) - 1) // 5 * 5, len(block.seen)))
        for user in set(block.seen.users):
            assert np.all(np.diff(block.seen.completed_at[block.seen.users == user]) >= 0)
            ends = block.learned.completed_at[block.learned.users == user]
            starts = task.started_at[task.users == user]
            assert not len(ends) or not len(starts) or ends.max() <= starts.min()


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (lambda: protocols.user_disjoint(history(4, 60), 1), "need 5 learners"),
        (lambda: protocols.prequential(DATA, 600), "end within the first 600"),
        (lambda: protocols.small(DATA, 1, 13, 1), "there are 12"),
        (lambda: protocols.small(history(6, 40), 1, 3, 2), "No stream is longer"),
    ],
)
def test_a_protocol_says_what_data_it_needs(plan: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan()


def plans(seed: int) -> list[protocols.Plan]:
    return [protocols.user_disjoint(DATA, seed), protocols.small(DATA, seed, 4, 2)]


def test_a_seed_draws_the_same_again() -> None:
    def drawn(seed: int) -> list[list[float]]:
        return [list(spied(plan)[1].seconds) for plan in plans(seed)]

    assert drawn(1) == drawn(1)
    first, other = drawn(1), drawn(2)
    assert first[0] != other[0]
    assert first[1] != other[1]


class Clock:
    """A clock that moves by a second whenever it is read."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_time_in_learning_is_summed() -> None:
    plan = protocols.prequential(DATA, 100)
    heard: list[int] = []
    assert evaluate.run(plan, Spy, heard.append, Clock()).fit_seconds == 5.0
    assert heard == [100, 200, 300, 400, 500]


class Wrong(Spy):
    def predict(self, history: History, rows: np.ndarray) -> Predictions:
        return replace(super().predict(history, rows), mu=np.full(len(rows), np.nan))


def test_predictions_that_are_no_numbers_are_an_error() -> None:
    with pytest.raises(TrainingFailed, match="finite"):
        evaluate.run(protocols.user_disjoint(DATA, 1), Wrong)


def answers(users: np.ndarray, correct: np.ndarray, p: np.ndarray) -> Answers:
    rows = len(p)
    return Answers(
        users.astype(object), correct, np.full(rows, 10.0), np.arange(1, rows + 1),
        Predictions(p, np.full(rows, np.log(20.0)), np.full(rows, 0.1)), 0.0,
    )  # fmt: skip


def test_figures_by_hand_and_for_first_trials() -> None:
    correct = np.array([True, True, False, True, True, False])
    p = np.array([0.9, 0.8, 0.3, 0.6, 0.7, 0.9])
    found = evaluate.figures(answers(np.full(6, "u"), correct, p))
    assert set(found) == METRICS | {"fit_seconds", "first5"}
    assert set(found["first5"]) == METRICS
    assert (found["n"], found["first5"]["n"]) == (6, 5)
    assert found["accuracy"] == pytest.approx(5 / 6)
    assert found["first5"]["accuracy"] == 1.0
    assert found["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(correct, p))
    assert found["log_loss"] == pytest.approx(sklearn_metrics.log_loss(correct, p))
    assert found["brier"] == pytest.approx(sklearn_metrics.brier_score_loss(correct, p))
    assert found["log_rmse"] == pytest.approx(np.log(2))
    assert found["mae_seconds"] == pytest.approx(10.0)
    assert found["coverage_80"] == 0.0


def test_times_are_clipped_only_where_it_says_so() -> None:
    far = answers(np.full(2, "u"), np.array([True, False]), np.array([0.5, 0.5]))
    far = replace(far, predictions=replace(far.predictions, mu=np.log([1.0, 1000.0])))
    found = evaluate.figures(far)
    assert found["mae_seconds"] == pytest.approx((9 + 990) / 2)
    assert found["mae_seconds_clipped"] == pytest.approx((5 + 590) / 2)


def test_an_interval_of_ones_own_counts() -> None:
    predictions = Predictions(*np.full((3, 2), 0.5), np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    low, high = predictions.interval()
    assert (list(low), list(high)) == ([1.0, 2.0], [3.0, 4.0])


def test_trials_are_counted_by_start_within_a_learner() -> None:
    mixed = only(DATA, np.arange(6))
    mixed.users[:] = ["a", "b", "a", "b", "a", "a"]
    mixed.started_at[:] = [30, 20, 10, 40, 20, 50]
    assert list(evaluate.trials(mixed)) == [3, 1, 1, 2, 2, 4]


def test_reliability_bins_by_hand() -> None:
    p, correct = np.array([0.05, 0.06, 0.5, 1.0]), np.array([False, True, True, True])
    bins = metrics.reliability(correct, p)
    assert len(bins) == 15
    assert bins[0] == {
        "from": 0.0, "to": pytest.approx(1 / 15), "rows": 2, "mean_p": pytest.approx(0.055),
        "observed": 0.5,
    }  # fmt: skip
    assert (bins[1]["rows"], bins[1]["mean_p"], bins[1]["observed"]) == (0, None, None)
    assert (bins[14]["rows"], bins[14]["observed"]) == (1, 1.0)


def clustered() -> Answers:
    """Fifty learners, thirty rows each, whose share of right answers differs far from p."""
    random = np.random.default_rng(0)
    users, able = np.repeat(np.arange(50), 30), random.random(50)
    p = np.clip(0.75 + 0.1 * random.normal(size=1500), 0.05, 0.95)
    return answers(users, random.random(1500) < (able[users] + p) / 2, p)


def test_an_interval_holds_the_point_and_is_wider_than_that_of_rows() -> None:
    data = clustered()
    found, point = bootstrap.intervals(data, 200, 1), evaluate.figures(data)
    rows = bootstrap.intervals(replace(data, users=np.arange(1500).astype(object)), 200, 1)
    for name in ("auc", "log_loss"):
        low, high = found[name] or (1.0, 0.0)
        assert low < point[name] < high
    width = {name: np.diff(each["log_loss"] or [0, 0]) for name, each in
             (("learners", found), ("rows", rows))}  # fmt: skip
    assert width["learners"] > 1.5 * width["rows"]
    assert found == bootstrap.intervals(data, 200, 1)
    assert found != bootstrap.intervals(data, 200, 2)


def test_one_learner_drawn_again_gives_the_figures_themselves() -> None:
    data = replace(clustered(), users=np.full(1500, "u", dtype=object))
    found, point = bootstrap.intervals(data, 2, 1), evaluate.figures(data)
    for name in bootstrap.NAMES:
        assert found[name] == pytest.approx([point[name]] * 2)


def test_an_interval_that_is_undefined_is_none() -> None:
    right = replace(clustered(), correct=np.ones(1500, dtype=np.bool_))
    assert bootstrap.intervals(right, 5, 1)["auc"] is None


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "past.csv"
    with path.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["user_id", "topic", "difficulty", "timestamp", "correct", "response_time"])
        columns = (
            DATA.users, DATA.topics, DATA.difficulties, DATA.started_at,
            DATA.is_correct.astype(int), DATA.seconds,
        )  # fmt: skip
        writer.writerows(zip(*columns, strict=True))
    return path


def asked(file: Path, protocol: str, *more: str) -> list[str]:
    return [
        "evaluate", "--data", str(file), "--protocol", protocol, "--model", "constant", *more,
    ]  # fmt: skip


SMALL = ("--learners", "3", "--streams", "2")


@pytest.mark.parametrize(
    ("protocol", "more"),
    [("user-disjoint", ()), ("prequential", ("--every", "150")), ("small", SMALL)],
)
def test_the_object_is_the_contracts(file: Path, protocol: str, more: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, asked(file, protocol, *more, "--json"))
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    added = {"protocol", "model", "fit_seconds", "first5", "seed", "data"}
    assert set(found) == METRICS | added
    assert set(found["first5"]) == METRICS
    assert (found["protocol"], found["model"], found["seed"]) == (protocol, "constant", 1)
    assert found["data"] == {"rows": 600, "learners": 12}


def test_intervals_bins_and_a_picture_where_they_are_asked_for(file: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    more = ("--bootstrap", "20", "--bins", "--plot", str(picture))
    result = CliRunner().invoke(app, asked(file, "user-disjoint", *more, "--json"))
    found = json.loads(result.stdout)
    assert set(found["intervals"]) == {"auc", "log_loss", "ece", "log_rmse", "coverage_80"}
    assert sum(each["rows"] for each in found["bins"]) == found["n"] == 600
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")
    shown = CliRunner().invoke(app, asked(file, "user-disjoint", *more)).stdout
    for words in ("constant, user-disjoint", "95 % interval", "trials 1–5", "0.467 – 0.533"):
        assert words in shown


def test_a_bad_row_is_reported_and_left_out(file: Path) -> None:
    with file.open("a") as opened:
        opened.write("x,y,z,not-a-time,1,3\n")
    result = CliRunner().invoke(app, asked(file, "user-disjoint", "--json"))
    assert result.stderr == "line 602: timestamp is not a number\n"
    assert json.loads(result.stdout)["n"] == 600


def test_every_factory_is_a_choice_of_the_command(file: Path) -> None:
    for model in contenders.FACTORIES:
        result = CliRunner().invoke(app, [*asked(file, "user-disjoint"), "--model", model, "-h"])
        assert "is not one of" not in result.output


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--data", "none.csv"), "none.csv cannot be read"),
        (("--plot", "no/such/folder.png"), "folder.png cannot be written"),
        (("--protocol", "small", "--learners", "13"), "13 learners are to be drawn"),
        (("--protocol", "prequential"), "end within the first 2000"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    file: Path,
    more: tuple[str, ...],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_main(monkeypatch, *asked(file, "user-disjoint"), *more) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("retrace: ")
    assert words in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("more", [("--protocol", "other"), ("--model", "other"), ("--every", "0")])
def test_an_unknown_choice_is_exit_code_2(
    file: Path, more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_main(monkeypatch, *asked(file, "user-disjoint"), *more) == 2


def test_a_file_without_rows_is_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("user_id,topic,difficulty,timestamp,correct,response_time\n")
    assert run_main(monkeypatch, *asked(empty, "user-disjoint")) == 2
    assert "no row that can be evaluated" in capsys.readouterr().err


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["retrace", *arguments])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    return int(exited.value.code or 0)
