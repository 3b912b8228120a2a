"""The log read back: what a range holds, training from it, and the store rebuilt while all runs."""

from __future__ import annotations

import json
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from ops import ranges, rebuild, replay, survey
from ops.cli import app
from schemas import topics
from schemas.errors import RetraceError, TrainingFailed, Unreachable, UsageError
from schemas.events import DataRange, OffsetRange, TaskCompleted, TrainRequest
from schemas.settings import Settings
from streams import declare, kafka, log
from streams import rebuild as store_rebuild
from streams.group_lags import GroupLags
from streams.numbering import Place, Publication, Stands
from streams.store import StoreWentBack
from tests.running import (
    environment,
    opened,
    publish,
    recording,
    services,
    settings_of,
    task,
    values_of,
)
from tests.servers import wait_until
from training import from_log

NOW = datetime.now(UTC)
DAY = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return settings_of(kafka, database_url, tmp_path)


@pytest.fixture
def declared(settings: Settings) -> Settings:
    declare.declare(settings)
    wait_until(lambda: _has_leaders(settings))
    return settings


def _has_leaders(settings: Settings) -> bool:
    """Topics that were just made may have no leader yet."""
    try:
        return len(log.bounds(settings)) == 6
    except Unreachable:
        return False


def put(settings: Settings, partition: int, minute: float, value: dict[str, Any] | bytes) -> None:
    """Publish one message, with the log's time given."""
    producer = Producer(kafka.client(settings))
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    at = round((DAY + timedelta(minutes=minute)).timestamp() * 1000)
    producer.produce(log.name(settings), value=raw, partition=partition, timestamp=at)
    assert producer.flush(30) == 0


def spans_of(found: tuple[OffsetRange, ...]) -> dict[int, tuple[int, int]]:
    return {span.partition: (span.first, span.end) for span in found if span.first < span.end}


def test_a_range_by_time_is_resolved_to_offsets(declared: Settings) -> None:
    for minute in range(10):
        put(declared, 0, minute, task(f"a{minute}"))
    put(declared, 3, 4.5, task("b"))
    since, until = DAY + timedelta(minutes=3), DAY + timedelta(minutes=6)
    assert spans_of(log.between(declared, since, until)) == {0: (3, 6), 3: (0, 1)}
    assert spans_of(log.between(declared, since, None)) == {0: (3, 10), 3: (0, 1)}
    assert spans_of(log.between(declared, None, since)) == {0: (0, 3)}
    assert spans_of(log.between(declared, DAY + timedelta(hours=1), None)) == {}
    assert spans_of(log.between(declared, None, None)) == {0: (0, 10), 3: (0, 1)}


def test_a_dry_run_says_what_is_left_out_and_changes_nothing(declared: Settings) -> None:
    first = task("a", user_id="u")
    for minute, value in enumerate([first, first, {**first, "is_correct": None}, b"not json"]):
        put(declared, 1, minute, value)
    put(declared, 4, 9, {**first, "user_id": "v"})
    put(declared, 4, 10, task("b"))
    result = CliRunner().invoke(app, ["replay", "--dry-run", "--json"], env=environment(declared))
    found = json.loads(result.stdout)
    assert (found["messages"], found["completions"]) == (6, 2)
    bad = {"invalid": 1, "not-json": 1}
    assert found["skipped"] == {"bad": bad, "duplicates": 1, "conflicts": 1, "forgotten": 0}
    assert [found["partitions"][p]["completions"] for p in (1, 4)] == [1, 1]
    assert found["partitions"][4] == {
        "partition": 4, "first": 0, "end": 2, "messages": 2, "completions": 1, "bad": 0,
        "duplicates": 0, "conflicts": 1, "forgotten": 0,
    }  # fmt: skip
    assert values_of(declared, topics.TRAIN_REQUEST) == []
    shown = CliRunner().invoke(
        app, ["replay", "--dry-run", "--offsets", "1@0-2"], env=environment(declared)
    )
    assert "2 messages, 1 completion. Left out: 1 duplicate." in shown.output


def test_a_range_is_read_once_and_nothing_beyond_it(declared: Settings) -> None:
    publish(declared, *[task(f"t{i}") for i in range(3000)])
    whole = log.bounds(declared)
    assert ranges.total(whole) == 3000
    some = [
        OffsetRange(partition=span.partition, first=span.end // 4, end=span.end // 2)
        for span in whole
    ]
    now = datetime.now(UTC)
    places = Counter((e.partition, e.offset) for b in log.read(declared, some, now) for e in b)
    assert set(places.values()) == {1}
    assert set(places) == {(s.partition, o) for s in some for o in range(s.first, s.end)}


def test_a_range_may_end_with_a_transactions_mark(declared: Settings) -> None:
    producer = Producer(kafka.client(declared, **{"transactional.id": declared.topic_prefix}))
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(log.name(declared), value=json.dumps(task("t")), partition=2)
    producer.commit_transaction(30)
    wait_until(lambda: ranges.total(log.bounds(declared)) == 2)
    held = survey.take(declared, log.bounds(declared), datetime.now(UTC))
    assert (held.completions, held.messages.total()) == (1, 1)


def test_a_range_that_the_log_does_not_hold_is_said(declared: Settings) -> None:
    put(declared, 0, 0, task("a"))
    beyond = [OffsetRange(partition=0, first=0, end=2)]
    with pytest.raises(RetraceError, match="Partition 0 of the log holds 0-1, not 0-2"):
        list(log.read(declared, beyond, NOW))


def asked(settings: Settings, **wish: str) -> TrainRequest:
    now = datetime.now(UTC)
    found = replay.resolve(settings, replay.Wish(**wish), now)
    return replay.request(found, replay.look(settings, found.spans, now), now)


def test_a_replay_request_names_the_range_in_offsets_and_its_completions(
    declared: Settings,
) -> None:
    for minute in range(20):
        put(declared, minute % 2, minute, task(f"a{minute}"))
    put(declared, 0, 21, b"{}")
    wanted = asked(declared, since="2026-03-01T00:05:00Z", until="2026-03-01T00:15:00Z")
    assert (wanted.trigger, wanted.completions, wanted.data.source) == ("replay", 10, "log")
    assert wanted.data.offsets is not None
    assert spans_of(wanted.data.offsets) == {0: (3, 8), 1: (2, 7)}
    with pytest.raises(UsageError, match="holds no completion"):
        asked(declared, since="2026-03-02")


def test_the_history_of_a_range_is_the_logs_and_not_the_stores(declared: Settings) -> None:
    """Nothing is recorded here at all."""
    for at in range(30):
        value = task(f"a{at}", user_id=f"u{at % 4}", actual_time_seconds=1.0 + at)
        put(declared, at % 4, at, value)
        put(declared, at % 4, at, value)
    put(declared, 5, 31, {**value, "is_correct": not value["is_correct"]})
    past = from_log.read(declared, asked(declared, offsets="0@0-,1@4-,5@0-"), threading.Event())
    assert past.numbers.tolist() == list(range(1, len(past) + 1))
    wanted = [at for at in range(30) if at % 4 == 0 or (at % 4 == 1 and at > 5)]
    assert past.seconds.tolist() == [1.0 + at for at in wanted]
    assert past.users.tolist() == [f"u{at % 4}" for at in wanted]
    began = [at.timestamp() for at in (NOW - timedelta(hours=1), datetime.now(UTC))]
    assert ((past.started_at > began[0]) & (past.completed_at <= began[1])).all()
    assert past.completed_at - past.started_at == pytest.approx(past.seconds)


def test_a_range_that_lost_completions_is_not_trained(declared: Settings) -> None:
    put(declared, 0, 0, task("a"))
    more = asked(declared).model_copy(update={"completions": 2})
    with pytest.raises(TrainingFailed, match="the range holds 1 completions, 2 when it was asked"):
        from_log.read(declared, more, threading.Event())


def test_a_range_by_time_alone_is_resolved_by_the_trainer(declared: Settings) -> None:
    for minute in range(10):
        put(declared, 0, minute, task(f"a{minute}"))
    data = DataRange(source="log", since=DAY + timedelta(minutes=4))
    wanted = asked(declared).model_copy(update={"data": data})
    assert len(from_log.read(declared, wanted, threading.Event())) == 6


def test_a_batch_of_the_generation_before_is_refused(settings: Settings) -> None:
    store = opened(settings)
    store.prepare(5)
    generation, _ = store.standing()
    stands = Stands("id", "t", {0: 0}, {0: 10}, generation)
    store.advance(stands)
    assert store_rebuild.begin(store.engine, "id", "t", {0: 0, 1: 7}) == 0
    for refused in (lambda: store.record([], stands), lambda: store.advance(stands)):
        with pytest.raises(StoreWentBack):
            refused()
    assert store.positions("id") == {0: 0, 1: 7}
    assert store.standing()[0] > generation
    store.engine.dispose()


def test_a_rebuilt_store_counts_by_the_cadences_of_before(settings: Settings) -> None:
    """So that the same numbers are the same requests; a change holds from the next number on."""
    store = opened(settings)
    store.prepare(5)
    tasks = [TaskCompleted.model_validate_json(json.dumps(task(f"a{i}"))) for i in range(12)]
    store.record([Publication(one, Place(0, at)) for at, one in enumerate(tasks)], None)
    store.set_cadence(4)
    store_rebuild.begin(store.engine, "id", "t", {0: 0})
    store.set_cadence(4)
    assert [(c.first_number, c.every) for c in store.cadences()] == [(1, 5), (13, 4)]
    store.set_cadence(3)
    assert [(c.first_number, c.every) for c in store.cadences()] == [(1, 3)]
    store.engine.dispose()


def test_a_store_that_is_read_for_long_is_left_as_it_is(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_rebuild, "LOCK_SECONDS", 1)
    store = opened(settings)
    store.prepare(5)
    before = store.standing()
    with store.engine.connect() as reader:
        reader.exec_driver_sql("SELECT * FROM completions").all()
        with pytest.raises(Unreachable, match="Nothing was changed"):
            store_rebuild.begin(store.engine, "id", "t", {0: 0})
    assert (store.standing(), store.positions("id")) == (before, {})
    store.engine.dispose()


def test_rebuilding_from_a_time_on_leaves_out_what_was_before(settings: Settings) -> None:
    """Also for a worker that stands before the range, and so is ahead of nothing."""
    with recording(settings) as store:
        for minute in range(10):
            put(settings, 0, minute, task(f"a{minute}"))
        wait_until(lambda: store.standing()[1] == 10)
        spans = log.between(settings, DAY + timedelta(minutes=6), None)
        running = rebuild.Rebuild(settings, spans)
        running.begin()
        running.watch(lambda _done: None)
        put(settings, 0, 11, task("later"))
        wait_until(lambda: store.standing()[1] == 5)
        assert running.facts("rebuilt")["recorded"] == 4
    running.engine.dispose()


class Producing:
    """Publishes completions one by one, beside duplicates, until told to stop."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.count, self.stop = settings, 0, threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        producer = Producer(kafka.client(self.settings, partitioner="murmur2_random"))
        while not self.stop.wait(0.002):
            value = task(f"new-{self.count}")
            for _ in range(1 + (self.count % 9 == 0)):
                producer.produce(
                    log.name(self.settings), value=json.dumps(value), key=value["user_id"]
                )
            self.count += 1
            producer.poll(0)
        assert producer.flush(30) == 0

    def __enter__(self) -> Producing:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


def requested(settings: Settings) -> set[str]:
    return {event["request_id"] for event in values_of(settings, topics.TRAIN_REQUEST)}


def counts(last: int) -> set[str]:
    return {f"count-{n}" for n in range(5, last + 1, 5)}


@pytest.fixture
def past(declared: Settings) -> Settings:
    """A log with all that a log may hold."""
    first = [task(f"old-{i}") for i in range(4000)]
    publish(declared, *first, *first[:150], b"no json", {**first[0], "is_correct": None})
    publish(declared, {**first[1], "actual_time_seconds": 77.0})
    return declared


def test_the_store_is_rebuilt_while_completions_arrive(past: Settings) -> None:
    store = opened(past)
    store.prepare(past.train_every)
    with services(past, "streams"), Producing(past) as more:
        wait_until(lambda: store.standing()[1] > 4000, 60)
        generation, before = store.standing()
        arguments = ["replay", "--rebuild-store", "--yes", "--json"]
        result = CliRunner().invoke(app, arguments, env=environment(past))
        assert result.exit_code == 0, result.output
        more.__exit__()
        wait_until(lambda: store.standing()[1] == 4000 + more.count, 60)
        wait_until(lambda: requested(past) == counts(store.standing()[1]), 60)
    found = json.loads(result.stdout)
    assert (found["state"], found["skipped"]["conflicts"]) == ("rebuilt", 1)
    assert found["before"] >= before
    assert found["generation"] > generation
    assert found["skipped"]["bad"] == {"not-json": 1, "invalid": 1}
    assert found["recorded"] + found["skipped"]["duplicates"] + 3 == found["messages"]
    assert found["skipped"]["duplicates"] >= 150
    with store.engine.connect() as connection:
        numbers = connection.exec_driver_sql("SELECT number FROM completions ORDER BY 1").scalars()
        assert list(numbers) == list(range(1, 4001 + more.count))
    store.engine.dispose()


def test_a_rebuild_that_nobody_records_is_resumed_later(past: Settings) -> None:
    store = opened(past)
    store.prepare(5)
    running = rebuild.Rebuild(past, log.bounds(past))
    running.begin()
    with pytest.raises(RetraceError, match=r"stands at 0 % of the log.*--resume"):
        rebuild.require_settled(running, log.bounds(past))
    assert rebuild.words(running.facts("rebuilding")).startswith("Still being rebuilt: 0 %")
    with recording(past):
        result = CliRunner().invoke(
            app, ["replay", "--rebuild-store", "--resume"], env=environment(past)
        )
    assert "Rebuilt: 4 000 completions. Of the range: 4 000 of 4 153 messages." in result.stdout
    running.engine.dispose()
    store.engine.dispose()


def test_nothing_is_rebuilt_without_the_right_word(past: Settings) -> None:
    with recording(past) as store:
        wait_until(lambda: store.standing()[1] == 4000)
        record, lags = "retrace-record", GroupLags(past)
        wait_until(lambda: lags.of({record: topics.TASK_COMPLETED}) == {record: 0})
        before = store.standing()
        result = CliRunner().invoke(
            app, ["replay", "--rebuild-store"], env=environment(past), input="yes\n"
        )
        assert (result.exit_code, store.standing()) == (1, before)
        assert isinstance(result.exception, RetraceError)
        partial = ["replay", "--rebuild-store", "--offsets", "0@0-", "--yes"]
        refused = CliRunner().invoke(app, partial, env=environment(past))
        assert isinstance(refused.exception, UsageError)
        assert store.standing() == before
