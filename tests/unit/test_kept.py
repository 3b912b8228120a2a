"""What is the same for all viewers: computed once, for a while, one at a time."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gateway.kept import Kept


class Work:
    """Counts how often it is done; ends when it is let go; raises ``error`` where there is one."""

    def __init__(self) -> None:
        self.done, self.error = 0, None
        self.free = asyncio.Event()
        self.free.set()

    async def done_once(self) -> int:
        self.done += 1
        await self.free.wait()
        if self.error is not None:
            raise self.error
        return self.done


def test_many_ask_and_it_is_done_once() -> None:
    async def asked() -> None:
        work = Work()
        kept = Kept(work.done_once, 60.0)
        work.free.clear()
        asking = [asyncio.create_task(kept.get()) for _ in range(100)]
        await asyncio.sleep(0)
        work.free.set()
        assert await asyncio.gather(*asking) == [1] * 100
        assert await kept.get() == 1

    asyncio.run(asked())


def test_it_is_done_anew_when_it_is_old_or_forgotten() -> None:
    async def asked() -> None:
        old, kept = Kept(Work().done_once, 0.0), Kept(Work().done_once, 60.0)
        assert [await old.get(), await old.get()] == [1, 2]
        assert [await kept.get(), await kept.get()] == [1, 1]
        kept.forget()
        assert await kept.get() == 2

    asyncio.run(asked())


def test_what_was_forgotten_while_it_was_done_is_done_anew() -> None:
    async def asked() -> None:
        work = Work()
        kept = Kept(work.done_once, 60.0)
        work.free.clear()
        first = asyncio.create_task(kept.get())
        await asyncio.sleep(0)
        kept.forget()
        work.free.set()
        assert [await first, await kept.get()] == [1, 2]

    asyncio.run(asked())


def test_an_error_is_told_to_all_and_not_asked_for_again() -> None:
    async def asked() -> None:
        work = Work()
        work.error = OSError("away")
        kept = Kept(work.done_once, 60.0)
        for _ in range(3):
            with pytest.raises(OSError, match="away"):
                await kept.get()
        assert await kept.soon(1.0) is None
        assert (work.done, kept.known) == (1, False)

    asyncio.run(asked())


def test_who_leaves_does_not_end_it_for_the_others() -> None:
    async def asked() -> None:
        work = Work()
        kept = Kept(work.done_once, 60.0)
        work.free.clear()
        leaves, stays = (asyncio.create_task(kept.get()) for _ in range(2))
        await asyncio.sleep(0)
        leaves.cancel()
        work.free.set()
        assert await stays == 1
        assert work.done == 1

    asyncio.run(asked())


def test_who_is_in_a_hurry_gets_what_was_there_before() -> None:
    async def asked() -> None:
        work = Work()
        kept = Kept(work.done_once, 0.0)
        assert await kept.soon(5.0) == 1
        work.free.clear()
        assert await kept.soon(0.01) == 1
        work.free.set()
        assert await kept.get() == 2

    asyncio.run(asked())


def test_what_blocks_is_done_in_a_thread() -> None:
    async def asked() -> str:
        return await Kept(lambda: threading.current_thread().name, 1.0).get()

    assert asyncio.run(asked()) != threading.main_thread().name


def test_how_long_it_has_been_waited_for_is_told() -> None:
    async def asked() -> None:
        work = Work()
        kept = Kept(work.done_once, 60.0)
        work.free.clear()
        assert kept.waits == 0.0
        await kept.soon(0.01)
        assert kept.waits > 0.0
        work.free.set()
        await kept.get()
        assert kept.waits == 0.0

    asyncio.run(asked())
