"""When a service is taken for one that makes no progress."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from streams import health as edge
from streams.health import Health, Stillness
from tests.servers import wait_until


class Slow:
    """A fact that is told only when ``ready``."""

    def __init__(self) -> None:
        self.asked, self.ready = threading.Event(), threading.Event()

    def __str__(self) -> str:
        self.asked.set()
        assert self.ready.wait(30)
        return "slow"


def answering() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "process_request" in thread.name]


def test_a_probe_that_hangs_up_leaves_no_trace(capfd: pytest.CaptureFixture[str]) -> None:
    health, fact = Health("tests"), Slow()
    server = edge.serve(health, "127.0.0.1", 0)
    health.note(slow=fact)
    with socket.create_connection(server.server_address[:2]) as probe:
        probe.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
        assert fact.asked.wait(30)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    fact.ready.set()
    wait_until(lambda: not answering())
    server.shutdown()
    server.server_close()
    assert capfd.readouterr().err == ""


def test_only_what_stays_the_same_for_too_long_stands_still() -> None:
    still = Stillness(30.0)
    assert not still.lasts({"p": 1}, 100.0)
    assert not still.lasts({"p": 1}, 130.0)
    assert still.lasts({"p": 1}, 130.5)
    assert not still.lasts({"p": 2}, 131.0)
    assert not still.lasts(None, 150.0)
    assert not still.lasts({"p": 2}, 170.0)
    assert not still.lasts(None, 300.0)
    assert not still.lasts(None, 400.0)


def test_the_first_reason_of_waiting_is_news() -> None:
    health = Health("tests")
    assert health.set("kafka", False, "refused")
    assert not health.set("kafka", False, "refused")
    assert not health.set("kafka", False, "away")
    assert health.set("kafka", True)
