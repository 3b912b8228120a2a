"""Which dead letters are meant, what can be sent back where, and what is shown of them."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import letters
from gateway.letters import ALREADY, IN_PART, NO_READER, Counts, Filter, Letter, Place, Plan
from ops import letter_whole, letters_table, when
from schemas import codec, topics
from schemas.codec import Bad, Raw
from schemas.errors import UsageError
from streams.counting import Intervals
from tests.unit import generated

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOURCE = Raw("my.task-completed", 3, 7, b"ada", b'{"a":1}', [("trace", b"1")])
HOSTILE = "\x1b[2J\u202e[bold red]x[/]\n"


def buried(source: Raw = SOURCE, at: datetime = NOW, place: tuple[int, int] = (2, 9)) -> Raw:
    bad = Bad(source, "validate", "invalid", "topic: Field required")
    return Raw("my.dead-letters", *place, *codec.dead_letter(bad, "my.dead-letters", at)[1:])


def letter(**more: object) -> Letter:
    return replace(letters.read(buried(), {}), **more)  # type: ignore[arg-type]


def test_a_letter_says_what_its_headers_say() -> None:
    assert letter() == Letter(
        place=Place(2, 9),
        topic="my.task-completed",
        source="3@7",
        stage="validate",
        cause="invalid",
        message="topic: Field required",
        at=NOW,
        attempts=1,
        size=7,
        whole_size="7",
        before=None,
        sent_back=False,
    )
    assert letters.read(buried(), {2: Intervals().add([8, 9])}).sent_back
    assert not letters.read(buried(), {2: Intervals().add([8]), 3: Intervals().add([9])}).sent_back


def test_a_letter_that_failed_again_names_the_one_before() -> None:
    back = codec.redriven(buried(), "my.task-completed")
    again = letters.read(buried(SOURCE._replace(headers=back.headers), place=(4, 0)), {})
    assert (again.attempts, again.before) == (2, "2@9")


@given(generated.headers, st.none() | st.binary(max_size=9))
def test_whatever_lies_in_the_topic_can_be_read_and_shown(
    headers: codec.Headers, value: bytes | None
) -> None:
    error_like = [(codec.ERROR_PREFIX + name, content) for name, content in headers]
    raw = Raw("dead-letters", 0, 0, value, value, [*headers, *error_like])
    found = letters.read(raw, {})
    assert letters.reason_against(found, "", again=False) == NO_READER
    shown = [*letters_table.table([found]), *letter_whole.lines(found, raw, None, bounded=True)]
    assert all(safe(line.plain) for line in shown)
    json.loads(letters_table.one_line(letter_whole.as_object(found, raw, None)))


def safe(text: str) -> bool:
    found = {unicodedata.category(c) for c in text.replace("\n", "")}
    return not found & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (Filter(), True),
        (Filter(topics=("task-completed", "my.task-completed")), True),
        (Filter(topics=("prediction",)), False),
        (Filter(cause="invalid"), True),
        (Filter(cause="inval"), False),
        (Filter(message="Field required"), True),
        (Filter(message="field"), False),
        (Filter(since=NOW), True),
        (Filter(since=NOW + timedelta(seconds=1)), False),
        (Filter(until=NOW), False),
        (Filter(until=NOW + timedelta(seconds=1)), True),
        (Filter(attempts=1), True),
        (Filter(is_open=True), True),
        (Filter(cause="invalid", message="no"), False),
    ],
)
def test_a_filter_takes_what_meets_all_of_it(wanted: Filter, taken: bool) -> None:
    assert wanted.takes(letter()) == taken


def test_a_filter_knows_attempts_what_was_sent_back_and_letters_without_a_time() -> None:
    assert not Filter(attempts=1).takes(letter(attempts=2))
    assert not Filter(is_open=True).takes(letter(sent_back=True))
    assert Filter().takes(letter(at=None))
    assert not Filter(since=NOW).takes(letter(at=None))
    assert not Filter(until=NOW).takes(letter(at=None))


def test_the_newest_come_by_time_and_those_without_one_last() -> None:
    early, late = letter(at=NOW - timedelta(1)), letter(at=NOW, place=Place(0, 1))
    found = sorted([early, letter(at=None), late], key=letters.order, reverse=True)
    assert [one.at for one in found] == [late.at, early.at, None]


@pytest.mark.parametrize("topic", [topic.name for topic in topics.REDRIVABLE])
def test_letters_go_back_to_topics_that_a_service_reads(topic: str) -> None:
    assert letters.reason_against(letter(topic="my." + topic), "my.", again=False) is None
    for other in (topic, "your." + topic, "my.my." + topic):
        assert letters.reason_against(letter(topic=other), "my.", again=False) == NO_READER


@pytest.mark.parametrize(
    "topic",
    ["", "reply.gateway", "dead-letters", "model-updated", "training-progress", "prediction-score",
     "letter-redriven", "retrace-count-state-changelog", "task-completed ", "other"],
)  # fmt: skip
def test_letters_go_to_no_other_topic(topic: str) -> None:
    for name in (topic, "my." + topic):
        assert letters.reason_against(letter(topic=name), "my.", again=True) == NO_READER


def test_what_was_sent_back_is_left_out_unless_it_is_asked_for_again() -> None:
    sent = letter(sent_back=True)
    assert letters.reason_against(sent, "my.", again=False) == ALREADY
    assert letters.reason_against(sent, "my.", again=True) is None


def test_what_was_kept_in_part_is_never_sent_back() -> None:
    long = Bad(SOURCE._replace(value=b"x" * 100_000), "decode", "too-long", "m")
    part = codec.abridged(codec.dead_letter(long, "my.dead-letters", NOW))
    found = letters.read(Raw("my.dead-letters", 0, 0, *part[1:]), {})
    assert (found.size, found.whole_size) == (codec.KEPT_BYTES, "100000")
    assert letters.reason_against(found, "my.", again=True) == IN_PART
    shown = "\n".join(
        line.plain for line in letter_whole.lines(found, buried(), None, bounded=True)
    )
    assert "of 100000 bytes; cannot be sent back" in shown


def test_a_plan_says_how_many_go_where_and_why_others_do_not() -> None:
    plan = Plan()
    for offset in range(7):
        plan.add(letter(place=Place(0, offset)), None)
    plan.add(letter(place=Place(1, 1), sent_back=True), ALREADY)
    assert plan.to_send == 7
    assert list(letters_table.plan_lines(plan, "would go back to")) == [
        "7 letters (49 bytes) would go back to my.task-completed: 0@0, 0@1, 0@2, 0@3, 0@4 …",
        f"1 letter (7 bytes) left out, {ALREADY}: 1@1",
    ]
    found = letters_table.plan_object(plan, dry_run=True)
    assert found["sent"][0]["letters"] == 7
    assert found["left_out"] == [{"reason": ALREADY, "letters": 1, "bytes": 7, "first": ["1@1"]}]
    assert list(letters_table.plan_lines(Plan(), "")) == ["Nothing to send back."]


def test_counts_are_made_for_a_bounded_number_of_classes() -> None:
    counts = Counts()
    for number in range(letters.MOST_CLASSES + 50):
        counts.add(letter(cause=f"class-{number}" * 100, sent_back=number == 0))
    assert len(counts.letters) == letters.MOST_CLASSES + 1
    assert counts.letters[("", "others")] == 50
    assert sum(counts.letters.values()) == letters.MOST_CLASSES + 50
    lines = list(letters_table.counts_lines(counts, 20))
    assert lines[0] == "150 letters, the newest 20 shown, 1 of them sent back"


def test_places_are_written_as_they_are_listed() -> None:
    assert str(Place.parse("3@17")) == "3@17"
    for text in ("", "3", "3@", "@7", "-1@2", "3@17\n", "a@b", "٣@1", "1@2@3"):
        with pytest.raises(UsageError):
            Place.parse(text)


def test_a_list_has_a_line_for_each_whatever_it_says() -> None:
    found = [letter(), letter(topic=HOSTILE, source=HOSTILE, cause=HOSTILE, message=HOSTILE * 99)]
    head, first, second = [line.plain for line in letters_table.table(found)]
    assert head.split() == ["LETTER", "FAILED", "AT", "FROM", "CLASS", "TRIES", "BYTES", "BECAUSE"]
    assert first.split()[:6] == [
        "2@9",
        "2026-03-01",
        "12:00:00Z",
        "my.task-completed",
        "3@7",
        "invalid",
    ]
    assert safe(second)
    assert "[bold red]" in second


def test_a_letter_is_shown_whole_or_to_a_bound() -> None:
    value = b"\x1b[31m" + b"x" * 9000
    headers = [("\x1b" + "n" * 300, b"v" * 2000), *[("h", None)] * 60]
    raw = buried(SOURCE._replace(key=b"\x9b" * 600, value=value, headers=headers))
    found = letters.read(raw, {})
    short = [line.plain for line in letter_whole.lines(found, raw, None, bounded=True)]
    assert short[-1] == "… and 4 909 more bytes: --whole, or --raw"
    assert sum(map(len, short)) < 20_000
    assert "           and 11 more headers" in short
    long = [line.plain for line in letter_whole.lines(found, raw, "then", bounded=False)]
    assert long[-1] == r"\x1b[31m" + "x" * 9000
    assert "sent back  then" in long
    assert all(map(safe, short + long))


def test_a_json_value_is_shown_indented_and_null_is_not_empty() -> None:
    def last(value: bytes | None) -> list[str]:
        raw = buried(SOURCE._replace(value=value))
        lines = letter_whole.lines(letters.read(raw, {}), raw, None, bounded=True)
        return [line.plain for line in lines]

    assert last(b'{"a":1}')[-2:] == ["value      7 bytes, JSON", '{\n  "a": 1\n}']
    assert last(b"{a}")[-2:] == ["value      3 bytes", "{a}"]
    assert last(None)[-1] == "value      null"
    assert last(b"")[-1] == "value      empty"


def test_a_letter_as_an_object_holds_every_byte() -> None:
    raw = buried(SOURCE._replace(key=b"\xff\x00", value=None, headers=[("a", b"1"), ("a", None)]))
    found = letter_whole.as_object(letters.read(raw, {}), raw, None)
    assert (found["key"], found["value"]) == ({"base64": "/wA="}, None)
    assert found["headers"][:2] == [["a", {"text": "1"}], ["a", None]]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-01T12:00:00Z", NOW),
        ("2026-03-01T13:00+01:00", NOW),
        ("2026-03-01T12:00", NOW),
        ("2026-03-01", NOW - timedelta(hours=12)),
        ("90m", NOW - timedelta(minutes=90)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
    ],
)
def test_times_are_absolute_or_so_long_ago(text: str, at: datetime) -> None:
    assert when.moment(text, NOW) == at


@pytest.mark.parametrize(
    "text", ["", "soon", "2 h", "-2h", "999999d" * 2, "999999d", "0001-01-01T00:00+23:00"]
)
def test_what_is_no_time_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        when.moment(text, NOW)
