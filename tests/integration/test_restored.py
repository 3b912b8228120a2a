"""A store that goes back to a backup: what was recorded since is numbered and counted anew."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from sqlalchemy import text

from schemas import topics
from schemas.events import Completions
from schemas.settings import Settings
from streams import counting, kafka
from streams.count import Count, rule
from streams.health import Health
from streams.patience import Patience
from streams.record import GROUP
from streams.store import Store
from tests.running import opened, publish, read_all, recording, settings_of, task
from tests.servers import wait_until

TABLES = ("completions", "numbering", "log_positions", "cadences")
MINUTES = 7


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return settings_of(kafka, database_url, tmp_path, window_seconds=60)


def back_up(store: Store) -> None:
    with store.engine.begin() as connection:
        for name in TABLES:
            connection.execute(text(f"CREATE TABLE kept_{name} AS TABLE {name}"))


def restore(store: Store) -> None:
    with store.engine.begin() as connection:
        for name in TABLES:
            connection.execute(text(f"TRUNCATE {name}"))
            connection.execute(text(f"INSERT INTO {name} SELECT * FROM kept_{name}"))


def publish_tasks(settings: Settings, first: int, last: int) -> None:
    """Each learner's tasks in a minute that differs from its neighbours', so that a number given
    to another task would fall into another window."""
    now = datetime.now(UTC)
    publish(
        settings,
        *(
            task(f"a{i}", completed_at=(now - timedelta(minutes=i % MINUTES)).isoformat())
            for i in range(first, last)
        ),
    )


def counted(settings: Settings, store: Store) -> counting.Counter:
    """What the count agent comes to, from the whole of ``completions`` and by healing."""
    patience = Patience(Health("tests", needs=()), threading.Event())
    count, state, read = Count(settings, store, patience), b"", 0

    def is_whole() -> bool:
        nonlocal state, read
        raws = read_all(settings, topics.COMPLETIONS)
        for raw in raws[read:]:
            state = count.handle(state, raw)
        read = len(raws)
        count.heal(state)
        counter = count.counter(state)
        return (counter.generation, len(counter.seen)) == store.standing()

    wait_until(is_whole)
    return count.counter(state)


def check_windows(settings: Settings, store: Store) -> None:
    counter = counted(settings, store)
    last = store.standing()[1]
    starts = Counter(rule(settings).start(item.completed_at) for item in store.numbered((1, last)))
    assert dict(counter.windows.counts) == dict(starts)


def committed(settings: Settings) -> int:
    name = settings.topic_prefix + topics.TASK_COMPLETED.name
    reader = kafka.consumer(settings, GROUP)
    try:
        places = [TopicPartition(name, partition) for partition in range(6)]
        return sum(max(place.offset, 0) for place in reader.committed(places, 10))
    finally:
        reader.close()


def record_and_back_up(settings: Settings, store: Store) -> int:
    """Ninety tasks, of which the backup holds forty; the generation they were numbered in."""
    publish_tasks(settings, 0, 40)
    wait_until(lambda: store.standing()[1] == 40)
    back_up(store)
    publish_tasks(settings, 40, 90)
    wait_until(lambda: store.standing()[1] == 90)
    return store.standing()[0]


def check_counted_anew(settings: Settings, store: Store, generation: int) -> None:
    publish_tasks(settings, 90, 120)
    wait_until(lambda: store.standing()[1] == 120)
    assert store.standing()[0] > generation
    check_windows(settings, store)


def test_a_store_restored_under_a_worker_counts_anew(settings: Settings) -> None:
    with recording(settings) as store:
        generation = record_and_back_up(settings, store)
        restore(store)
        check_counted_anew(settings, store, generation)


def test_a_store_restored_between_two_runs_counts_anew(settings: Settings) -> None:
    with recording(settings) as store:
        generation = record_and_back_up(settings, store)
        wait_until(lambda: committed(settings) == 90)
    between = opened(settings)
    restore(between)
    between.engine.dispose()
    with recording(settings) as store:
        check_counted_anew(settings, store, generation)


def test_a_counter_ahead_of_its_store_begins_a_generation_above_its_own(
    settings: Settings,
) -> None:
    store = opened(settings)
    store.prepare(5)
    with recording(settings):
        publish_tasks(settings, 0, 10)
        wait_until(lambda: store.standing()[1] == 10)
    generation = store.standing()[0]
    ahead = generation + 10**9
    item = {"number": 12, "completed_at": datetime.now(UTC)}
    seen = Completions.model_validate({"generation": ahead, "items": (item,)})
    state = counting.dump(counting.count(counting.Counter(), seen, rule(settings))[0])
    patience = Patience(Health("tests", needs=()), threading.Event())
    count = Count(settings, store, patience)
    assert count.heal(state) == 0
    assert store.standing() == (ahead + 1, 10)
    count.heal(state)
    assert count.heal(state) == 10
    store.engine.dispose()
