"""A process under measurement: started, looked at from outside until all is stored, stopped.

It is looked at twenty times a second in the store, which costs little, and five times a second in
its own metrics and the processors' accounts, which cost it time of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

from benchmarks import machine
from benchmarks.child import MeasurementFailed
from benchmarks.ingest_timeline import Look, Timeline
from ops.processes import Process
from ops.supervisor import Supervisor

PERIOD = 0.05
DEARER = 4
STALL_SECONDS = 90.0

Stored = Callable[[], int]
Counted = Callable[[], int | None]


@dataclass
class Running:
    """Processes that run, and the servers beside them whose work is told too."""

    supervisor: Supervisor
    pids: dict[str, int]
    logs: dict[str, Process]
    servers: Mapping[str, int]
    started: float
    peaks: dict[str, float] = field(default_factory=dict)

    def until(self, total: int, stored: Stored, counted: Counted) -> Timeline:
        """Look until ``total`` events are stored and counted.

        Raises MeasurementFailed where a process ends, or nothing moves for a long time.
        """
        looks: list[Look] = []
        moved, last = time.monotonic(), (-1, -1)
        while not looks or not _is_done(looks[-1], total):
            self.check()
            try:
                looks.append(self._look(looks, total, stored, counted))
            except psutil.NoSuchProcess:
                continue
            now = (looks[-1].stored, looks[-1].counted or 0)
            moved, last = (looks[-1].at, now) if now != last else (moved, last)
            if time.monotonic() - moved > STALL_SECONDS:
                raise MeasurementFailed(f"nothing moved any more at {now[0]}: {self._last_words()}")
            time.sleep(PERIOD)
        return Timeline(self.started, total, looks)

    def _look(self, looks: Sequence[Look], total: int, stored: Stored, counted: Counted) -> Look:
        """What is counted is asked before what is stored, and so can't be ahead of it."""
        cheap = len(looks) % DEARER > 0
        seen = looks[-1].counted if cheap else counted()
        found, at = stored(), time.monotonic()
        if cheap and found >= total:
            cheap, seen = False, counted()
        return Look(at, found, seen, {} if cheap else self.cpu())

    def cpu(self) -> dict[str, float]:
        """Processor seconds so far: of the measured processes together, of each server."""
        self._note_peaks()
        own = sum(machine.cpu_seconds(pid) for pid in self.pids.values())
        return {"worker": own} | {n: machine.cpu_seconds(p) for n, p in self.servers.items()}

    def check(self) -> None:
        """Raises MeasurementFailed with the last words of a process that has ended."""
        for event in self.supervisor.poll():
            words = self._last_words(event.name)
            raise MeasurementFailed(f"{event.name} ended with {event.exit_code}: {words}")

    def _last_words(self, *names: str) -> str:
        """The last line of each log, of all where none is named."""
        logs = [self.logs[name].log_path for name in names or self.logs]
        lines = [log.read_text(errors="replace").strip().splitlines() for log in logs]
        return "; ".join(each[-1][-300:] if each else "it said nothing" for each in lines)

    def _note_peaks(self) -> None:
        for name, pid in self.pids.items():
            self.peaks[name] = max(self.peaks.get(name, 0.0), machine.peak_of(pid))


@contextmanager
def running(processes: Sequence[Process], servers: Mapping[str, int]) -> Iterator[Running]:
    """The processes, started together; stopped when left, whatever happened."""
    with Supervisor() as supervisor:
        started = time.monotonic()
        pids = {process.name: supervisor.start(process) for process in processes}
        logs = {process.name: process for process in processes}
        yield Running(supervisor, pids, logs, servers, started)


def _is_done(look: Look, total: int) -> bool:
    return look.stored >= total and (look.counted is None or look.counted >= total)
