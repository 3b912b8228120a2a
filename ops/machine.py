"""What the machine must offer before a server starts: a free port, room on the disk, a free lock.

Every check raises ``MachineError`` with one line that says what to do.
"""

from __future__ import annotations

import fcntl
import random
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from schemas.errors import MachineError

GIB = 1024**3
PORTS = (10_000, 32_000)  # Linux takes those of outgoing connections from above
_CHANCE = random.SystemRandom()


def require_free_port(port: int, variable: str) -> None:
    """Raise unless a server may listen on ``port`` of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise MachineError(
                f"This user may not open port {port}. Choose another with {variable}."
            ) from None
        except OSError:
            raise MachineError(
                f"Port {port} is taken by another program{_listener(port)}. "
                f"Stop it, or choose another with {variable}."
            ) from None


def _listener(port: int) -> str:
    """Who listens there, as far as this user may know: " (pid 12, java)" or nothing."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.pid and connection.laddr and connection.laddr.port == port:
                return f" (pid {connection.pid}, {psutil.Process(connection.pid).name()})"
    except psutil.Error:
        pass
    return ""


def require_room(directory: Path, minimum: int) -> None:
    """Raise unless the disk below ``directory`` has ``minimum`` bytes free."""
    free = shutil.disk_usage(directory).free
    if free < minimum:
        raise MachineError(
            f"The disk of {directory} has {free / GIB:.1f} GiB free, {minimum / GIB:.1f} are "
            "needed. Make room, or choose another data folder."
        )


def make_folder(directory: Path) -> None:
    """Create the folder and its parents."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"Cannot create the folder {directory}: {error.strerror}.") from None


def answers(port: int) -> bool:
    """Whether anything accepts connections on ``port`` of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port that nobody uses now, and that no outgoing connection gets: who is started there
    again finds it free."""
    while True:
        port = _CHANCE.randint(*PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for, then hold, a lock between processes; it ends with its holder, however that dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
