"""Streams begins again where Faust would wait for ever."""

from __future__ import annotations

from pathlib import Path

from confluent_kafka import Producer

from schemas import topics
from schemas.settings import Settings
from streams import declare
from streams import kafka as edge
from streams.app import APP_ID, TABLE
from tests.running import publish, read_all, services, settings_of, task, values_of
from tests.servers import wait_until


def requested(settings: Settings) -> set[str]:
    return {event["request_id"] for event in values_of(settings, topics.TRAIN_REQUEST)}


def test_streams_goes_on_when_its_topics_are_made_anew(
    kafka: str, database_url: str, tmp_path: Path
) -> None:
    settings = settings_of(kafka, database_url, tmp_path, kafka_session_seconds=2)
    with services(settings, "streams") as running:
        publish(settings, *[task(f"a{i}") for i in range(10)])
        wait_until(lambda: requested(settings) == {"count-5", "count-10"}, 60)
        admin = edge.admin(settings)
        ours = [n for n in declare.partitions(admin) if n.startswith(settings.topic_prefix)]
        for future in admin.delete_topics(ours).values():
            future.result()
        log = running["streams"].log
        wait_until(lambda: "the topics were made anew" in log.read_text(), 60)
        running["streams"].await_ready()
        publish(settings, *[task(f"b{i}") for i in range(10)])
        wait_until(lambda: requested(settings) >= {"count-15", "count-20"}, 60)


def test_a_recovery_that_stands_still_begins_again(
    kafka: str, database_url: str, tmp_path: Path
) -> None:
    """A transaction's mark at the changelog's end is never delivered, so recovery waits for it."""
    settings = settings_of(kafka, database_url, tmp_path, kafka_session_seconds=2)
    with services(settings, "streams"):
        publish(settings, *[task(f"a{i}") for i in range(10)])
        wait_until(lambda: requested(settings) == {"count-5", "count-10"}, 60)
    changelog = f"{settings.topic_prefix}{APP_ID}-{TABLE}-changelog"
    ours = {"transactional.id": f"{settings.topic_prefix}tests"}
    producer = Producer(edge.client(settings, **ours))
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(changelog, key=b'"unknown"', value=b'""')
    producer.commit_transaction(30)
    with services(settings, "streams") as running:
        log = running["streams"].log
        wait_until(lambda: "the counter's recovery stands still" in log.read_text(), 90)
        later = Producer(edge.client(settings))
        later.produce(changelog, key=b'"unknown"', value=b'""')
        assert later.flush(30) == 0
        publish(settings, *[task(f"b{i}") for i in range(10)])
        wait_until(lambda: requested(settings) >= {"count-15", "count-20"}, 90)


def test_a_counter_that_stands_still_while_completions_wait_begins_again(
    kafka: str, database_url: str, tmp_path: Path
) -> None:
    """The mark of a transaction waits like a message that never came to the agent."""
    settings = settings_of(kafka, database_url, tmp_path, kafka_session_seconds=2)
    with services(settings, "streams") as running:
        publish(settings, *[task(f"a{i}") for i in range(10)])
        wait_until(lambda: requested(settings) == {"count-5", "count-10"}, 60)
        ours = {"transactional.id": f"{settings.topic_prefix}tests"}
        producer = Producer(edge.client(settings, **ours))
        producer.init_transactions(30)
        producer.begin_transaction()
        old = read_all(settings, topics.COMPLETIONS)[-1]
        producer.produce(settings.topic_prefix + topics.COMPLETIONS.name, old.value)
        producer.commit_transaction(30)
        log = running["streams"].log
        wait_until(lambda: "though completions wait" in log.read_text(), 90)
        running["streams"].await_ready()
        publish(settings, *[task(f"b{i}") for i in range(10)])
        wait_until(lambda: requested(settings) >= {"count-15", "count-20"}, 60)
