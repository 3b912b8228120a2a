"""Record, on a real Kafka and a real PostgreSQL."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from confluent_kafka import Producer
from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError

from schemas import tables, topics
from schemas.events import TaskCompleted
from schemas.settings import Settings
from streams import declare, kafka, rows
from streams.numbering import Place, Publication, Stands
from streams.store import StoreWentBack
from tests.running import opened, publish, read_all, recording, settings_of, task, values_of
from tests.servers import wait_until


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return settings_of(kafka, database_url, tmp_path)


BAD: dict[str, bytes | dict[str, object] | None] = {
    "not JSON": b"not json",
    "not UTF-8": b'{"task_id": "\xff\xfe"}',
    "null": None,
    "field missing": {k: v for k, v in task("m").items() if k != "topic"},
    "zero seconds": task("z", actual_time_seconds=0),
    "negative seconds": task("n", actual_time_seconds=-1),
    "NaN seconds": task("nan", actual_time_seconds=float("nan")),
    "empty id": task("e", task_id=""),
    "long id": task("l", task_id="x" * 129),
    "NUL in an id": task("nul", task_id="a\x00b"),
    "NUL in a user": task("nul2", user_id="a\x00b"),
    "null outcome": task("o", is_correct=None),
    "year 9999": task("y", completed_at="9999-12-31T23:59:59Z"),
    "a megabyte": b"x" * 1_048_576,
}


def test_bad_input_is_dead_lettered_byte_for_byte_and_blocks_nothing(settings: Settings) -> None:
    with recording(settings) as store:
        publish(settings, task("before"), *BAD.values(), task("after"))
        wait_until(lambda: store.standing()[1] == 2)
        wait_until(lambda: len(read_all(settings, topics.DEAD_LETTERS)) == len(BAD))
    letters = read_all(settings, topics.DEAD_LETTERS)
    sent = [json.dumps(v).encode() if isinstance(v, dict) else v for v in BAD.values()]
    assert Counter(letter.value for letter in letters) == Counter(sent)
    for letter in letters:
        headers = dict(letter.headers)
        assert headers["retrace.error.topic"] == (settings.topic_prefix + "task-completed").encode()
        assert headers["retrace.error.attempts"] == b"1"
        assert headers["retrace.error.message"]
    causes = Counter(dict(letter.headers)["retrace.error.class"] for letter in letters)
    assert causes == {b"not-json": 2, b"empty": 1, b"too-long": 1, b"invalid": 10}


def test_a_message_that_only_its_compression_made_small_blocks_nothing(settings: Settings) -> None:
    huge = b" " * 10_000_000
    with recording(settings) as store:
        extra = {"message.max.bytes": 20_000_000, "compression.type": "gzip"}
        producer = Producer(kafka.client(settings, **extra))
        producer.produce(settings.topic_prefix + "task-completed", value=huge, key="k")
        assert producer.flush(30) == 0
        publish(settings, task("after"))
        wait_until(lambda: store.standing()[1] == 1)
        wait_until(lambda: len(read_all(settings, topics.DEAD_LETTERS)) == 1)
    assert read_all(settings, topics.DEAD_LETTERS)[0].value == huge


def test_duplicates_count_once_and_contradictions_are_conflicts(settings: Settings) -> None:
    first = task("a")
    with recording(settings) as store:
        publish(settings, first, first, {**first, "is_correct": not first["is_correct"]}, task("b"))
        wait_until(lambda: len(read_all(settings, topics.DEAD_LETTERS)) == 1)
        wait_until(lambda: store.standing()[1] == 2)
    letter = read_all(settings, topics.DEAD_LETTERS)[0]
    assert dict(letter.headers)["retrace.error.class"] == b"conflict"
    numbers = [i["number"] for e in values_of(settings, topics.COMPLETIONS) for i in e["items"]]
    assert sorted(numbers) == [1, 2]


def test_a_row_that_postgresql_refuses_fails_alone(settings: Settings) -> None:
    with recording(settings) as store:
        with store.engine.begin() as connection:
            rule = "ALTER TABLE completions ADD CHECK (user_id <> 'unlucky')"
            connection.execute(text(rule))
        good = [task(f"g{i}") for i in range(40)]
        publish(settings, *good[:20], task("bad", user_id="unlucky"), *good[20:])
        wait_until(lambda: store.standing()[1] == 40)
        wait_until(lambda: len(read_all(settings, topics.DEAD_LETTERS)) == 1)
    headers = dict(read_all(settings, topics.DEAD_LETTERS)[0].headers)
    assert headers["retrace.error.class"] == b"refused"


def test_the_next_batch_is_read_while_the_store_works(
    kafka: str, database_url: str, tmp_path: Path
) -> None:
    settings = settings_of(kafka, database_url, tmp_path, batch_size=1, kafka_partitions=1)
    first = opened(settings)
    first.prepare(settings.train_every)
    declare.declare(settings)
    publish(settings, task("held"), b"garbage", task("after"))
    with first.engine.begin() as holder:
        holder.execute(text("LOCK TABLE completions IN EXCLUSIVE MODE"))
        with recording(settings) as store:
            wait_until(lambda: len(read_all(settings, topics.DEAD_LETTERS)) == 1)
            assert store.standing()[1] == 0
            holder.rollback()
            wait_until(lambda: store.standing()[1] == 2)
    numbers = [i["number"] for e in values_of(settings, topics.COMPLETIONS) for i in e["items"]]
    assert numbers == [1, 2]
    first.engine.dispose()


def test_one_refused_row_of_a_thousand_fails_alone(settings: Settings) -> None:
    store = opened(settings)
    store.prepare(5)
    tasks = [task(f"row-{i}") for i in range(1000)]
    tasks[617] |= {"completed_at": "0001-01-01T00:00:01Z", "actual_time_seconds": 0.5}
    with store.engine.begin() as connection:
        connection.execute(
            text("ALTER TABLE completions ADD CHECK (completed_at > '1000-01-01'::timestamptz)")
        )
    outcome = store.record(_publications(tasks), Stands("id", "t", {0: 0}, {0: 1000}))
    assert [p.task.task_id for p, _ in outcome.refused] == ["row-617"]
    assert not outcome.advanced
    assert [number for number, _ in outcome.numbered.fresh] == list(range(1, 1000))
    assert store.standing()[1] == len(store.numbered((1, 1000))) == 999
    store.engine.dispose()


NAMES = [
    "tab\tin", "line\nfeed", "carriage\rreturn", "\r\n", "\\", "\\N", "\\.", "\n\\.\n", '"quoted"',
    "comma, 'single'", "\\t", " ", "\x01\x7f", "\u2028", "\ufeff", "🦊" * 128, "%s {0} $1", "NULL",
]  # fmt: skip


def test_any_characters_are_stored_as_they_are(settings: Settings) -> None:
    store = opened(settings)
    store.prepare(5)
    tasks = [task(f"{i}{name}"[:128], user_id=name, topic=name) for i, name in enumerate(NAMES)]
    store.record(_publications(tasks), None)
    query = text("SELECT task_id, user_id, topic FROM completions ORDER BY number")
    with store.engine.connect() as connection:
        rows = connection.execute(query).all()
    assert [tuple(row) for row in rows] == [
        (each["task_id"], each["user_id"], each["topic"]) for each in tasks
    ]
    store.engine.dispose()


EDGES: list[dict[str, object]] = [
    {"completed_at": "0001-01-01T00:00:01.000001Z", "started_at": "0001-01-01T00:00:00Z"},
    {"completed_at": "1999-12-31T23:59:59.999999Z", "actual_time_seconds": 0.1},
    {"completed_at": "9999-12-31T23:59:59.999999Z", "actual_time_seconds": 86_400},
    {"completed_at": "2026-11-25T12:00:00+05:30", "actual_time_seconds": 5e-324},
    {"is_correct": True, "timed_out": True},
    {"is_correct": False, "timed_out": None},
]


def test_every_value_is_stored_to_its_last_digit(settings: Settings) -> None:
    store = opened(settings)
    store.prepare(5)
    batch = _publications([task(f"e{i}", **edge) for i, edge in enumerate(EDGES)])
    batch[-1] = batch[-1]._replace(place=Place(2**31 - 1, 2**62))
    store.record(batch, None)
    columns = [tables.completions.c[name] for name in rows.COLUMNS if name != "started_at"]
    started = text("SELECT extract(epoch FROM started_at) FROM completions ORDER BY number")
    with store.engine.connect() as connection:
        stored = connection.execute(select(*columns).order_by(tables.completions.c.number)).all()
        starts = connection.execute(started).scalars().all()
    assert [tuple(row) for row in stored] == [
        (
            *(p.task.task_id, p.task.user_id, p.task.topic, p.task.difficulty, number),
            *(p.task.completed_at, p.task.is_correct, p.task.actual_time_seconds),
            *(bool(p.task.timed_out), p.place.partition, p.place.offset),
        )
        for number, p in enumerate(batch, 1)
    ]
    since_1970 = [p.task.start() - datetime(1970, 1, 1, tzinfo=UTC) for p in batch]
    assert starts == [Decimal(each // timedelta(microseconds=1)) / 10**6 for each in since_1970]
    store.engine.dispose()


def test_a_second_start_goes_on_where_the_store_stands(settings: Settings) -> None:
    with recording(settings) as store:
        publish(settings, *[task(f"a{i}") for i in range(30)])
        wait_until(lambda: store.standing()[1] == 30)
    publish(settings, *[task(f"b{i}") for i in range(10)])
    with recording(settings) as store:
        wait_until(lambda: store.standing()[1] == 40)
    items = [i["number"] for e in values_of(settings, topics.COMPLETIONS) for i in e["items"]]
    assert sorted(items) == list(range(1, 41))


def test_an_emptied_store_reads_the_log_again_as_a_new_generation(settings: Settings) -> None:
    with recording(settings) as store:
        publish(settings, *[task(f"a{i}") for i in range(25)])
        wait_until(lambda: store.standing()[1] == 25)
        generation = store.standing()[0]
        with store.engine.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))

        def rebuilt() -> bool:
            try:
                return store.standing()[1] == 25
            except ProgrammingError:  # the tables are not there again yet
                return False

        wait_until(rebuilt)
        assert store.standing()[0] > generation


def test_a_store_that_went_back_is_noticed_before_anything_is_numbered(settings: Settings) -> None:
    store = opened(settings)
    store.prepare(5)
    later = Stands("topic-id", "task-completed", {0: 10}, {0: 11})
    with pytest.raises(StoreWentBack):
        store.record(_publications([task("a")]), later)
    store.engine.dispose()


def test_positions_never_move_back(settings: Settings) -> None:
    store = opened(settings)
    store.prepare(5)
    store.advance(Stands("id", "t", {}, {0: 10, 1: 4}))
    store.advance(Stands("id", "t", {}, {0: 7, 1: 6}))
    assert store.positions("id") == {0: 10, 1: 6}
    assert store.positions("another incarnation") == {}
    store.engine.dispose()


def test_a_resumed_zombie_changes_nothing(settings: Settings) -> None:
    store = opened(settings)
    store.prepare(5)
    raws = [task(f"z{i}") for i in range(10)]
    batch = _publications(raws)
    store.record(batch, Stands("id", "t", {0: 0}, {0: 10}))
    outcome = store.record(batch[:4], Stands("id", "t", {0: 0}, {0: 4}))
    assert [recorded.number for recorded in outcome.numbered.again] == [1, 2, 3, 4]
    assert store.standing()[1] == 10
    assert store.positions("id") == {0: 10}
    store.engine.dispose()


def test_the_cadence_changes_from_the_next_number_on(settings: Settings) -> None:
    store = opened(settings)
    store.prepare(5)
    store.record(_publications([task(f"c{i}") for i in range(12)]), None)
    store.set_cadence(5)
    store.set_cadence(4)
    assert [(c.first_number, c.every) for c in store.cadences()] == [(1, 5), (13, 4)]
    store.engine.dispose()


def test_the_reference_systems_queries_are_answered(settings: Settings) -> None:
    store = opened(settings)
    store.prepare(5)
    store.record(_publications([task(f"q{i}") for i in range(3)]), None)
    practised = text(
        "SELECT user_id, topic, difficulty, is_correct, actual_time_seconds, created_at "
        "FROM practice_tasks WHERE completed = TRUE"
    )
    tracker = text(
        "SELECT id, last_trained_at, n_samples_last_training, n_samples_since_training, "
        "model_version, metadata, created_at, updated_at FROM embedding_model_tracker"
    )
    with store.engine.connect() as connection:
        assert len(connection.execute(practised).all()) == 3
        row = connection.execute(tracker).one()
    assert (row.n_samples_last_training, row.n_samples_since_training) == (0, 3)
    store.engine.dispose()


def _publications(values: list[dict[str, object]]) -> list[Publication]:
    return [
        Publication(TaskCompleted.model_validate_json(json.dumps(value)), Place(0, offset))
        for offset, value in enumerate(values)
    ]
