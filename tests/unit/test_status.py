"""The status is told in time, whatever its parts do."""

from __future__ import annotations

import asyncio
import threading

from gateway import status
from gateway.status import SILENT, Status


def test_a_part_that_hangs_is_called_silent_and_holds_up_no_other() -> None:
    goes_on, begun = threading.Event(), list[str]()

    def hangs() -> str:
        begun.append("lag")
        goes_on.wait(60)
        return "late"

    async def asked() -> None:
        whole = Status({"lag": hangs, "counter": lambda: 5}, 0.05)
        for found in await asyncio.gather(whole.told(), whole.told(), whole.told()):
            assert (found["lag"], found["counter"]) == (SILENT, 5)
        assert begun == ["lag"]  # one thread waits, however many ask
        goes_on.set()
        whole.seconds = 60
        assert (await whole.told())["lag"] == "late"

    asyncio.run(asked())


def test_every_question_is_read_anew() -> None:
    read = iter(range(5))

    async def asked() -> list[int]:
        whole = Status({"counter": lambda: next(read)})
        return [(await whole.told())["counter"] for _ in range(3)]

    assert asyncio.run(asked()) == [0, 1, 2]


def test_without_a_limit_every_part_is_waited_for() -> None:
    released = threading.Event()
    found = status.at_once({"slow": lambda: released.wait(60), "quick": released.set})
    assert found == {"slow": True, "quick": None}
