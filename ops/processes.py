"""How a child is launched, and how it and everything it forked is stopped.

Shared by the supervisor and its guardian.

A child leads its own process group. The polite signal goes to the leader only, because some
servers give their helpers' signals other meanings (PostgreSQL); what the leader leaves behind
gets SIGTERM, and what then still stands SIGKILL.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from ops.deathsignal import on_parent_death

POLL_SECONDS = 0.02
REMAINDER_SECONDS = 1.0

LARGEST_LOG_BYTES = 10 * 1024**2


@dataclass(frozen=True)
class Process:
    """What to run, and how to stop it. ``env`` None is the parent's; ``user`` needs root."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None
    log_path: Path
    stop_signal: int = signal.SIGTERM
    stop_timeout: float = 10.0
    user: str | None = None
    restart: bool = True


class Group:
    """A running process and what it forks, told apart from a later owner of the same pid."""

    def __init__(self, pid: int, stop_signal: int, stop_timeout: float) -> None:
        """Find the process by its pid; raises ``psutil.NoSuchProcess``."""
        self.pid = pid
        self.stop_signal = stop_signal
        self.stop_timeout = stop_timeout
        self._leader = psutil.Process(pid)

    def stop(self) -> bool:
        """Stop all of it; whether any had to be killed."""
        deadline = time.monotonic() + self.stop_timeout
        if self.leads():
            with suppress(ProcessLookupError):
                os.kill(self.pid, self.stop_signal)
            _wait_until(lambda: not self.leads(), deadline)
        if not self.leads() and self.members():
            self._signal(signal.SIGTERM)
            _wait_until(lambda: not self.members(), time.monotonic() + REMAINDER_SECONDS)
        return self.kill()

    def kill(self) -> bool:
        """SIGKILL what is left; whether there was anything."""
        if not self.members():
            return False
        self._signal(signal.SIGKILL)
        _wait_until(lambda: not self.members(), time.monotonic() + REMAINDER_SECONDS)
        return True

    def leads(self) -> bool:
        """Whether the leader still runs."""
        try:
            return bool(self._leader.is_running() and self._leader.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def members(self) -> list[int]:
        """The pids that still run. The kernel gives a group's number to nobody while it has any."""
        if psutil.pid_exists(self.pid) and not self._leader.is_running():
            return []
        return [pid for pid in psutil.pids() if _runs_in(pid, self.pid)]

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _runs_in(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, PermissionError, psutil.Error):
        return False


def _wait_until(condition: Callable[[], bool], deadline: float) -> None:
    while not condition() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def launch(process: Process, env: dict[str, str], *, guarded: bool) -> subprocess.Popen[bytes]:
    """Run it in a session of its own; raises OSError."""
    group = pwd.getpwnam(process.user).pw_gid if process.user else None
    with _open_log(process.log_path) as log:
        return subprocess.Popen(
            list(process.argv),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=process.user,
            group=group,
            extra_groups=[] if process.user else None,
            preexec_fn=None if guarded else on_parent_death(process.stop_signal),
        )


def _open_log(path: Path) -> IO[bytes]:
    """Open for appending; a log that has grown large makes room for a new one first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LARGEST_LOG_BYTES:
        path.replace(path.with_suffix(".1"))
    return path.open("ab")
