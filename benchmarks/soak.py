"""`retrace bench soak`: the memory of every service while learners practise for hours.

Tasks are asked for and completed over HTTP at a steady rate, a training after every fifth, beside
some live pages. A leak shows as a slope of the second half, when caches are full.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from benchmarks import machine, pages, predict_prefill, reported, soak_table
from benchmarks.child import Tell
from benchmarks.ground import Servers, ground
from benchmarks.predict_services import services, train_once
from benchmarks.watch import Running
from ops.machine import free_port
from schemas.settings import Settings
from streams import database, declare
from streams.store import Store

TOPICS, AT_ONCE = 8, 50


@dataclass(frozen=True)
class Asked:
    """The command's options; ``rate`` in tasks a second."""

    seconds: float
    rate: float
    learners: int
    viewers: int
    period: float
    plot: Path | None = None


@dataclass
class Watched:
    """What was seen every ``period``: seconds since the start, and each service's MiB."""

    at: list[float] = field(default_factory=list)
    mib: dict[str, list[float]] = field(default_factory=dict)


def run(asked: Asked, *, as_json: bool) -> None:
    """Measure and report; draw, where that was asked for."""
    report = reported.run(
        lambda on: measure(asked, on, reported.teller()), soak_table.view, as_json=as_json
    )
    if asked.plot is not None:
        from benchmarks.soak_plot import draw

        draw(asked.plot, report)


def measure(asked: Asked, on: Servers, tell: Tell) -> dict[str, Any]:
    """The object that is printed."""
    facts = machine.facts()
    with ground(on, 6) as own:
        settings = own.model_copy(update={f"{name}_port": free_port() for name in pages.SERVICES})
        declare.declare(settings)
        store = Store(database.connect(settings.database_url.get_secret_value(), "bench"))
        store.prepare(settings.train_every)
        predict_prefill.prefill(store, asked.learners, pages.LONGEST)
        with services(on, settings, pages.SERVICES) as running:
            train_once(settings, running)
            with _looking(settings, asked.viewers), _watching(running, asked, tell) as watched:
                told = asyncio.run(Learners(asked, settings).practise())
        recorded = store.standing()[1]
        store.engine.dispose()
    return {
        "bench": "soak",
        "machine": facts,
        "servers": on.kinds,
        "asked": asdict(asked) | {"plot": asked.plot and str(asked.plot)},
        **told,
        "recorded": recorded,
        "services": {name: of(watched.at, mib) for name, mib in watched.mib.items()},
        "seconds": watched.at,
        "mib": watched.mib,
    }


def of(at: Sequence[float], mib: Sequence[float]) -> dict[str, float]:
    """PURE: a service's MiB at half time, at the end and at most, and MiB an hour between the first
    two, by least squares."""
    half = len(at) // 2
    slope = np.polyfit(at[half:], mib[half:], 1)[0] if len(at) - half > 1 else 0.0
    return {
        "half": round(mib[half], 1),
        "end": round(mib[-1], 1),
        "peak": round(max(mib), 1),
        "mib_per_hour": round(3600 * float(slope), 2),
    }


@dataclass
class Learners:
    """Those who practise, each a task at a time; in an open loop, as far as ``AT_ONCE`` goes."""

    asked: Asked
    settings: Settings
    completed: int = 0
    failed: int = 0

    async def practise(self) -> dict[str, int]:
        """Until the time is over; how many tasks were completed, and how many calls failed."""
        base = f"http://127.0.0.1:{self.settings.gateway_port}"
        begin, at_once = time.monotonic(), asyncio.Semaphore(AT_ONCE)
        async with (
            httpx.AsyncClient(base_url=base, trust_env=False, timeout=30) as http,
            asyncio.TaskGroup() as group,
        ):
            for turn in count():
                due = begin + turn / self.asked.rate
                if due > begin + self.asked.seconds:
                    break
                await asyncio.sleep(due - time.monotonic())
                await at_once.acquire()
                group.create_task(self._one(http, turn, at_once))
        return {"completed": self.completed, "failed": self.failed}

    async def _one(self, http: httpx.AsyncClient, turn: int, at_once: asyncio.Semaphore) -> None:
        new = {
            "user_id": predict_prefill.name_of(1 + turn % self.asked.learners),
            "topic": f"topic-{turn % TOPICS}",
            "difficulty": predict_prefill.DIFFICULTIES[turn % 3],
        }
        done = {"is_correct": turn % 7 < 4, "actual_time_seconds": 10.0 + turn % 40}
        try:
            made = (await http.post("/practice-tasks", json=new)).raise_for_status().json()
            answer = await http.patch(f"/practice-tasks/{made['id']}", json=done)
            answer.raise_for_status()
            self.completed += 1
        except httpx.HTTPError:
            self.failed += 1
        finally:
            at_once.release()


@contextmanager
def _looking(settings: Settings, viewers: int) -> Iterator[None]:
    asked = pages.Asked(viewers, 1, 1, 1, 1)
    with pages.looking(asked, settings, "seen" if viewers else "nobody"):
        yield


@contextmanager
def _watching(running: Running, asked: Asked, tell: Tell) -> Iterator[Watched]:
    """Look at every service's memory in a thread, and tell of it now and then."""
    watched, over, begin = Watched(), threading.Event(), time.monotonic()

    def look() -> None:
        seen = {name: _mib(pid) for name, pid in running.pids.items()}
        watched.at.append(round(time.monotonic() - begin, 1))
        for name, mib in seen.items():
            watched.mib.setdefault(name, []).append(mib)
        if len(watched.at) % 15 == 0:
            tell(f"{watched.at[-1] / 60:.0f} min: {_told(seen)}")

    def watch() -> None:
        while not over.wait(asked.period):
            look()

    look()
    thread = threading.Thread(target=watch, name="memory")
    thread.start()
    try:
        yield watched
    finally:
        over.set()
        thread.join()


def _mib(pid: int) -> float:
    return round(float(psutil.Process(pid).memory_info().rss) / machine.MIB, 1)


def _told(seen: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {mib:.0f} MiB" for name, mib in seen.items())
