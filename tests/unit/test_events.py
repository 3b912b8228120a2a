"""Every event both ways, and everything that is no event."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec, events, topics
from schemas.codec import Bad, Raw

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "task_id": "t-1",
    "user_id": "ada",
    "topic": "fractions",
    "difficulty": "easy",
    "completed_at": "2026-03-01T12:00:00+02:00",
    "is_correct": True,
    "actual_time_seconds": 12.5,
}


def decode(value: bytes | None) -> events.TaskCompleted | Bad:
    raw = Raw("task-completed", 3, 7, b"ada", value)
    return codec.decode(events.TaskCompleted, topics.TASK_COMPLETED.max_bytes, raw, NOW)


def test_times_are_kept_in_utc() -> None:
    task = decode(json.dumps(GOOD).encode())
    assert isinstance(task, events.TaskCompleted)
    assert task.completed_at == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert b'"2026-03-01T10:00:00Z"' in task.model_dump_json().encode()


def test_start_is_told_or_computed() -> None:
    task = events.TaskCompleted.model_validate_json(json.dumps(GOOD))
    assert task.start() == task.completed_at - timedelta(seconds=12.5)
    told = events.TaskCompleted.model_validate_json(
        json.dumps(GOOD | {"started_at": "2026-03-01T09:00:00Z"})
    )
    assert told.start() == datetime(2026, 3, 1, 9, tzinfo=UTC)


def test_unknown_fields_are_ignored() -> None:
    assert isinstance(decode(json.dumps(GOOD | {"mood": "fine"}).encode()), events.TaskCompleted)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("actual_time_seconds", 0),
        ("actual_time_seconds", -1),
        ("actual_time_seconds", float("nan")),
        ("actual_time_seconds", float("inf")),
        ("actual_time_seconds", 86_400.5),
        ("actual_time_seconds", "12"),
        ("actual_time_seconds", True),
        ("task_id", ""),
        ("task_id", "x" * 129),
        ("task_id", "a\x00b"),
        ("user_id", None),
        ("user_id", 7),
        ("topic", "x" * 129),
        ("difficulty", "x" * 33),
        ("is_correct", None),
        ("is_correct", 1),
        ("is_correct", "true"),
        ("completed_at", "9999-01-01T00:00:00Z"),
        ("completed_at", "9999-12-31T23:59:59-10:00"),
        ("completed_at", "0001-01-01T00:00:01Z"),
        ("completed_at", "2026-03-01T12:05:01Z"),
        ("completed_at", "2026-03-01T12:00:00"),
        ("completed_at", "2026-03-01"),
        ("completed_at", 1_772_000_000),
    ],
)
def test_bad_values_are_named_without_data(field: str, value: object) -> None:
    bad = decode(json.dumps(GOOD | {field: value}).encode())
    assert isinstance(bad, Bad)
    assert (bad.stage, bad.cause) == ("validate", "invalid")
    assert field in bad.message or "before year 1" in bad.message
    assert "ada" not in bad.message


@pytest.mark.parametrize("field", sorted(GOOD))
def test_missing_fields_are_named(field: str) -> None:
    bad = decode(json.dumps({k: v for k, v in GOOD.items() if k != field}).encode())
    assert isinstance(bad, Bad)
    assert bad.message.startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (None, "empty"),
        (b"", "not-json"),
        (b"garbage", "not-json"),
        (b'{"task_id": "\xff"}', "not-json"),
        (json.dumps(GOOD | {"user_id": "\ud800"}).encode(), "not-json"),
        (b"[]", "invalid"),
        (b"x" * 1_048_576, "too-long"),
    ],
)
def test_what_is_no_event_is_a_value(value: bytes | None, cause: str) -> None:
    bad = decode(value)
    assert isinstance(bad, Bad)
    assert bad.cause == cause


@given(st.binary(max_size=400))
def test_no_bytes_raise(value: bytes) -> None:
    assert isinstance(decode(value), events.TaskCompleted | Bad)


identifiers = st.text(
    st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), min_size=1, max_size=128
)


@given(identifiers, identifiers, st.floats(0.001, 86_400), st.datetimes(), st.booleans())
def test_round_trip(
    task_id: str, user_id: str, seconds: float, at: datetime, is_correct: bool
) -> None:
    completed_at = at.replace(year=max(2, min(at.year, 2025)), tzinfo=UTC)
    task = events.TaskCompleted(
        task_id=task_id,
        user_id=user_id,
        topic="t",
        difficulty="d",
        completed_at=completed_at,
        is_correct=is_correct,
        actual_time_seconds=seconds,
    )
    message = codec.encode(topics.TASK_COMPLETED, task, "test")
    assert message.key == user_id.encode()
    assert decode(message.value) == task


def test_cloud_event_headers() -> None:
    task = events.TaskCompleted.model_validate_json(json.dumps(GOOD))
    headers = dict(codec.encode(topics.TASK_COMPLETED, task, "gateway").headers)
    assert headers == {
        "ce_id": b"t-1",
        "ce_source": b"/retrace/gateway",
        "ce_type": b"retrace.task-completed",
        "ce_specversion": b"1.0",
        "ce_time": b"2026-03-01T10:00:00Z",
        "content-type": b"application/json",
    }


def test_an_event_goes_to_its_own_topic_only() -> None:
    task = events.TaskCompleted.model_validate_json(json.dumps(GOOD))
    with pytest.raises(ValueError, match="not the event of train-request"):
        codec.encode(topics.TRAIN_REQUEST, task, "test")


def test_too_long_an_event_is_refused() -> None:
    items = tuple(events.NumberedCompletion(number=n, completed_at=NOW) for n in range(1, 10_001))
    batch = events.Completions(generation=1, items=items)
    assert len(batch.model_dump_json()) < topics.COMPLETIONS.max_bytes
    forecast = events.PredictionRequest(
        request_id="r",
        task_id="t",
        user_id="u",
        topic="x",
        difficulty="d",
        started_at=NOW,
        candidates=tuple(
            events.Candidate(topic="ł" * 128, difficulty="d" * 32) for _ in range(500)
        ),
    )
    assert len(forecast.model_dump_json().encode()) < topics.PREDICTION_REQUEST.max_bytes


def test_dead_letter_keeps_every_byte() -> None:
    raw = Raw("task-completed", 3, 7, b"\x00key", b"\xff\x00", [("trace", b"1"), ("empty", None)])
    letter = codec.dead_letter(Bad(raw, "decode", "not-json", "no"), "dead-letters", NOW)
    assert (letter.key, letter.value) == (raw.key, raw.value)
    assert list(letter.headers[:2]) == [("trace", b"1"), ("empty", None)]
    assert dict(letter.headers[2:]) == {
        "retrace.error.topic": b"task-completed",
        "retrace.error.partition": b"3",
        "retrace.error.offset": b"7",
        "retrace.error.stage": b"decode",
        "retrace.error.class": b"not-json",
        "retrace.error.message": b"no",
        "retrace.error.at": b"2026-03-01T12:00:00Z",
        "retrace.error.attempts": b"1",
    }


def test_an_abridged_letter_says_what_it_was() -> None:
    raw = Raw("task-completed", 3, 7, b"k", b"x" * 100_000)
    whole = codec.dead_letter(Bad(raw, "decode", "too-long", "no"), "dead-letters", NOW)
    part = codec.abridged(whole)
    assert (len(part.value or b""), part.key) == (codec.KEPT_BYTES, b"k")
    facts = dict(part.headers)
    assert facts["retrace.error.bytes"] == b"100000"
    assert facts["retrace.error.sha256"] == hashlib.sha256(b"x" * 100_000).hexdigest().encode()


@pytest.mark.parametrize(
    ("name", "correlation", "allowed"),
    [
        (b"reply.gateway-1", b"abc", True),
        (b"task-completed", b"abc", False),
        (b"reply.", b"abc", False),
        (b"reply.x\n", b"abc", False),
        (b"reply.x", b"", False),
        (b"reply.x", b"c" * 129, False),
    ],
)
def test_replies_go_to_reply_topics_only(name: bytes, correlation: bytes, allowed: bool) -> None:
    address = codec.reply_address([("reply-topic", name), ("correlation-id", correlation)])
    assert (address is not None) == allowed


@pytest.mark.parametrize(
    ("request_id", "trigger", "completions", "good"),
    [
        ("count-10", "count", 10, True),
        ("count-10", "count", 15, False),
        ("manual-a", "manual", 3, True),
        ("count-3", "manual", 3, False),
        ("replay-x", "replay", 3, True),
    ],
)
def test_request_ids_say_their_trigger(
    request_id: str, trigger: str, completions: int, good: bool
) -> None:
    values = {
        "request_id": request_id,
        "trigger": trigger,
        "completions": completions,
        "requested_at": "2026-03-01T12:00:00Z",
    }
    raw = Raw("train-request", 0, 0, None, json.dumps(values).encode())
    found = codec.decode(events.TrainRequest, 10_000, raw, NOW)
    assert isinstance(found, events.TrainRequest) == good
