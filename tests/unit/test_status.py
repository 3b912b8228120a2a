"""The status is told in time, whatever its parts do."""

from __future__ import annotations

import threading

from gateway import status


def test_a_part_that_hangs_is_called_silent_and_holds_up_no_other() -> None:
    goes_on, ended = threading.Event(), threading.Event()

    def hangs() -> str:
        goes_on.wait(60)
        ended.set()
        return "too late"

    found = status.at_once({"lag": hangs, "counter": lambda: 5}, 0.05)
    assert found == {"lag": status.SILENT, "counter": 5}
    assert not ended.is_set()
    goes_on.set()
    assert ended.wait(60)


def test_without_a_limit_every_part_is_waited_for() -> None:
    released = threading.Event()
    found = status.at_once({"slow": lambda: released.wait(60), "quick": released.set})
    assert found == {"slow": True, "quick": None}


def test_nothing_to_ask_is_nothing() -> None:
    assert status.at_once({}, 1.0) == {}
