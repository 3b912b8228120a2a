"""Trace context through the record loop, with spans and without."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text

from schemas import topics
from schemas.settings import Settings
from streams import kafka, traces
from streams.spans import Exporting
from streams.store import Store
from tests.running import read_all, recording, settings_of, task
from tests.servers import wait_until

CONTEXTS = [f"00-{n:032x}-{n:016x}-01" for n in range(1, 6)]


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return settings_of(kafka, database_url, tmp_path, kafka_partitions=1)


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    """What is exported while a test runs."""
    exporter = InMemorySpanExporter()
    traces.use(Exporting("tests", SimpleSpanProcessor(exporter)))
    yield exporter
    traces.use(None)


def published(settings: Settings, *values: bytes) -> None:
    """Each with a context of its own."""
    producer = Producer(kafka.client(settings))
    for value, context in zip(values, CONTEXTS, strict=False):
        name = settings.topic_prefix + topics.TASK_COMPLETED.name
        producer.produce(name, value=value, headers={traces.HEADER: context})
    assert producer.flush(30) == 0


def record(settings: Settings, *values: bytes) -> None:
    with recording(settings):
        published(settings, *values)
        wait_until(lambda: bool(read_all(settings, topics.COMPLETIONS)))


def _is_waiting(held: Store) -> bool:
    """Whether the first batch's transaction waits for the lock."""
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with held.engine.connect() as connection:
        return bool(connection.execute(query).scalar())


def good(name: str) -> bytes:
    return json.dumps(task(name)).encode()


def test_without_spans_a_batch_carries_its_newest_context(settings: Settings) -> None:
    record(settings, good("a"))
    (raw,) = read_all(settings, topics.COMPLETIONS)
    assert traces.carried(raw.headers) == CONTEXTS[0]


def test_a_dead_letter_has_the_context_that_it_came_with(
    settings: Settings, exported: InMemorySpanExporter
) -> None:
    with recording(settings):
        published(settings, b"garbage")
        wait_until(lambda: len(read_all(settings, topics.DEAD_LETTERS)) == 1)
    (letter,) = read_all(settings, topics.DEAD_LETTERS)
    found = [value for name, value in letter.headers if name == traces.HEADER]
    assert found == [CONTEXTS[0].encode()]


def test_a_batch_is_a_span_that_hangs_on_its_newest_and_links_the_others(
    settings: Settings, exported: InMemorySpanExporter
) -> None:
    with recording(settings) as held:
        with held.engine.begin() as connection:
            connection.execute(text("LOCK TABLE completions IN EXCLUSIVE MODE"))
            published(settings, good("first"))
            wait_until(lambda: _is_waiting(held))
            published(settings, *[good(name) for name in "abcd"])
        wait_until(lambda: held.standing()[1] == 5)
        wait_until(lambda: len(read_all(settings, topics.COMPLETIONS)) == 2)
    spans = exported.get_finished_spans()
    batch = max(spans, key=lambda span: len(span.links))
    assert batch.attributes is not None
    assert batch.attributes["messaging.batch.message_count"] == 4
    assert batch.parent is not None
    assert batch.parent.trace_id == 4
    assert [link.context.trace_id for link in batch.links] == [1, 2, 3]
    carried = traces.carried(read_all(settings, topics.COMPLETIONS)[-1].headers) or ""
    assert carried[3:52] == f"{4:032x}-{batch.context.span_id:016x}"


def test_a_task_begins_its_trace_and_goes_on_in_it(exported: InMemorySpanExporter) -> None:
    own = traces.of_task("a")
    with traces.span("POST", None, kind="server", root=own) as first:
        assert first is not None
        assert first[:52] == own[:52]
    with traces.span("PATCH", traces.of_task("a"), kind="server"):
        pass
    with traces.span("POST", CONTEXTS[0], kind="server", root=traces.of_task("b")):
        pass
    begun, further, foreign = exported.get_finished_spans()
    assert begun.parent is None
    assert further.parent is not None
    assert further.parent.span_id == begun.context.span_id
    assert further.context.trace_id == begun.context.trace_id
    assert foreign.context.trace_id == 1


def test_a_trace_that_is_not_sampled_stays_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    exporter = InMemorySpanExporter()
    traces.use(Exporting("tests", SimpleSpanProcessor(exporter)))
    try:
        for at in range(200):
            with traces.span("POST", None, root=traces.of_task(str(at))):
                pass
            with traces.span("PATCH", traces.of_task(str(at))):
                pass
    finally:
        traces.use(None)
    names = [span.name for span in exporter.get_finished_spans()]
    assert names.count("POST") == names.count("PATCH")
    assert 50 < names.count("POST") < 150
