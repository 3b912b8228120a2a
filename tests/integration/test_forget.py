"""A learner is forgotten: what goes, what stays, and what must not come back."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from gateway import learners
from gateway.tasks import Tasks
from ops import importer, replay, survey
from ops.cli import app
from schemas import topics
from schemas.settings import Settings
from schemas.tables import metadata
from streams import declare, erasure, forgetter, forgetting, history, known, log, rebuild, tails
from streams.forgetter import Forgetter
from streams.forgotten import LEARNER, Forgotten, seal, seal_task
from streams.health import Health
from streams.patience import Patience
from streams.predictions import Keeper
from streams.store import Store
from tests.integration.test_scores import keep, prediction
from tests.running import (
    environment,
    prepared,
    publish,
    read_all,
    recording,
    task,
    values_of,
)
from tests.servers import wait_until
from training import from_log

GONE = ("<script>alert('zoe')</script>", "🦊" * 128, "zoe")
SECRET = "a topic of hers alone"
KEPT = 12


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return prepared(kafka, database_url, tmp_path)


@pytest.fixture
def patience() -> Iterator[Patience]:
    made = Patience(Health("tests"), threading.Event())
    yield made
    made.stop.set()


def hers(at: int, **more: Any) -> dict[str, Any]:
    """A completion of one of those who will be forgotten; its id names her, as ids do."""
    user = GONE[at % 3]
    return task(f"{user[:20]}/{at}", **{"user_id": user, "topic": SECRET, **more})


def all_of_them() -> list[dict[str, Any]]:
    """Completions of the forgotten among those of others, in the log's order."""
    return [each for at in range(KEPT) for each in (hers(at), task(f"kept-{at}"))]


def forget(settings: Settings, user: str, *more: str) -> Any:
    """The command; its facts, or what it said where it failed."""
    given = ["forget", "--yes", "--json", *more, "--", user]
    result = CliRunner().invoke(app, given, env=environment(settings))
    return json.loads(result.stdout) if result.exit_code == 0 else result.exception


def traces_of(engine: Engine, *words: str) -> list[str]:
    """Every row of every table that holds any of these words."""
    with engine.connect() as connection:
        rows = [
            f"{name}: {row}"
            for name in metadata.tables
            for row in connection.execute(text(f"SELECT to_jsonb(t)::text FROM {name} t")).scalars()
        ]
    return [
        row for row in rows if any(json.dumps(word)[1:-1] in row or word in row for word in words)
    ]


def numbers(store: Store) -> list[tuple[int, datetime]]:
    return [(each.number, each.completed_at) for each in store.numbered((1, 10_000))]


def turn(settings: Settings, engine: Engine, patience: Patience) -> None:
    """What streams does now and then, at once."""
    with tails.reading(settings) as reader:
        Forgetter(settings, engine, patience, grace_seconds=0.0).turn(reader)


def on_topic(settings: Settings) -> set[str]:
    return {each["learner"] for each in values_of(settings, topics.LEARNER_FORGOTTEN)}


def record_all(settings: Settings) -> None:
    publish(settings, *all_of_them())
    with recording(settings) as store:
        wait_until(lambda: store.standing()[1] == 2 * KEPT)


def test_rows_are_nobodys_and_numbers_times_and_counts_stay(
    settings: Settings, store: Store, patience: Patience
) -> None:
    record_all(settings)
    engine, tasks = store.engine, Tasks(store.engine, 5)
    keeper = Keeper(settings, engine, patience)
    row = {"topic": "t", "difficulty": "d", "created_at": datetime.now(UTC)}
    for user in (*GONE, "user-1"):
        keep(keeper, prediction(f"p-{user[:9]}", user_id=user))
        assert tasks.issue({"task_id": f"i-{user[:9]}", "user_id": user, **row})
    before = numbers(store)
    assert len(traces_of(engine, *GONE, SECRET)) == KEPT + 6

    shown = CliRunner().invoke(app, ["forget", "--dry-run", "zoe"], env=environment(settings))
    assert "4 completions, 1 prediction, 1 issued task" in shown.stdout
    assert "the log: task-completed keeps its messages for ever" in shown.stdout
    refused = CliRunner().invoke(app, ["forget", "zoe"], input="yes\n", env=environment(settings))
    assert refused.exit_code == 1
    assert len(traces_of(engine, *GONE, SECRET)) == KEPT + 6

    for user in GONE:
        found = forget(settings, user)
        assert {name: found[name] for name in erasure.WHAT} == {
            "completions": 4, "predictions": 1, "issued_tasks": 1,
        }  # fmt: skip
    assert traces_of(engine, *GONE, SECRET) == []
    assert numbers(store) == before
    assert store.standing()[1] == 2 * KEPT
    assert len(history.everything(engine, 2 * KEPT)) == KEPT
    assert len(history.sampled(engine, 2 * KEPT, 6, 1)) > 0
    assert "" not in history.sampled(engine, 2 * KEPT, 6, 1).users
    assert "" not in learners.named(engine, "", 20)
    assert erasure.counts(engine, "user-1")["predictions"] == 1
    with engine.connect() as connection:
        done = connection.execute(text("SELECT count(*) FROM practice_tasks WHERE completed"))
        assert done.scalar_one() == KEPT
        audit = connection.execute(text("SELECT action, outcome FROM audit")).all()
    assert [tuple(line) for line in audit] == [("forget", "done")] * 3
    assert len(on_topic(settings)) == 3

    keep(keeper, prediction("later", user_id="zoe"), prediction("other", user_id="user-1"))
    assert not tasks.issue({"task_id": "later", "user_id": "zoe", **row})
    assert traces_of(engine, "later") == []
    assert erasure.counts(engine, "user-1")["predictions"] == 2
    again = forget(settings, "zoe")
    assert (again["forgotten_before"], again["completions"], again["predictions"]) == (True, 0, 0)
    assert "has nothing of that learner" in str(forget(settings, "Zoe"))
    assert "1 to 128 characters" in str(forget(settings, "x" * 129))
    assert len(on_topic(settings)) == 3


def test_what_comes_again_or_later_is_nobodys_and_counted_once(
    settings: Settings, store: Store
) -> None:
    record_all(settings)
    for user in GONE:
        forget(settings, user)
    before = numbers(store)
    with recording(settings):
        publish(settings, *all_of_them())  # the same, elsewhere in the log
        publish(settings, hers(3, user_id="user-1", task_id=hers(3)["task_id"]))
        publish(settings, hers(99), hers(99), hers(100, user_id="user-1", topic="t"))
        wait_until(lambda: store.standing()[1] == 2 * KEPT + 2)
        wait_until(lambda: len(read_all(settings, topics.DEAD_LETTERS)) == 1)
    (letter,) = read_all(settings, topics.DEAD_LETTERS)
    assert dict(letter.headers)["retrace.error.class"] == b"conflict"
    assert numbers(store)[: 2 * KEPT] == before
    assert [number for number, _ in numbers(store)] == list(range(1, 2 * KEPT + 3))
    assert traces_of(store.engine, "zoe", SECRET) == traces_of(store.engine, "zoe/100") == []
    importer.await_recorded(store.engine, [hers(1)["task_id"], "kept-1"], lambda _: None)


def test_a_list_before_its_rows_are_erased_claims_nothing(settings: Settings, store: Store) -> None:
    """A redelivery between the two is found under its id as it was."""
    record_all(settings)
    forgetting.add(store.engine, [entry("zoe")])
    with recording(settings):
        publish(settings, *all_of_them(), task("last"))
        wait_until(lambda: store.standing()[1] == 2 * KEPT + 1)
    assert read_all(settings, topics.DEAD_LETTERS) == []


def test_the_log_read_back_does_not_bring_them_back(
    settings: Settings, store: Store, patience: Patience
) -> None:
    record_all(settings)
    for user in GONE:
        forget(settings, user)
    now = datetime.now(UTC)
    found = replay.resolve(settings, replay.Wish(), now)
    held = replay.look(settings, found.spans, now)
    assert (held.completions, held.forgotten.total()) == (KEPT, KEPT)
    gone = known.Known().now(store.engine)
    past = from_log.read(settings, replay.request(found, held, now), threading.Event(), gone)
    assert (len(past), set(past.users) & set(GONE)) == (KEPT, set())
    everybody = survey.take(settings, found.spans, now)
    wanted = replay.request(found, everybody, now)  # asked for before they were forgotten
    assert len(from_log.read(settings, wanted, threading.Event(), gone)) == KEPT

    with recording(settings):
        first = {span.partition: 0 for span in log.bounds(settings)}
        topic_id = next(iter(_topic_ids(store)))
        rebuild.begin(store.engine, topic_id, log.name(settings), first)
        wait_until(lambda: store.standing()[1] == 2 * KEPT)
    assert traces_of(store.engine, *GONE, SECRET) == []


def test_a_backup_and_an_empty_store_get_the_list_back(
    settings: Settings, store: Store, patience: Patience
) -> None:
    record_all(settings)
    names = list(metadata.tables)
    with store.engine.begin() as connection:
        for name in names:
            connection.execute(text(f"CREATE TABLE kept_{name} AS TABLE {name}"))
    for user in GONE:
        forget(settings, user)
    with store.engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(names)}"))
        for name in names:
            columns = [each.name for each in metadata.tables[name].columns]
            listed = ", ".join(columns)
            into = "OVERRIDING SYSTEM VALUE " if name == "audit" else ""
            connection.execute(
                text(f"INSERT INTO {name} ({listed}) {into}SELECT {listed} FROM kept_{name}")
            )
            connection.execute(text(f"DROP TABLE kept_{name}"))
    assert len(traces_of(store.engine, *GONE, SECRET)) == KEPT
    turn(settings, store.engine, patience)
    assert traces_of(store.engine, *GONE, SECRET) == []
    assert len(numbers(store)) == 2 * KEPT

    with store.engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    store.prepare(5)
    with store.engine.begin() as connection:  # from the first row on
        rule = "ALTER TABLE completions ADD CHECK (topic <> :secret)"
        connection.execute(text(rule.replace(":secret", f"'{SECRET}'")))
    with recording(settings):
        wait_until(lambda: store.standing()[1] == 2 * KEPT)
    assert read_all(settings, topics.DEAD_LETTERS) == []

    elsewhere = settings.model_copy(update={"topic_prefix": f"new-{settings.topic_prefix}"})
    declare.declare(elsewhere)  # as a Kafka that was lost
    turn(elsewhere, store.engine, patience)
    assert on_topic(elsewhere) == on_topic(settings)
    assert len(on_topic(elsewhere)) == 3


def test_killed_between_list_and_rows_the_rest_is_done(
    settings: Settings, store: Store, patience: Patience
) -> None:
    record_all(settings)
    with store.engine.begin() as holder:
        holder.execute(text("SELECT 1 FROM completions WHERE user_id = 'zoe' FOR UPDATE"))
        argv = [sys.executable, "-m", "ops.cli", "forget", "--yes", "zoe"]
        process = subprocess.Popen(argv, env=environment(settings), stdout=subprocess.DEVNULL)
        wait_until(lambda: len(on_topic(settings)) == 1, 60)
        process.kill()
        process.wait(10)
    wait_until(lambda: not _others(store.engine))
    assert len(traces_of(store.engine, '"zoe"')) == 4
    turn(settings, store.engine, patience)
    assert traces_of(store.engine, '"zoe"') == []
    with store.engine.connect() as connection:
        assert known.entries(connection, datetime.now(UTC)) == []


def test_many_rows_go_in_batches_and_sql_hashes_as_python_does(engine: Engine) -> None:
    rows = 2 * erasure.BATCH + 7
    with engine.begin() as connection:
        connection.execute(
            text("""INSERT INTO completions SELECT 't-' || i, i, 'zoe', 't', 'd', now(), now(),
                TRUE, 2, FALSE, 0, i, now() FROM generate_series(1, :rows) AS i"""),
            {"rows": rows},
        )
        connection.execute(
            text("""INSERT INTO predictions SELECT i, 'champion', i, 'zoe', .5, 9, 9, 9, 's', 1,
                now(), NULL, NULL, CASE WHEN i % 2 = 0 THEN now() END, 't'
                FROM generate_series(1, :rows) AS i"""),
            {"rows": rows},
        )
    heard: list[tuple[str, int]] = []
    mine = entry("zoe")
    erasure.erase(engine, "zoe", mine.salt, lambda name, rows: heard.append((name, rows)))
    assert [rows for name, rows in heard if name == "completions"] == [erasure.BATCH] * 2 + [7]
    assert sum(rows for name, rows in heard if name == "predictions") == rows
    with engine.connect() as connection:
        query = text("SELECT task_id FROM completions WHERE number = 5001")
        assert connection.execute(query).scalar_one() == seal_task(mine.salt, "t-5001")
    assert list(erasure.names(engine, Forgotten.of([mine]))) == []


def entry(user: str) -> Any:
    salt = "0b" * 32
    values = {"learner": seal(salt, LEARNER, user), "salt": salt, "forgotten_at": datetime.now(UTC)}
    return forgetter.LearnerForgotten.model_validate(values)


def _topic_ids(store: Store) -> list[str]:
    with store.engine.connect() as connection:
        return list(connection.execute(text("SELECT topic_id FROM log_positions")).scalars())


def _others(engine: Engine) -> int:
    """Connections of the command, which the server may not know yet to be gone."""
    query = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'retrace-cli'")
    with engine.connect() as connection:
        return int(connection.execute(query).scalar_one())
