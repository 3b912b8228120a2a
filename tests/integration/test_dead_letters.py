"""Dead letters on a real Kafka: listed, shown, sent back, accepted, and back again."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.letterbox import Letterbox
from gateway.letters import ALREADY, IN_PART, NO_READER, Filter, Place
from gateway.redrive import REFUSED, Meant, Redrive
from ops.cli import app
from schemas import codec, topics
from schemas.codec import Bad, Headers, Message, Raw
from schemas.errors import RetraceError, Unreachable
from schemas.settings import Settings
from streams import declare, kafka
from streams.patience import Stopped
from tests.running import environment, read_all, recording, settings_of, task, values_of
from tests.servers import wait_until

HEADERS: Headers = [("trace", b"\x00\xff"), ("empty", b""), ("none", None), ("trace", b"2")]
GOOD = json.dumps(task("good", user_id="ada")).encode()
STILL_BAD = [b"\xff\x1b[2J", b"", None, json.dumps(task("x", is_correct=None)).encode()]


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return settings_of(kafka, database_url, tmp_path)


def name(settings: Settings, topic: topics.Topic = topics.TASK_COMPLETED) -> str:
    return settings.topic_prefix + topic.name


def send(settings: Settings, *messages: Message) -> None:
    kafka.Publisher(settings).publish(messages)


def bury(settings: Settings, topic: str, *values: bytes | None, key: bytes | None = b"ada") -> None:
    """As a service would that could not process these messages."""
    for offset, value in enumerate(values):
        bad = Bad(Raw(topic, 0, offset, key, value, HEADERS), "record", "refused", "an outage")
        letter = codec.dead_letter(bad, name(settings, topics.DEAD_LETTERS), datetime.now(UTC))
        send(settings, letter)


def own(raw: Raw) -> tuple[bytes | None, bytes | None, Headers]:
    """What the producer sent."""
    kept = [(n, v) for n, v in raw.headers if not n.startswith(codec.ERROR_PREFIX)]
    return raw.key, raw.value, kept


def attempts(settings: Settings) -> Counter[int]:
    letters = read_all(settings, topics.DEAD_LETTERS)
    return Counter(codec.attempts(codec.error_facts(letter.headers)) for letter in letters)


def test_the_fixed_is_accepted_and_the_still_bad_returns_byte_for_byte(settings: Settings) -> None:
    with recording(settings) as store:
        bad = [Message(name(settings), b"bob", value, HEADERS) for value in STILL_BAD]
        send(settings, *bad)
        wait_until(lambda: attempts(settings) == {1: 4})
        bury(settings, name(settings), GOOD)
        report = Redrive(Letterbox(settings), Meant()).send(threading.Event())
        assert {t: group.letters for t, group in report.sent.items()} == {name(settings): 5}
        wait_until(lambda: attempts(settings) == {1: 5, 2: 4} and store.standing()[1] == 1)
        again = Redrive(Letterbox(settings), Meant()).send(threading.Event())
        assert {reason: group.letters for reason, group in again.left_out.items()} == {ALREADY: 5}
        wait_until(lambda: attempts(settings) == {1: 5, 2: 4, 3: 4})
    assert store.standing()[1] == 1
    letters = read_all(settings, topics.DEAD_LETTERS)
    for value in STILL_BAD:
        tries = [own(letter) for letter in letters if letter.value == value]
        assert tries == [(b"bob", value, list(HEADERS))] * 3
    log = read_all(settings, topics.TASK_COMPLETED)
    assert len(log) == 4 + 5 + 4
    assert len({(raw.key, raw.partition) for raw in log}) == 2


def test_a_key_lands_where_its_producers_messages_do(settings: Settings) -> None:
    declare.declare(settings)
    keys = [f"learner-{n}".encode() for n in range(30)]
    send(settings, *[Message(name(settings), key, b"first", ()) for key in keys])
    for key in keys:
        bury(settings, name(settings), b"again", key=key)
    Redrive(Letterbox(settings), Meant()).send(threading.Event())
    places: dict[bytes | None, set[int]] = {}
    for raw in read_all(settings, topics.TASK_COMPLETED):
        places.setdefault(raw.key, set()).add(raw.partition)
    assert {len(found) for found in places.values()} == {1}
    assert len(set.union(*places.values())) == 6


def test_a_null_key_and_an_empty_one_stay_what_they_are(settings: Settings) -> None:
    declare.declare(settings)
    for key in (None, b""):
        bury(settings, name(settings), b"v", key=key)
    Redrive(Letterbox(settings), Meant()).send(threading.Event())
    found = read_all(settings, topics.TASK_COMPLETED)
    assert {raw.key for raw in found} == {None, b""}
    assert [own(raw)[2] for raw in found] == [list(HEADERS)] * 2


def test_a_run_that_was_stopped_is_gone_on_with(settings: Settings) -> None:
    declare.declare(settings)
    values = [str(n).encode() for n in range(1200)]
    prepared = name(settings, topics.DEAD_LETTERS)
    letters = [
        codec.dead_letter(Bad(Raw(name(settings), 0, 0, b"k", v), "s", "c", "m"), prepared,
                          datetime.now(UTC))
        for v in values
    ]  # fmt: skip
    send(settings, *letters)
    stop = threading.Event()
    with pytest.raises(Stopped):
        Redrive(Letterbox(settings), Meant()).send(stop, lambda done: stop.set())
    assert len(read_all(settings, topics.TASK_COMPLETED)) == 500
    report = Redrive(Letterbox(settings), Meant()).send(threading.Event())
    assert (report.to_send, report.left_out[ALREADY].letters) == (700, 500)
    assert [raw.value for raw in read_all(settings, topics.TASK_COMPLETED)] == values


def test_a_limit_means_the_same_letters_in_plan_and_sending(settings: Settings) -> None:
    declare.declare(settings)
    for n in range(12):
        bury(settings, name(settings), str(n).encode(), key=str(n).encode())
    limited = Redrive(Letterbox(settings), Meant(limit=3))
    plan, report = limited.plan(), limited.send(threading.Event())
    assert plan == report
    assert report.to_send == 3
    assert Redrive(Letterbox(settings), Meant(again=True)).plan().to_send == 12


def test_what_cannot_go_back_is_left_out_and_the_rest_goes(settings: Settings) -> None:
    declare.declare(settings)
    huge = os.urandom(topics.SOURCE_LIMIT + 1000)
    bury(settings, name(settings), b"small", huge)
    for topic in ("dead-letters", "reply.x", "model-updated"):
        bury(settings, settings.topic_prefix + topic, b"v")
    bury(settings, "task-completed", b"of another system")
    part = Bad(Raw(name(settings), 0, 0, b"k", b"x" * 100_000), "decode", "too-long", "m")
    dead = name(settings, topics.DEAD_LETTERS)
    send(settings, codec.abridged(codec.dead_letter(part, dead, datetime.now(UTC))))
    send(settings, Message(dead, b"k", b"by hand", [("x", b"y")]))
    report = Redrive(Letterbox(settings), Meant()).send(threading.Event())
    assert {t: group.letters for t, group in report.sent.items()} == {name(settings): 1}
    found = {reason: group.letters for reason, group in report.left_out.items()}
    assert found == {NO_READER: 5, IN_PART: 1, REFUSED: 1}
    assert {raw.value for raw in read_all(settings, topics.TASK_COMPLETED)} == {b"small"}
    noted = values_of(settings, topics.LETTER_REDRIVEN)
    assert len(noted) == 1


def test_letters_are_meant_by_place_too(settings: Settings) -> None:
    declare.declare(settings)
    bury(settings, name(settings), b"0", b"1", b"2")
    places = [Place(raw.partition, raw.offset) for raw in read_all(settings, topics.DEAD_LETTERS)]
    report = Redrive(Letterbox(settings), Meant(places=places[1:])).send(threading.Event())
    assert report.to_send == 2
    assert {raw.value for raw in read_all(settings, topics.TASK_COMPLETED)} == {b"1", b"2"}
    box = Letterbox(settings)
    beyond = Place(places[0].partition, 3)
    with pytest.raises(RetraceError, match=r"Offsets in partition \d: 0 to 2"):
        list(box.at([beyond]))
    with pytest.raises(RetraceError, match=r"Partitions: 0 to 5"):
        list(box.at([Place(6, 0)]))


def test_a_topic_that_was_made_anew_has_nothing_sent_back(settings: Settings) -> None:
    declare.declare(settings)
    bury(settings, name(settings), b"old")
    Redrive(Letterbox(settings), Meant()).send(threading.Event())
    edge, dead = kafka.admin(settings), name(settings, topics.DEAD_LETTERS)
    before = declare.topic_id(edge, dead)
    edge.delete_topics([dead], operation_timeout=60)[dead].result(60)
    wait_until(lambda: dead not in declare.partitions(edge))
    declare.declare(settings)
    wait_until(lambda: declare.topic_id(edge, dead) != before)
    bury(settings, name(settings), b"new")
    assert Redrive(Letterbox(settings), Meant()).plan().to_send == 1


def test_letters_of_an_older_system_can_be_read(settings: Settings) -> None:
    with pytest.raises(Unreachable, match=r"dead-letters is missing"):
        Letterbox(settings)
    dead = name(settings, topics.DEAD_LETTERS)
    declare.create(kafka.admin(settings), [(dead, topics.DEAD_LETTERS)], -1)
    wait_until(lambda: dead in declare.partitions(kafka.admin(settings)))
    bury(settings, name(settings), b"v")
    box = Letterbox(settings)
    assert [letter.attempts for letter, _ in box.matching(Filter(), box.spans)] == [1]


def run(settings: Settings, *arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(
        app, ["dead-letters", *arguments, "--json"], env=environment(settings)
    )
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_the_commands_tell_of_a_letter_from_its_failure_to_its_return(settings: Settings) -> None:
    with recording(settings):
        send(settings, Message(name(settings), b"a\x1b[31m", STILL_BAD[0], HEADERS))
        wait_until(lambda: attempts(settings) == {1: 1})
        listed = run(settings, "list", "--since", "5m", "--class", "not-json", "--open")
        (letter,) = listed["letters"]
        place = letter["letter"]
        assert (letter["topic"], letter["attempts"], listed["matched"]) == (name(settings), 1, 1)
        assert run(settings, "list", "--until", "2020-01-01")["matched"] == 0
        planned = run(settings, "redrive", "--topic", "task-completed", "--dry-run")
        assert planned["sent"][0]["first"] == [place]
        sent = run(settings, "redrive", place, "--yes")
        assert (sent["dry_run"], sent["sent"][0]["letters"]) == (False, 1)
        wait_until(lambda: attempts(settings) == {1: 1, 2: 1})
    (returned,) = run(settings, "list", "--open")["letters"]
    assert (returned["attempts"], returned["before"]) == (2, place)
    assert run(settings, "list", "--attempts", "1")["counts"][0]["sent_back"] == 1
    shown = run(settings, "show", returned["letter"])
    assert shown["headers"][: len(HEADERS)] == [
        ["trace", {"base64": "AP8="}], ["empty", {"text": ""}], ["none", None],
        ["trace", {"text": "2"}],
    ]  # fmt: skip
    assert run(settings, "show", place)["sent_back_at"] is not None
    raw = CliRunner().invoke(
        app, ["dead-letters", "show", place, "--raw"], env=environment(settings)
    )
    assert raw.stdout_bytes == STILL_BAD[0]
    text = CliRunner().invoke(app, ["dead-letters", "show", place], env=environment(settings))
    assert r"\xff\x1b[2J" in text.stdout
    assert "\x1b" not in text.stdout


@pytest.mark.parametrize(
    "arguments",
    [["redrive", "--all"], ["redrive", "--yes"], ["redrive", "1@1", "--all", "--yes"],
     ["show", "x"], ["show", "0@0", "--raw", "--json"], ["list", "--since", "soon"]],
)  # fmt: skip
def test_what_is_not_clear_is_wrong_usage_and_sends_nothing(
    settings: Settings, arguments: list[str]
) -> None:
    result = CliRunner().invoke(app, ["dead-letters", *arguments], env=environment(settings))
    assert isinstance(result.exception, RetraceError)
    assert result.exception.exit_code == 2
