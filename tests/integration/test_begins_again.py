"""Streams on topics that are taken away and made anew under it."""

from __future__ import annotations

from pathlib import Path

from schemas import topics
from streams import declare
from streams import kafka as edge
from tests.running import publish, services, settings_of, task, values_of
from tests.servers import wait_until


def test_streams_goes_on_when_its_topics_are_made_anew(
    kafka: str, database_url: str, tmp_path: Path
) -> None:
    settings = settings_of(kafka, database_url, tmp_path)

    def requested() -> set[str]:
        return {event["request_id"] for event in values_of(settings, topics.TRAIN_REQUEST)}

    with services(settings, "streams") as running:
        publish(settings, *[task(f"a{i}") for i in range(10)])
        wait_until(lambda: requested() == {"count-5", "count-10"}, 60)
        admin = edge.admin(settings)
        ours = [n for n in declare.partitions(admin) if n.startswith(settings.topic_prefix)]
        for future in admin.delete_topics(ours).values():
            future.result()
        log = running["streams"].log
        wait_until(lambda: "the topics were made anew" in log.read_text(), 60)
        running["streams"].await_ready()
        publish(settings, *[task(f"b{i}") for i in range(10)])
        wait_until(lambda: requested() >= {"count-15", "count-20"}, 60)
