"""Every event type through the codec and back, and every failure through dead letters and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas import codec, events, topics
from schemas.codec import Bad, Message, Raw
from tests.unit import generated

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FAR = datetime(9999, 12, 1, tzinfo=UTC)  # a clock for which nothing is ahead
TOPIC_OF = {topic.event: topic for topic in topics.ALL if topic.event is not None}
CLOUD_EVENT = ["ce_id", "ce_source", "ce_type", "ce_specversion", "ce_time", "content-type"]

words = st.text(generated.PLAIN, max_size=60) | st.text(generated.PLAIN, min_size=501, max_size=520)
raws = st.builds(
    Raw,
    topic=st.sampled_from([topic.name for topic in topics.ALL]),
    partition=st.integers(0, 100),
    offset=st.integers(0, 2**62),
    key=st.none() | st.binary(max_size=40),
    value=st.none() | st.binary(max_size=200),
    headers=generated.headers,
)
failures = st.tuples(st.sampled_from(["decode", "validate", "record"]), words)


def received(message: Message, headers: codec.Headers = ()) -> Raw:
    return Raw(message.topic, 0, 0, message.key, message.value, headers)


def decoded(event: events.Event, raw: Raw) -> events.Event | Bad:
    return codec.decode(type(event), TOPIC_OF[type(event)].max_bytes, raw, FAR)


def test_every_event_has_one_topic() -> None:
    assert set(TOPIC_OF) == set(events.ALL)


@pytest.mark.parametrize("kind", events.ALL)
@given(st.data(), generated.headers)
def test_every_event_comes_back(
    kind: type[events.Event], data: st.DataObject, headers: codec.Headers
) -> None:
    """The same event, whatever headers a producer sent or left out."""
    event = data.draw(generated.events_of(kind))
    message = codec.encode(TOPIC_OF[kind], event, "tests", prefix="p.")
    assert decoded(event, received(message)) == event
    assert decoded(event, received(message, headers)) == event
    assert json.loads(message.value or b"") == events.dump(event)
    again = codec.encode(TOPIC_OF[kind], event, "tests", prefix="p.")
    assert (again.key, again.value) == (message.key, message.value)


@given(generated.any_event(), st.sampled_from(["", "p."]))
def test_what_goes_round_the_value(event: events.Event, prefix: str) -> None:
    topic = TOPIC_OF[type(event)]
    message = codec.encode(topic, event, "tests", prefix=prefix)
    assert message.topic == prefix + topic.name
    assert message.key == (None if topic.key is None else getattr(event, topic.key).encode())
    assert [name for name, _ in message.headers] == CLOUD_EVENT
    headers = dict(message.headers)
    assert headers["ce_id"] == event.identity().encode()
    assert headers["ce_type"] == f"retrace.{topic.name}".encode()
    at = datetime.fromisoformat((headers["ce_time"] or b"").decode())
    assert at.utcoffset() == timedelta(0)


@given(generated.any_event(), st.dictionaries(st.text(generated.PLAIN), st.integers() | words))
def test_a_newer_producers_fields_are_ignored(
    event: events.Event, more: dict[str, int | str]
) -> None:
    values = events.dump(event)
    assume(not more.keys() & (values.keys() | type(event).model_fields.keys()))
    value = json.dumps(more | values | more).encode()
    assume(len(value) <= TOPIC_OF[type(event)].max_bytes)
    assert decoded(event, Raw("any", 0, 0, None, value)) == event


def own(headers: codec.Headers) -> list[tuple[str, bytes | None]]:
    return [header for header in headers if not header[0].startswith(codec.ERROR_PREFIX)]


def error_names(headers: codec.Headers) -> list[str]:
    return [name for name, _ in headers if name.startswith(codec.ERROR_PREFIX)]


@given(raws, st.lists(failures, min_size=1, max_size=4))
def test_a_dead_letter_survives_being_sent_back(
    first: Raw, tries: Sequence[tuple[str, str]]
) -> None:
    """Key, value and the producer's headers as they were; the errors are the last failure's."""
    raw = first
    for attempt, (stage, message) in enumerate(tries, 1):
        letter = codec.dead_letter(Bad(raw, stage, "c", message), "dead-letters", NOW)
        facts = dict(letter.headers)
        assert (letter.key, letter.value) == (first.key, first.value)
        assert own(letter.headers) == own(first.headers)
        assert len(error_names(letter.headers)) == len(set(error_names(letter.headers))) == 8
        assert facts["retrace.error.stage"] == stage.encode()
        assert facts["retrace.error.message"] == message[:500].encode()
        assert facts["retrace.error.offset"] == str(raw.offset).encode()
        assert facts["retrace.error.attempts"] == str(attempt).encode()
        raw = raw._replace(offset=raw.offset + 1, headers=letter.headers)


@given(raws, st.lists(st.integers(0, 2**62), min_size=1, max_size=4))
def test_a_redriven_letter_is_the_message_that_it_was_and_counts_on(
    first: Raw, offsets: Sequence[int]
) -> None:
    """Two headers more on the way; none of them piles up, and the next letter names the last."""
    raw, before = first, None
    for attempt, offset in enumerate(offsets, 1):
        letter = codec.dead_letter(Bad(raw, "decode", "c", "m"), "dead-letters", NOW)
        facts = codec.error_facts(letter.headers)
        assert (letter.key, letter.value) == (first.key, first.value)
        assert own(letter.headers) == own(first.headers)
        assert (facts["attempts"], facts.get("letter")) == (str(attempt), before)
        back = codec.redriven(Raw("dead-letters", 5, offset, *letter[1:]), first.topic)
        assert (back.topic, back.key, back.value) == (first.topic, first.key, first.value)
        assert list(back.headers) == [
            *own(first.headers),
            ("retrace.error.attempts", str(attempt).encode()),
            ("retrace.error.letter", f"5@{offset}".encode()),
        ]
        raw, before = first._replace(headers=back.headers), f"5@{offset}"


@pytest.mark.parametrize(
    "said", [None, b"", b"-1", b"1e3", b"x", b"\xff", b"1234567", "٣".encode()]
)
def test_attempts_that_no_letter_of_ours_says_are_none(said: bytes | None) -> None:
    headers = [("retrace.error.attempts", said), ("retrace.error.letter", b"1@x")]
    letter = codec.dead_letter(Bad(Raw("t", 0, 0, None, b"", headers), "s", "c", "m"), "d", NOW)
    facts = codec.error_facts(letter.headers)
    assert (facts["attempts"], facts.get("letter")) == ("1", None)


@given(raws, failures)
def test_a_dead_letter_fits_where_its_source_did(raw: Raw, failure: tuple[str, str]) -> None:
    stage, message = failure
    letter = codec.dead_letter(Bad(raw, stage, "c", message), "dead-letters", NOW)
    added = sum(len(name) + len(value or b"") for name, value in letter.headers)
    kept = sum(len(name) + len(value or b"") for name, value in own(raw.headers))
    assert added - kept < (topics.DEAD_LETTER_LIMIT - topics.SOURCE_LIMIT) // 4


@given(raws, st.binary(min_size=1, max_size=20))
def test_an_abridged_letter_keeps_all_but_the_end(raw: Raw, unit: bytes) -> None:
    value = unit * (codec.KEPT_BYTES // len(unit) + 1)
    letter = codec.dead_letter(
        Bad(raw._replace(value=value), "decode", "too-long", ""), "dead-letters", NOW
    )
    part = codec.abridged(letter)
    assert (part.topic, part.key) == (letter.topic, letter.key)
    assert value.startswith(part.value or b"")
    assert list(part.headers[: len(letter.headers)]) == list(letter.headers)
    again = codec.dead_letter(
        Bad(received(part)._replace(headers=part.headers), "decode", "c", ""), "dead-letters", NOW
    )
    assert own(again.headers) == own(raw.headers)
