"""The feed: messages to happenings, happenings to lines and to the board."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest
from rich.console import Console

from gateway import feed
from gateway.board import Board
from gateway.feed import Letter, Line
from gateway.numerals import dots
from ops import watch
from ops.board import draw
from schemas import codec, events, topics
from schemas.codec import Raw

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def completions(*numbers: int, generation: int = 1) -> events.Completions:
    items = tuple(events.NumberedCompletion(number=n, completed_at=NOW) for n in numbers)
    return events.Completions(generation=generation, items=items)


def model(version: int = 3, revision: int = 3) -> events.ModelUpdated:
    return events.ModelUpdated(
        model="retrace",
        revision=revision,
        version=version,
        request_id="count-40",
        artifact=f"v{version:06d}",
        sha256="0" * 64,
        trained_at=NOW,
        completions=40,
        users=3,
        topics=2,
        difficulties=3,
        metrics=events.ModelMetrics(
            rows=8, log_loss=0.5812, topic_difficulty=events.Scores(rows=8, log_loss=0.6121)
        ),
    )


def prediction(source: str = "lstm", version: int | None = 3) -> events.Prediction:
    values = {
        "request_id": "r", "task_id": "t", "user_id": "learner-01", "topic": "fractions",
        "difficulty": "hard", "started_at": NOW, "p_correct": 0.71, "expected_seconds": 34.2,
        "seconds_low": 20.0, "seconds_high": 55.0, "source": source, "reason": "no model yet",
        "model_version": version, "history_length": 4, "predicted_at": NOW,
    }  # fmt: skip
    return events.Prediction.model_validate(values)


def progress(state: str, **facts: object) -> events.TrainingProgress:
    values = {"request_id": "count-40", "state": state, "at": NOW, **facts}
    return events.TrainingProgress.model_validate(values)


EPOCH = progress("epoch", model="time", epoch=3, epochs=20, loss=0.51234, val_loss=None)


def happening(event: events.Event) -> feed.Happening:
    return feed.Happening("any", NOW, event)


@pytest.mark.parametrize(
    ("event", "word", "text"),
    [
        (completions(1233), "completed", "●●●○○ 3/5  1 233 in all"),
        (completions(1235), "completed", "●●●●● 5/5  1 235 in all"),
        (completions(8, 9), "completed", "●●●●○ 4/5  9 in all  (+2)"),
        (progress("started"), "training", "count-40"),
        (EPOCH, "epoch", "count-40  time          3/20  loss 0.5123  val –"),
        (progress("published", version=3), "published", "count-40  version 3"),
        (
            progress("superseded", reason="count-45 asks for more completions"),
            "superseded",
            "count-40  count-45 asks for more completions",
        ),
        (progress("rejected", reason="too few"), "rejected", "count-40  too few"),
        (progress("failed"), "failed", "count-40  no reason given"),
        (
            model(),
            "model",
            "version 3  learned from 40 completions  "
            "log loss 0.581 (topic × difficulty 0.612)",
        ),
        (
            prediction(),
            "predicted",
            "learner-01  fractions hard  p 0.71  34 s (20–55)  lstm v3",
        ),
        (
            prediction("default", None),
            "predicted",
            "learner-01  fractions hard  p 0.71  34 s (20–55)  default: no model yet",
        ),
        (Letter("tasks/3@17", "invalid", "bad"), "dead letter", "tasks/3@17  invalid: bad"),
    ],
)  # fmt: skip
def test_each_event_is_one_line(event: events.Event | Letter, word: str, text: str) -> None:
    line = feed.line(event, 5)
    assert (line.word, line.text) == (word, text)
    assert "\n" not in line.text


def test_a_train_request_is_one_line() -> None:
    event = events.TrainRequest(
        request_id="count-5", trigger="count", completions=5, requested_at=NOW
    )
    assert feed.line(event, 5).text == "count-5  train on 5 completions"


def test_the_dots_give_way_to_numbers_when_there_would_be_many() -> None:
    assert dots(3, 5) == "●●●○○ 3/5"
    assert dots(3, 1000) == "3/1000"


def test_a_message_becomes_a_happening_without_its_prefix() -> None:
    message = codec.encode(topics.COMPLETIONS, completions(7), "test", prefix="my.")
    raw = Raw(message.topic, 0, 4, message.key, message.value, message.headers)
    found = feed.decode(raw, "my.", NOW)
    assert (found.topic, found.event) == ("completions", completions(7))
    assert json.loads(json.dumps(feed.as_json(found)))["event"]["items"][0]["number"] == 7


def test_a_dead_letter_shows_where_and_why_but_never_its_data() -> None:
    source = Raw("task-completed", 3, 17, b"k", b"secret", ())
    bad = codec.Bad(source, "validate", "invalid", "actual_time_seconds: too long")
    message = codec.dead_letter(bad, "dead-letters", NOW)
    raw = Raw(message.topic, 0, 0, message.key, message.value, message.headers)
    found = feed.decode(raw, "", NOW)
    assert found.event == Letter(
        "task-completed/3@17", "invalid", "actual_time_seconds: too long", codec.rfc3339(NOW)
    )
    assert feed.when(found) == NOW
    assert "secret" not in json.dumps(feed.as_json(found))


def test_an_unreadable_message_is_shown_as_a_letter() -> None:
    found = feed.decode(Raw("prediction", 1, 2, None, b"{", ()), "", NOW)
    assert isinstance(found.event, Letter)
    assert (found.event.place, found.event.cause) == ("prediction/1@2", "not-json")


def test_a_line_begins_with_the_time_and_keeps_the_columns() -> None:
    shown = watch.text(Line("model", "version 3", "green"), NOW).plain
    assert shown.endswith("model        version 3")
    assert shown[2] == shown[5] == ":"


def test_the_board_follows_the_counter_the_training_and_the_model() -> None:
    board = Board(5)
    for event in (completions(6, 7), completions(3), progress("started"), EPOCH):
        board.apply(happening(event))
    assert (board.completions, board.training, board.epoch) == (7, "count-40", EPOCH)
    for event in (model(3, 4), model(2, 3), progress("published", version=3)):
        board.apply(happening(event))
    assert board.model is not None
    assert (board.model.version, board.training, board.epoch) == (3, "", None)


def test_the_board_begins_again_with_a_new_generation_and_ignores_an_old_one() -> None:
    board = Board(5)
    for event in (completions(9), completions(1, 2, generation=2), completions(10)):
        board.take(event)
    assert (board.generation, board.completions) == (2, 2)


def test_the_board_keeps_its_height_and_its_width() -> None:
    empty, full = Board(5), Board(5)
    for event in (completions(7), EPOCH, model(), *[prediction()] * 9):
        full.take(event)
    full.take(Letter("a/0@0", "invalid", "x"))
    assert len(drawn(empty)) == len(drawn(full))
    assert max(map(len, drawn(full))) <= 80
    assert "●●○○○ 2/5" in drawn(full)[1]


def drawn(board: Board) -> list[str]:
    console = Console(width=80, file=io.StringIO())
    with console.capture() as capture:
        console.print(draw(board, {"streams": True, "trainer": False}))
    return capture.get().rstrip("\n").split("\n")
