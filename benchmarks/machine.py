"""The machine that figures were measured on, and what a process has used of it."""

from __future__ import annotations

import os
import platform
import resource
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

MIB = 1024**2


def facts() -> dict[str, Any]:
    """Processor, cores, memory, versions, and the load as it is now. Imports no TensorFlow."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 1024**3, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "tensorflow": version("tensorflow"),
        "numpy": version("numpy"),
        "load": load(),
    }


def load() -> float:
    """How many processes ran or waited to, as a mean over the last minute."""
    return round(os.getloadavg()[0], 2)


def peak_mib() -> float:
    """The most memory that this process ever held. Linux's ``ru_maxrss`` also counts what the
    parent held when it started this process, so the kernel's own mark is read where there is one.
    """
    try:
        return _high_water("self")
    except (OSError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB, 1)


def peak_of(pid: int) -> float:
    """The most memory that another process ever held; what it holds now without a kernel's mark."""
    try:
        return _high_water(str(pid))
    except (OSError, IndexError):
        return round(float(psutil.Process(pid).memory_info().rss) / MIB, 1)


def cpu_seconds(pid: int) -> float:
    """Processor seconds of a process and its children, those that have ended included."""
    family = [psutil.Process(pid)]
    family += family[0].children(recursive=True)
    total = 0.0
    for each in family:
        with suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def _high_water(process: str) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return round(int(status.split("VmHWM:")[1].split()[0]) * 1024 / MIB, 1)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "")
