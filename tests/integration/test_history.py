"""What the trainer reads of a long store: whole learners, a bounded number of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import Engine, insert, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from schemas.history import History
from schemas.tables import completions
from streams import database, history
from streams.store import Store

ROWS, LEARNERS = 3_000, 150
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def row(number: int, user: str) -> dict[str, object]:
    at = BEGIN + timedelta(seconds=number)
    return {
        "task_id": f"task-{number}", "number": number, "user_id": user, "topic": "sums",
        "difficulty": "easy", "started_at": at, "completed_at": at + timedelta(seconds=5),
        "is_correct": number % 2 == 0, "actual_time_seconds": 5.0, "timed_out": False,
        "log_partition": 0, "log_offset": number,
    }  # fmt: skip


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = database.connect(database_url, "tests")
    database.migrate(made)
    users = np.random.default_rng(1).integers(0, LEARNERS, ROWS)
    rows = [row(at + 1, f"learner-{user}") for at, user in enumerate(users)]
    with made.begin() as connection:
        connection.execute(insert(completions), rows)
    yield made
    made.dispose()


def test_a_short_store_is_read_whole(engine: Engine) -> None:
    assert len(history.sampled(engine, ROWS, ROWS, 1)) == ROWS
    assert history.sampled(engine, 500, 1_000, 1).numbers.tolist() == list(range(1, 501))


def test_whole_learners_within_the_bound(engine: Engine) -> None:
    every, found = history.everything(engine, ROWS), history.sampled(engine, ROWS, 1_000, 1)
    counts = Counter(every.users)
    assert 900 <= len(found) <= 1_000 + max(counts.values())
    assert all(counts[user] == held for user, held in Counter(found.users).items())
    assert (np.diff(found.numbers) > 0).all()
    assert every.users[-1] in set(found.users)


def test_the_same_learners_remain_while_the_store_grows(engine: Engine) -> None:
    before = set(history.sampled(engine, ROWS - 5, 1_000, 1).users)
    after = set(history.sampled(engine, ROWS, 1_000, 1).users)
    assert len(before ^ after) <= 12
    assert before != set(history.sampled(engine, ROWS - 5, 1_000, 2).users)


def test_nothing_beyond_the_request_is_read(engine: Engine) -> None:
    found = history.sampled(engine, 2_000, 1_000, 1)
    assert found.numbers.max() == 2_000


def test_a_learner_of_everything_is_read_in_part(engine: Engine) -> None:
    with engine.begin() as connection:
        rows = [row(number, "diligent") for number in range(ROWS + 1, 3 * ROWS)]
        connection.execute(insert(completions), rows)
    found = history.sampled(engine, 3 * ROWS - 1, 1_000, 1)
    held = found.numbers[found.users == "diligent"]
    assert held.tolist() == list(range(3 * ROWS - 250, 3 * ROWS))
    assert len(set(found.users)) > 10


def newer(engine: Engine, after: dict[str, int], newest: int) -> tuple[int, int, History]:
    with engine.connect() as connection:
        return history.newer(connection, after, newest)


def test_what_is_newer_of_each_learner_and_the_generation(engine: Engine) -> None:
    generation = Store(engine).standing()[0]
    whole = history.of_learners(engine, ["learner-1", "learner-2"], ROWS)
    ones = whole.numbers[whole.users == "learner-1"]
    after = {"learner-1": int(ones[3]), "learner-2": 0, "nobody": 0}
    found_generation, _, found = newer(engine, after, ROWS)
    assert found_generation == generation
    assert found.numbers.tolist() == [
        n for n, user in zip(whole.numbers, whole.users, strict=True) if n > after[user]
    ]
    assert found.numbers[found.users == "learner-1"].tolist() == ones[4:].tolist()
    *_, few = newer(engine, {"learner-1": 0}, 2)
    assert few.numbers.tolist() == ones[-2:].tolist()
    assert few.seconds.tolist() == [5.0, 5.0]


def test_nothing_newer_still_tells_the_generation(engine: Engine) -> None:
    generation, _, found = newer(engine, {"nobody": 0}, 10)
    assert (generation, len(found)) == (Store(engine).standing()[0], 0)
    assert newer(engine, {}, 10)[0] == generation


def test_who_was_active_since_a_number_the_newest_first(engine: Engine) -> None:
    whole = history.everything(engine, ROWS)
    with engine.begin() as connection:
        nobody = text("UPDATE completions SET user_id = '' WHERE number = :last")
        connection.execute(nobody, {"last": ROWS})
        counted = text("UPDATE numbering SET last_number = :last")
        connection.execute(counted, {"last": ROWS})
        last = history.active(connection, history.LAST, 10)
        some = history.active(connection, ROWS - 3, 10)
        bounded = history.active(connection, 0, 3)
    assert last == (ROWS, [])
    assert some == (ROWS, whole.users[ROWS - 3 : ROWS - 1][::-1].tolist())
    assert bounded == some


def test_a_store_made_anew_is_read_by_the_same_connection(engine: Engine) -> None:
    reads = database.connect(
        engine.url.render_as_string(hide_password=False), "tests", pool=1, reads=True
    )
    assert len(newer(reads, {"learner-1": 0}, 10)[2]) == 10
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    with pytest.raises(ProgrammingError) as error:
        newer(reads, {"learner-1": 0}, 10)
    assert database.is_emptied(error.value)
    database.migrate(engine)
    generation, _, found = newer(reads, {"learner-1": 0}, 10)
    assert (generation, len(found)) == (Store(engine).standing()[0], 0)
    reads.dispose()


def test_connections_that_were_lost_are_all_given_up_at_the_first_error(engine: Engine) -> None:
    reads = database.connect(engine.url.render_as_string(hide_password=False), "lost", reads=True)
    with reads.connect(), reads.connect():
        pass
    with engine.begin() as connection:
        connection.execute(
            text(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE application_name = 'retrace-lost'"""
            )
        )
    with pytest.raises(DBAPIError) as error:
        newer(reads, {"learner-1": 0}, 10)
    assert error.value.connection_invalidated
    assert len(newer(reads, {"learner-1": 0}, 10)[2]) == 10
    reads.dispose()
