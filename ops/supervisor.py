"""Owns child processes: starts them in order, restarts those that crash, stops them in reverse.

Every child leads a session of its own, so the terminal's Ctrl-C reaches only the parent, which
then stops the children one after the other.

If the parent is killed with -9, no child may stay. Two mechanisms exist, never both at once:

- a guardian process (``ops.guardian``), everywhere: it stops the children politely, in reverse;
- the kernel's parent-death signal, on Linux, only without a guardian (``guarded=False``): it
  reaches all children at the same moment, so beside a guardian it would take Kafka and
  PostgreSQL away from services that are still finishing, and signal each service twice. It is
  set after the child has changed its user, which would clear it, and fires when the *thread*
  that started the child ends: start and poll from the main thread.

The guardian is itself watched by ``poll``, and replaced when it has died.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from ops.guardian import MARK, Guardian
from ops.processes import Group, Process, launch

__all__ = ["Event", "Process", "Supervisor"]

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
STEADY_SECONDS = 60.0
CANNOT_RUN = 127


@dataclass(frozen=True)
class Event:
    """A child that has ended; ``restart_in`` seconds, or None when it stays down."""

    name: str
    pid: int
    exit_code: int
    restart_in: float | None


@dataclass
class _Child:
    process: Process
    popen: subprocess.Popen[bytes]
    group: Group
    started_at: float
    failures: int = 0
    restart_at: float | None = None
    ended: bool = False


class Supervisor:
    """Starts, watches and stops children. Leaving its context stops them all."""

    def __init__(
        self, *, guarded: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._children: dict[str, _Child] = {}
        self._guardian = Guardian() if guarded else None

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pids(self) -> dict[str, int]:
        """The running children, in the order of their start."""
        return {name: child.popen.pid for name, child in self._children.items() if not child.ended}

    def start(self, process: Process) -> int:
        """Start a child and return its pid; raises OSError when it cannot be run."""
        popen, group = self._spawn(process)
        self._children[process.name] = _Child(process, popen, group, self._clock())
        return popen.pid

    def poll(self) -> list[Event]:
        """Restart what is due, and report who has ended since. Call it often; it hardly waits."""
        if self._guardian:
            self._guardian.check()
        events = []
        for child in self._children.values():
            if not child.ended and child.popen.poll() is not None:
                events.append(self._mourn(child, child.popen.returncode))
            elif child.restart_at is not None and self._clock() >= child.restart_at:
                events.extend(self._restart(child))
        return events

    def stop(self) -> list[str]:
        """Stop all, the last started first; return the names of those that had to be killed."""
        killed = []
        for name, child in reversed(list(self._children.items())):
            if child.group.stop():
                killed.append(name)
            child.popen.wait()
            self._forget(name)
        if self._guardian:
            self._guardian.dismiss()
            self._guardian = None
        return killed

    def _mourn(self, child: _Child, exit_code: int) -> Event:
        """Clear away what the ended child forked, and plan its restart."""
        child.group.kill()
        child.ended = True
        steady = self._clock() - child.started_at >= STEADY_SECONDS
        child.failures = 1 if steady else child.failures + 1
        if not child.process.restart:
            return Event(child.process.name, child.popen.pid, exit_code, None)
        delay = min(FIRST_DELAY_SECONDS * 2 ** (child.failures - 1), LONGEST_DELAY_SECONDS)
        child.restart_at = self._clock() + delay
        return Event(child.process.name, child.popen.pid, exit_code, delay)

    def _restart(self, child: _Child) -> list[Event]:
        child.restart_at = None
        child.started_at = self._clock()
        try:
            child.popen, child.group = self._spawn(child.process)
        except OSError:
            return [self._mourn(child, CANNOT_RUN)]
        child.ended = False
        return []

    def _spawn(self, process: Process) -> tuple[subprocess.Popen[bytes], Group]:
        env = dict(os.environ if process.env is None else process.env)
        if self._guardian:
            env[MARK] = self._guardian.mark
        popen = launch(process, env, guarded=self._guardian is not None)
        group = Group(popen.pid, process.stop_signal, process.stop_timeout)
        if self._guardian:
            self._guardian.watch(process.name, group)
        return popen, group

    def _forget(self, name: str) -> None:
        del self._children[name]
        if self._guardian:
            self._guardian.forget(name)
