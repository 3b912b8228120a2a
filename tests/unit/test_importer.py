"""Importing: rows to events, ids that never change, and bad rows that fail alone."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops import importer
from schemas.errors import UsageError

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
HEADER = "user_id,topic,difficulty,timestamp,correct,response_time"
GOOD = "ann,fractions,easy,1700000000,1,12.5"


def parse(*rows: str, header: str = HEADER) -> importer.Rows:
    return importer.parse(io.StringIO("\n".join([header, *rows]) + "\n", newline=""), NOW)


def reasons(*rows: str, header: str = HEADER) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for row in parse(*rows, header=header).bad]


def test_a_row_is_a_completion_that_began_at_its_timestamp() -> None:
    (task,) = parse(GOOD).tasks
    assert (task.user_id, task.topic, task.difficulty) == ("ann", "fractions", "easy")
    assert task.start().timestamp() == 1_700_000_000
    assert task.completed_at.timestamp() == 1_700_000_012.5
    assert (task.is_correct, task.actual_time_seconds, task.timed_out) == (True, 12.5, None)


def test_optional_columns_are_read_and_unknown_ones_ignored() -> None:
    header = HEADER + ",censored,item_id,note"
    (task,) = parse(GOOD + ",1,7,anything", header=header).tasks
    assert task.timed_out is True


def test_the_same_rows_have_the_same_ids_and_equal_rows_different_ones() -> None:
    other = "bob,fractions,easy,1700000000,1,12.5"
    first, second = parse(GOOD, GOOD, other), parse(other, GOOD, GOOD)
    ids = [{task.task_id for task in rows.tasks} for rows in (first, second)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 3


def test_a_longer_file_keeps_the_ids_of_what_it_had() -> None:
    short, long = parse(GOOD), parse(GOOD, GOOD, "bob,fractions,easy,1700000099,0,3")
    assert short.tasks[0].task_id in {task.task_id for task in long.tasks}


def test_events_come_in_the_order_of_their_completion() -> None:
    rows = parse("a,t,easy,100,1,50", "b,t,easy,110,1,5", "c,t,easy,90,1,1")
    assert [task.user_id for task in rows.tasks] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("ann,t,easy,100,1,0", "response_time: Input should be greater than 0"),
        ("ann,t,easy,100,1,-3", "response_time: Input should be greater than 0"),
        ("ann,t,easy,100,1,86401", "response_time: Input should be less than or equal to 86400"),
        ("ann,t,easy,100,1,soon", "response_time is not a number"),
        ("ann,t,easy,100,1,nan", "response_time is not finite"),
        ("ann,t,easy,100,2,5", "correct is neither 0 nor 1"),
        ("ann,t,easy,yesterday,1,5", "timestamp is not a number"),
        ("ann,t,easy,1e300,1,5", "timestamp is not in Unix seconds"),
        ("ann,t,easy,4000000000,1,5", "timestamp: more than five minutes ahead of now"),
        (",t,easy,100,1,5", "user_id is empty"),
        ("ann,t,easy", "timestamp is empty"),
        (f"{'a' * 129},t,easy,100,1,5", "user_id: String should have at most 128 characters"),
    ],
)
def test_a_bad_row_is_told_with_its_line_and_reason(row: str, reason: str) -> None:
    rows = parse(GOOD, row, GOOD)
    assert [(bad.line, bad.reason) for bad in rows.bad] == [(3, reason)]
    assert len(rows.tasks) == 2


def test_a_missing_column_is_a_usage_error_that_names_the_columns() -> None:
    with pytest.raises(UsageError, match=r"columns difficulty, correct are missing. Needed: user"):
        parse(header="user_id,topic,timestamp,response_time")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"\x00\x01"])
def test_what_is_no_csv_file_is_a_usage_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.csv"
    file.write_bytes(content)
    with pytest.raises(UsageError):
        importer.load(file, NOW)


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        importer.load(tmp_path / "none.csv", NOW)


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text(f"{HEADER}\r\n{GOOD}\r\n", encoding="utf-8-sig")
    assert len(importer.load(file, NOW).tasks) == 1
