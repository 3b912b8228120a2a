"""A broker whose groups don't take sessions as short as ours: each service says what to do."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ops.embedded_kafka import EmbeddedKafka
from ops.kafka_jars import kafka_libraries
from ops.machine import free_port
from ops.supervisor import Supervisor
from schemas import topics
from tests.running import Service, publish, services, settings_of, task, values_of
from tests.servers import START_SECONDS, wait_until

WORDS = "Kafka takes no session of 6 s. Let RETRACE_KAFKA_SESSION_SECONDS lie between"
NAMES = ("streams", "inference", "trainer")


class Unhurried(EmbeddedKafka):
    """Sessions take ten seconds at least."""

    def properties(self, data: Path) -> str:
        return super().properties(data) + "group.min.session.timeout.ms=10000\n"


@pytest.fixture
def unhurried() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="retrace-kafka-") as folder, Supervisor() as children:
        server = Unhurried(Path(folder), free_port(), libraries=kafka_libraries(print))
        server.prepare()
        children.start(server.process())
        wait_until(server.ready, START_SECONDS)
        yield server.bootstrap


def test_who_is_not_let_in_says_so_and_goes_on_trying(
    unhurried: str, database_url: str, tmp_path: Path
) -> None:
    settings = settings_of(unhurried, database_url, tmp_path, kafka_session_seconds=6.0)
    refused = [Service(name, settings) for name in NAMES]
    try:
        for service in refused:
            wait_until(partial(service.is_refused, WORDS), 60)
        assert [service.process.poll() for service in refused] == [None, None, None]
    finally:
        codes = [service.stop() for service in refused]
    assert codes == [0, 0, 0]
    logs = {service.name: service.log.read_text() for service in refused}
    for name, log in logs.items():
        assert log.count(WORDS) == 1, (name, log[-3000:])
        assert "Traceback" not in log, (name, log[-3000:])
    longer = settings.model_copy(update={"kafka_session_seconds": 10.0})
    with services(longer, *NAMES):
        publish(longer, *[task(f"a{number}") for number in range(5)])
        wait_until(lambda: len(values_of(longer, topics.TRAIN_REQUEST)) == 1, 60)
