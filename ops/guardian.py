"""Stops the supervisor's children when the supervisor itself was killed, so that none is orphaned.

``python -m ops.guardian`` is a small process in a session of its own: neither the terminal's
Ctrl-C nor a kill of the supervisor's group reaches it. It reads, from a pipe whose other end only
the supervisor holds, one JSON line per child: name, pid, stop signal, stop timeout. At the pipe's
end without ``bye`` it stops them politely, the last started first. A child that was started but
not yet announced, or that left its process group, is found by a mark in its environment.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from ops.processes import Group

MARK = "RETRACE_SUPERVISED_BY"
PARENT_CHECK_SECONDS = 1.0
BYE = "bye"


class Guardian:
    """The supervisor's side: announces children; starts a new guardian when one has died."""

    def __init__(self) -> None:
        self.mark = uuid.uuid4().hex
        self._groups: dict[str, Group] = {}
        self._process = self._launch()

    @property
    def pid(self) -> int:
        """The guardian's own pid."""
        return self._process.pid

    def watch(self, name: str, group: Group) -> None:
        """Stop this group if the supervisor dies; a restarted child keeps its place."""
        self._groups[name] = group
        self._send(_announcement(name, group))

    def forget(self, name: str) -> None:
        """Leave this child alone from now on; it was stopped."""
        self._groups.pop(name, None)
        self._send(json.dumps({"name": name}))

    def check(self) -> None:
        """Replace a guardian that has died."""
        if self._process.poll() is None:
            return
        self._close()
        self._process = self._launch()
        for name, group in self._groups.items():
            self._send(_announcement(name, group))

    def dismiss(self) -> None:
        """Let it go: everything was stopped in order."""
        self._send(BYE)
        self._close()
        self._process.wait()

    def _launch(self) -> subprocess.Popen[str]:
        home = str(Path(__file__).resolve().parents[1])
        paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
        env = {key: value for key, value in os.environ.items() if key != MARK}
        return subprocess.Popen(
            [sys.executable, "-m", "ops.guardian", self.mark, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=env | {"PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
            text=True,
        )

    def _send(self, line: str) -> None:
        with suppress(OSError):
            self._pipe.write(line + "\n")
            self._pipe.flush()

    def _close(self) -> None:
        with suppress(OSError):
            self._pipe.close()

    @property
    def _pipe(self) -> IO[str]:
        assert self._process.stdin is not None
        return self._process.stdin


def _announcement(name: str, group: Group) -> str:
    fields = {"pid": group.pid, "signal": int(group.stop_signal), "timeout": group.stop_timeout}
    return json.dumps({"name": name, **fields})


def listen(pipe: IO[bytes], parent: int) -> dict[str, Group] | None:
    """Follow the announcements; return the children once the supervisor is gone, None at a bye."""
    groups: dict[str, Group] = {}
    while True:
        ready, _, _ = select.select([pipe], [], [], PARENT_CHECK_SECONDS)
        if not ready and os.getppid() == parent:
            continue
        line = pipe.readline() if ready else b""
        if line.strip() == BYE.encode():
            return None
        if not line.endswith(b"\n"):
            return groups
        _apply(json.loads(line), groups)


def _apply(message: dict[str, object], groups: dict[str, Group]) -> None:
    name = str(message["name"])
    if "pid" not in message:
        groups.pop(name, None)
        return
    with suppress(psutil.NoSuchProcess):
        pid, number, timeout = (message[key] for key in ("pid", "signal", "timeout"))
        groups[name] = Group(int(str(pid)), int(str(number)), float(str(timeout)))


def stop_marked(mark: str) -> None:
    """Kill whatever else the supervisor's children started, in whatever session."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark:
                process.kill()


def main(mark: str, parent: int) -> None:
    """Wait for the supervisor's end; clean up after it where it could not."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with open(0, "rb", buffering=0) as pipe:
        groups = listen(pipe, parent)
    if groups is None:
        return
    for group in reversed(groups.values()):
        group.stop()
    stop_marked(mark)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
