"""However many threads a service has, their memory comes from two arenas."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from ops.allocator import ARENAS

THREADS = 6
TAKING = f"""
import ctypes, sys, threading
from ops.allocator import few_arenas

if sys.argv[1] == "few":
    few_arenas()
together, kept = threading.Barrier({THREADS}), []


def take():
    together.wait()
    kept.append(bytes(100_000))
    together.wait()


threads = [threading.Thread(target=take) for _ in range({THREADS})]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
ctypes.CDLL(None).malloc_stats()
"""


def arenas(how: str) -> int:
    argv = [sys.executable, "-c", TAKING, how]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stderr
    return sum(line.startswith("Arena ") for line in told.splitlines())


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_threads_share_two_arenas() -> None:
    assert arenas("usual") > ARENAS
    assert arenas("few") <= ARENAS
