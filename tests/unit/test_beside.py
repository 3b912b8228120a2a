"""What the watch makes of an error that keeps Faust out of its group."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors

from schemas import topics
from schemas.settings import Settings
from streams.beside import CannotGoOn, Watch
from streams.consumption import Consumption


class Coordinator:
    """aiokafka's: its error stays until it is taken, and only then does it try again."""

    def __init__(self) -> None:
        self._pending_exception: errors.KafkaError | None = None

    def check_errors(self) -> None:
        found, self._pending_exception = self._pending_exception, None
        if found is not None:
            raise found


@pytest.fixture
def coordinator() -> Coordinator:
    return Coordinator()


@pytest.fixture
def watch(coordinator: Coordinator) -> Any:
    loop = SimpleNamespace(call_soon_threadsafe=lambda work, *args: work(*args))
    inner = SimpleNamespace(_coordinator=coordinator)
    thread = SimpleNamespace(_consumer=inner, thread_loop=loop)
    consumption = Consumption(Settings(), topics.COMPLETIONS, "g")
    made = Watch.__new__(Watch)
    made.faust = SimpleNamespace(consumer=SimpleNamespace(_thread=thread))  # type: ignore[assignment]
    made.count = SimpleNamespace(consumption=consumption)  # type: ignore[assignment]
    return made


def test_a_refusal_is_told_taken_and_over_once_it_does_not_come_again(
    watch: Any, coordinator: Coordinator
) -> None:
    coordinator._pending_exception = errors.GroupAuthorizationFailedError("g")
    watch._look_admitted()
    assert "does not let this user into the group g" in watch.count.consumption.refused[1]
    assert coordinator._pending_exception is None
    watch._look_admitted()
    assert watch.count.consumption.refused is None


def test_another_error_ends_the_worker(watch: Any, coordinator: Coordinator) -> None:
    coordinator._pending_exception = errors.InconsistentGroupProtocolError()
    with pytest.raises(CannotGoOn, match="InconsistentGroupProtocolError"):
        watch._look_admitted()
    assert watch.count.consumption.refused is None


def test_a_consumer_that_has_not_begun_is_let_be(watch: Any) -> None:
    watch.faust.consumer._thread._consumer = None
    watch._look_admitted()
    assert watch.count.consumption.refused is None
