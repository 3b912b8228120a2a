"""What the overview says and draws: words and points, without elements."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.board import Board
from gateway.feed import Happening, Letter
from gateway.pages.overview import remarks, series, words
from gateway.pages.overview.recent import last_hour, letters
from schemas import codec, events

NOW = datetime(2026, 5, 4, 12, 0, 30, tzinfo=UTC)
MINUTE = int(NOW.timestamp()) // 60 * 60


def progress(state: str, **facts: object) -> events.TrainingProgress:
    values = {"request_id": "count-40", "state": state, "at": NOW, **facts}
    return events.TrainingProgress.model_validate(values)


def epoch(number: int, model: str = "correctness", **facts: object) -> events.TrainingProgress:
    values = {"model": model, "epoch": number, "epochs": 4, "loss": 0.61234, "val_loss": None}
    return progress("epoch", **{**values, **facts})


def board(*happened: events.Event | Letter) -> Board:
    found = Board(5)
    for event in happened:
        found.apply(Happening("any", NOW, event))
    return found


def test_what_trains_now_and_how_far_it_is() -> None:
    begun = board(progress("started"))
    assert words.training(begun, {}, NOW) == words.Said(
        "Training", "count-40", "Preparing its data."
    )
    halfway = board(progress("started"), epoch(1), epoch(2))
    assert words.training(halfway, {}, NOW).more == "correctness: epoch 2 of 4."
    assert words.share(halfway) == 0.5
    gone = words.training(halfway, {"services": {"trainer": {"error": "refused"}}}, NOW)
    assert (gone.big, gone.words) == ("Interrupted", "count-40")


def test_how_the_last_training_ended() -> None:
    last = {
        "request_id": "count-40", "state": "failed", "version": None, "reason": "disk full",
        "ended_at": codec.rfc3339(NOW - timedelta(minutes=3)),
    }  # fmt: skip
    idle = {"feed": {"reached": True}, "last_training": last}
    said = words.training(Board(5), idle, NOW)
    assert said == words.Said("Idle", "count-40 failed, 3 min ago.", "Disk full.", "bad")
    never = {**idle, "last_training": None}
    assert words.training(Board(5), never, NOW).words == "No training has ended yet."
    for name in idle:
        away = {**idle, name: {"error": "refused"}}
        assert words.training(Board(5), away, NOW) == words.Said("–", words.AWAY)
    assert words.training(Board(5), {"feed": {"reached": False}}, NOW).words == words.READING


def test_the_serving_version_its_age_and_its_scores() -> None:
    part = {
        "version": 12, "trained_at": codec.rfc3339(NOW - timedelta(hours=2)), "held_since": None,
        "completions": 1233,
        "metrics": {
            "rows": 8, "log_loss": 0.5812, "lnirt": {"log_loss": 0.6},
            "topic_difficulty": {"log_loss": None},
        },
    }  # fmt: skip
    said = words.serving(part, NOW)
    assert said.big == "Version 12"
    assert said.words == "Trained 2 h ago, from 1 233 completions."
    assert said.more == (
        "Log loss 0.581 against LNIRT 0.600, over 8 completions that it had not learned."
    )
    assert words.serving({**part, "held_since": part["trained_at"]}, NOW).big.endswith("held")
    assert words.serving({**part, "metrics": {}}, NOW).more.startswith("Not scored yet")
    assert words.serving(None, NOW).big == "None yet"


def test_a_part_that_is_missing_or_away_says_so() -> None:
    status = {"lag": {"error": "Kafka does not answer"}, "serving": None}
    assert words.absent(status, "counter") == words.READING
    assert words.absent(status, "lag") == words.AWAY
    assert words.absent(status, "serving") == ""


def test_a_services_health_is_said_by_a_sign_and_words() -> None:
    waits = {"dependencies": {"kafka": {"ok": False}, "store": {"ok": True}}}
    assert remarks.health({"ready": True}) == ("● ready", "good")
    assert remarks.health(waits) == ("○ waits for Kafka", "warn")
    assert remarks.health({"error": "refused"}) == ("○ does not answer", "bad")
    assert remarks.health({"ready": True, "stuck": "no progress for 9 s"})[1] == "bad"


def windows(*found: tuple[int, int, int, bool]) -> dict[str, Any]:
    newest = [
        {"start": MINUTE + 60 * at, "completions": n, "late": late, "final": final}
        for at, n, late, final in found
    ]
    return {"window_seconds": 60, "newest": newest}


def test_windows_are_the_last_thirty_with_the_empty_ones() -> None:
    drawn = series.windows(windows((-9, 7, 2, True), (0, 3, 0, False)), NOW)
    assert {kind: len(points) for kind, points in drawn.items()} == dict.fromkeys(series.KINDS, 30)
    assert [at for at, _ in drawn["late"]] == [(MINUTE + 60 * at) * 1000 for at in range(-29, 1)]
    assert drawn["on time"][-10:] == [[(MINUTE - 540) * 1000, 5]] + [
        [(MINUTE + 60 * at) * 1000, 0] for at in range(-8, 1)
    ]
    assert drawn["late"][-10][1] == 2
    assert drawn["open"][-1] == [MINUTE * 1000, 3]


def test_windows_of_long_ago_end_with_the_newest() -> None:
    drawn = series.windows(windows((-5000, 7, 0, True)), NOW)
    assert drawn["on time"][-1] == [(MINUTE - 300_000) * 1000, 7]
    assert series.windows(windows(), NOW) == {kind: [] for kind in series.KINDS}


def test_losses_are_by_network_each_epoch_once() -> None:
    steps = [epoch(1), epoch(1, loss=0.6), epoch(2, val_loss=0.7), epoch(1, "time")]
    assert series.losses(steps, "correctness") == {
        "loss": [["count-40 · 1/4", 0.6], ["count-40 · 2/4", 0.6123]],
        "val_loss": [["count-40 · 1/4", None], ["count-40 · 2/4", 0.7]],
    }
    many = [epoch(n, epochs=99) for n in range(1, 99)]
    assert len(series.losses(many, "correctness")["loss"]) == series.EPOCHS


def version(number: int, state: str, ours: float | None) -> dict[str, Any]:
    scores = {"ours": ours, "lnirt": 0.6, "topic_difficulty": None}
    at = codec.rfc3339(NOW + timedelta(minutes=number))
    return {"version": number, "state": state, "trained_at": at, "log_loss": scores}


def test_versions_stand_beside_their_peers_and_rejected_ones_apart() -> None:
    found = [
        version(1, "published", None),
        version(2, "published", 0.58),
        version(3, "rejected", 0.71),
    ]
    drawn = series.timeline(found, "log_loss", serving=2)
    at = round(NOW.timestamp() * 1000)
    assert drawn["ours"] == drawn["serving"] == [[at + 120_000, 0.58, 2]]
    assert drawn["rejected"] == [[at + 180_000, 0.71, 3]]
    assert [point[1:] for point in drawn["lnirt"]] == [[0.6, 2], [0.6, 3]]
    assert [point[1:] for point in drawn["topic_difficulty"]] == [[None, 2], [None, 3]]


def live(minutes: int, rows: int, log_loss: float) -> dict[str, Any]:
    at = codec.rfc3339(NOW - timedelta(minutes=minutes))
    return {"window_start": at, "rows": rows, "log_loss": log_loss, "accuracy": 0.5}


def test_the_last_hour_weighs_windows_by_their_predictions() -> None:
    hour = last_hour([live(61, 900, 9.0), live(10, 30, 0.5), live(5, 10, 0.9)], NOW)
    assert hour is not None
    assert (hour["rows"], round(hour["log_loss"], 6)) == (40, 0.6)
    assert last_hour([live(61, 900, 9.0)], NOW) is None


def test_the_baseline_is_as_long_as_what_was_live() -> None:
    points = series.live([live(10, 30, 0.5), live(5, 10, 0.9)])
    bar = words.naive({"metrics": {"topic_difficulty": {"log_loss": 0.61}}})
    assert [value for _, value in series.baseline(bar, points)] == [0.61, 0.61]
    assert series.baseline(bar, []) == series.baseline(words.naive(None), points) == []
    assert words.naive({"error": "away"}) is None


def test_errors_are_dead_letters_and_trainings_without_a_version() -> None:
    at = codec.rfc3339(NOW - timedelta(minutes=5))
    old = codec.rfc3339(NOW - timedelta(hours=2))
    dead = [Letter("t/0@1", "invalid", "bad", when) for when in (at, old, "nonsense")]
    found = board(*dead, progress("superseded"))
    ended = codec.rfc3339(NOW - timedelta(minutes=1))
    failed = {"request_id": "count-40", "state": "failed", "reason": "disk full", "ended_at": ended}
    assert [what for _, what in remarks.errors(found, [failed])] == [
        "Dead letter from t/0@1: invalid, bad",
        "Training count-40 failed: disk full",
        *["Dead letter from t/0@1: invalid, bad"] * 2,
    ]
    assert [when for when, *_ in letters(found, NOW)] == [NOW - timedelta(minutes=5), NOW]


def test_nothing_is_called_well_before_it_was_read() -> None:
    assert remarks.verdict(0, False) == (words.READING, "soft")
    assert remarks.verdict(0, True) == ("✓ All is well", "good")
    assert remarks.verdict(1, False) == ("▲ 1 thing to look at", "bad")


def test_dead_letters_are_counted_and_the_newest_is_told() -> None:
    at = [codec.rfc3339(NOW - timedelta(minutes=n)) for n in (4, 9)]
    found = board(*(Letter(f"t/0@{n}", "invalid", "bad", when) for n, when in enumerate(at)))
    said = remarks.letters(1234, found, NOW)
    assert (said.big, said.words) == ("1 234", "kept; the newest came 4 min ago.")
    assert said.more == "Dead letter from t/0@0: invalid."
    assert remarks.letters(0, Board(5), NOW).big == "0"


def test_the_board_keeps_epochs_when_their_training_is_over() -> None:
    over = board(progress("started"), epoch(1), epoch(2), progress("published", version=3))
    over.take(progress("started", request_id="count-45"))
    assert (over.training, over.epoch, len(over.epochs)) == ("count-45", None, 2)


def test_a_copy_of_the_board_does_not_change_with_it() -> None:
    first = board(progress("started"), epoch(1))
    copy = first.copy()
    first.take(epoch(2))
    assert (len(copy.epochs), copy.epochs.maxlen) == (1, first.epochs.maxlen)
