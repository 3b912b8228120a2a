"""What is wrong by a status: what, since when, and what to do by docs/operations.md."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.troubles import Lasting, Trouble, troubles

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
EARLIER = "2026-05-04T11:58:00Z"
OPERATIONS = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


def ready(**more: Any) -> dict[str, Any]:
    dependencies = {
        name: {"ok": True, "detail": "", "since": EARLIER} for name in ("kafka", "store")
    }
    known = {"ready": True, "started_at": EARLIER, "stuck": None, "dependencies": dependencies}
    return known | more


def waiting(dependency: str, since: str = EARLIER) -> dict[str, Any]:
    state = ready(ready=False)
    state["dependencies"][dependency] = {"ok": False, "detail": "refused.", "since": since}
    return state


def status(**parts: Any) -> dict[str, Any]:
    """All is well but for these parts."""
    serving = {
        "version": 12, "revision": 14, "trained_at": EARLIER, "held_since": None,
        "metrics": {"topic_difficulty": {"log_loss": 0.6}},
    }  # fmt: skip
    training = {
        "request_id": "count-40", "state": "published", "reason": None, "ended_at": EARLIER,
    }  # fmt: skip
    return {
        "counter": {"completions": 42, "since_last_request": 2, "every": 5},
        "windows": {"counted": 42, "gaps": 0},
        "last_training": training,
        "serving": serving,
        "accuracy": [],
        "model_files": {"versions": 12},
        "lag": {"retrace-record": 0, "retrace-trainer": None},
        "dead_letters": 3,
        "services": {"streams": ready(), "inference": ready(version=12, revision=14)},
        "completions_before": 40,
        "last_hour": {"rows": 400, "log_loss": 0.58, "accuracy": 0.7},
        "recent_letters": [],
        "feed": {"reached": True},
        **parts,
    }


def scored(source: str, rows: int) -> dict[str, Any]:
    return {"window_start": EARLIER, "source": source, "arm": "champion", "rows": rows}


def serving(**more: Any) -> dict[str, Any]:
    return {**status()["serving"], **more}


def ended(state: str, **more: Any) -> dict[str, Any]:
    return {**status()["last_training"], "state": state, **more}


AWAY = {"error": "connection refused"}
WRONG: dict[str, dict[str, Any]] = {
    "silent:trainer": {"services": {"trainer": {"ready": False, "error": "refused"}}},
    "away:kafka": {"services": {"streams": waiting("kafka")}},
    "away:store": {"services": {"streams": waiting("store")}, "counter": AWAY, "serving": AWAY},
    "away:tensorflow": {"services": {"trainer": waiting("tensorflow")}},
    "unread:store": {"counter": AWAY, "serving": AWAY},
    "unread:kafka": {"feed": AWAY},
    "unread:models": {"model_files": AWAY},
    "stuck:streams": {"services": {"streams": ready(stuck="no progress for 130 s")}},
    "lag:record": {"lag": {"retrace-record": 1001, "retrace-trainer": 5000}},
    "counts": {"windows": {"counted": 39, "gaps": 1}},
    "failed": {"last_training": ended("failed", reason="out of memory")},
    "rejected": {
        "last_training": ended("rejected", reason="worse by 0.02 nats"),
        "serving": serving(trained_at="2026-05-04T09:00:00Z"),
    },
    "no version": {"serving": None},
    "stale:inference": {"services": {"inference": ready(version=11, revision=13)}},
    "held": {"serving": serving(held_since=EARLIER)},
    "worse": {"last_hour": {"rows": 50, "log_loss": 0.63, "accuracy": 0.6}},
    "defaults": {"accuracy": [scored("default", 9), scored("lstm", 20)]},
    "letters": {"recent_letters": [(NOW, "tasks/3@17", "invalid")]},
}


def test_all_is_well() -> None:
    assert troubles(status()) == []
    assert troubles({}) == []


@pytest.mark.parametrize("name", WRONG)
def test_each_trouble_is_told_alone_and_as_a_sentence(name: str) -> None:
    (found,) = troubles(status(**WRONG[name]))
    assert found.name == name
    for words in (found.what, found.todo):
        assert words.endswith(".")
        assert ".." not in words
        assert "None" not in words
    assert found.todo.count("`") % 2 == 0


@pytest.mark.parametrize("name", WRONG)
def test_what_to_do_is_a_section_of_the_operations_page(name: str) -> None:
    (found,) = troubles(status(**WRONG[name]))
    assert found.see in re.findall(r"^### (.+)$", OPERATIONS, flags=re.M)


@pytest.mark.parametrize(
    "parts",
    [
        {"last_training": ended("rejected", reason="worse by 0.02 nats")},
        {"serving": None, "counter": {"completions": 9, "since_last_request": 4, "every": 5}},
        {"serving": None, "counter": AWAY | {"x": 1}},
        {"last_hour": {"rows": 49, "log_loss": 0.9, "accuracy": 0.4}},
        {"last_hour": {"rows": 500, "log_loss": 0.615, "accuracy": 0.6}},
        {"accuracy": [scored("default", 2), scored("lstm", 20)]},
        {"lag": {"retrace-record": 1000}},
        {"services": {"inference": ready(version=12, revision=14, model_problem=None)}},
    ],
)
def test_what_is_no_trouble_yet_is_not_told(parts: dict[str, Any]) -> None:
    assert [each.name for each in troubles(status(**parts)) if each.name != "unread:store"] == []


def test_a_server_that_several_wait_for_is_told_once_since_the_first() -> None:
    services = {
        "streams": waiting("kafka", "2026-05-04T11:50:00Z"),
        "trainer": waiting("kafka", "2026-05-04T11:45:00Z"),
        "gateway": waiting("kafka"),
    }
    (found,) = troubles(status(services=services, lag=AWAY, windows=AWAY))
    assert found.what == "streams, trainer and gateway wait for Kafka: refused."
    assert found.since == datetime(2026, 5, 4, 11, 45, tzinfo=UTC)


def test_a_version_that_cannot_be_loaded_says_why() -> None:
    services = {"inference": ready(version=11, revision=13, model_problem="its hash differs")}
    (found,) = troubles(status(services=services))
    assert found.what == "inference: its hash differs."


SOON = Trouble("soon", "Soon.", None, "Wait.", "Lag grows", patience=60.0)
KNOWN = Trouble("known", "Known.", NOW - timedelta(hours=1), "Wait.", "Lag grows")


def test_what_does_not_say_since_when_is_seen_since_its_first_look() -> None:
    lasting = Lasting()
    looks = [NOW + timedelta(seconds=seconds) for seconds in (0, 30, 60)]
    told = [lasting.told([SOON, KNOWN], at) for at in looks]
    assert told[0] == told[1] == [KNOWN]
    assert [(each.name, each.since, each.seen) for each in told[2]] == [
        ("soon", NOW, True),
        ("known", KNOWN.since, False),
    ]


def test_what_was_gone_or_not_looked_at_begins_again() -> None:
    lasting = Lasting(gap=60.0)
    looks = [([SOON], 0), ([], 30), ([SOON], 40), ([SOON], 99), ([SOON], 160), ([SOON], 220)]
    told = [lasting.told(found, NOW + timedelta(seconds=at)) for found, at in looks]
    assert [bool(each) for each in told] == [False, False, False, False, False, True]


def test_an_error_is_told_without_its_number() -> None:
    (found,) = troubles(status(services={"trainer": {"error": "[Errno 111] Connection refused"}}))
    assert found.what == "trainer does not answer: Connection refused."
