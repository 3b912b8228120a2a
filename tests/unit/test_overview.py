"""What the overview says of a status, and what it finds wrong with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway import overview
from gateway.pages import overview_words as words
from gateway.pages.frame import Viewer
from gateway.troubles import troubles
from schemas.events import TrainingProgress

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WHO = Viewer(ZoneInfo("Asia/Tokyo"), "auto", dark=False)
UP = {"ok": True, "detail": "", "since": "2026-03-01T11:00:00Z"}
AWAY = {"ok": False, "detail": "refused", "since": "2026-03-01T11:58:00Z"}


def status(**parts: Any) -> dict[str, Any]:
    ready = {"ready": True, "dependencies": {"kafka": UP, "store": UP}}
    return {
        "services": {"streams": ready, "gateway": ready},
        "windows": {"gaps": 0},
        "counter": {"completions": 7},
        "lag": {"retrace-record": 3, "retrace-count": None},
        "serving": None,
        "last_training": None,
        "dead_letters": 0,
    } | parts


def serving(**more: Any) -> dict[str, Any]:
    scores = {"rows": 100, "log_loss": 0.6, "topic_difficulty": {"log_loss": 0.65}}
    return {
        "version": 4, "held_since": None, "trained_at": "2026-03-01T11:59:00Z",
        "completions": 1200, "metrics": scores,
    } | more  # fmt: skip


WORSE = serving(metrics={"rows": 100, "log_loss": 0.7, "topic_difficulty": {"log_loss": 0.65}})
FAILED = {"state": "failed", "ended_at": "2026-03-01T11:59:00Z"}


def test_nothing_is_wrong_with_a_whole_system() -> None:
    assert troubles(status()) == []
    assert troubles(status(serving=serving())) == []


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ({"services": {"error": "x"}}, "services' states cannot be read"),
        ({"services": {"streams": {"error": "refused"}}}, "streams does not answer"),
        ({"windows": {"gaps": 2}}, "2 numbers are not counted yet"),
        ({"lag": {"retrace-record": 6000}}, "6,000 messages wait for record"),
        ({"last_training": FAILED}, "last training failed"),
        ({"serving": serving(held_since="2026-03-01T11:00:00Z")}, "Version 4 is held"),
        ({"serving": WORSE}, "worse than topic × difficulty"),
        ({"dead_letters": 3}, "3 dead letters"),
    ],
)
def test_each_trouble_is_told_with_what_to_do(parts: dict[str, Any], what: str) -> None:
    (found,) = troubles(status(**parts))
    assert what in found.what
    assert found.todo.endswith(".")


def test_a_server_that_is_away_is_one_trouble_since_it_was_missed_first() -> None:
    later = AWAY | {"since": "2026-03-01T11:59:00Z"}
    services = {
        "streams": {"ready": False, "dependencies": {"store": AWAY}},
        "gateway": {"ready": False, "dependencies": {"store": later}},
    }
    (found,) = troubles(status(services=services))
    assert (found.what, found.since) == (
        "PostgreSQL is away",
        datetime(2026, 3, 1, 11, 58, tzinfo=UTC),
    )


def test_what_cannot_be_read_hides_nothing_else() -> None:
    lost = {"error": "refused"}
    names = ("windows", "counter", "lag", "serving", "last_training", "dead_letters")
    assert troubles(status(**dict.fromkeys(names, lost))) == []
    for told in (words.serving(lost, NOW), words.services(lost), words.failures(lost, WHO)):
        assert told == [("Cannot be read: refused", "bad")]
    assert "refused" in words.windows(lost)
    assert words.lag(lost, lost)[-1] == ("dead letters: not known", "warn")


def test_the_serving_version_is_told_beside_its_peers() -> None:
    lines = [text for text, _ in words.serving(serving(held_since="2026-03-01T11:00:00Z"), NOW)]
    assert lines == [
        "Version 4, held",
        "Trained 1 min ago on 1,200 completions.",
        "Log loss 0.600 (topic × difficulty 0.650) on 100 rows it had not learned.",
    ]


def progress(name: str, state: str, **more: Any) -> TrainingProgress:
    return TrainingProgress.model_validate({"request_id": name, "state": state, "at": NOW, **more})


def test_the_training_is_that_which_began_last() -> None:
    heard = [
        progress("count-5", "started"),
        progress("count-5", "published", version=1),
        progress("count-10", "started"),
        progress("count-10", "epoch", model="time", epoch=2, epochs=9, loss=0.5),
        progress("count-15", "superseded", reason="count-20 asks for more"),
    ]
    found = overview.newest_training(heard)
    assert [event.request_id for event in found] == ["count-10", "count-10"]
    assert words.training(found, WHO) == "count-10 is being trained: time, epoch 2 of 9."
    ended = overview.newest_training(heard[:2])
    assert words.training(ended, WHO) == "count-5: published, version 1 at 21:00:00."
    assert "every fifth" in words.training(overview.newest_training([]), WHO)


def test_empty_parts_say_what_will_appear() -> None:
    assert "ten completions" in words.serving(None, NOW)[1][0]
    assert "have been completed" in words.accuracy([], WHO)[0][0]
    empty = {"newest": [], "late": 0, "total": 0, "window_seconds": 60}
    assert "appear here" in words.windows(empty)
