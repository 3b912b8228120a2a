"""What happened and when, as JSON lines: what a failing seed is debugged with."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Fault:
    """A fault that was done: ``began`` and ``ended`` on the monotonic clock."""

    kind: str
    began: float
    ended: float


@dataclass
class Journal:
    """Writes from several threads. ``faults``: those that were done."""

    path: Path
    faults: list[Fault] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, what: str, **facts: object) -> None:
        """Write a line, and show it."""
        seconds = round(time.monotonic() - self.begun, 2)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"at": at, "seconds": seconds, "what": what, **facts}, default=str)
        words = "  ".join(f"{name}={fact}" for name, fact in facts.items())
        with self._lock:
            with self.path.open("a") as file:
                file.write(line + "\n")
            print(f"{seconds:7.1f} s  {what:<22} {words}"[:160], flush=True)

    def fault(self, kind: str, began: float, **facts: object) -> None:
        """Note a fault that was done, from ``began`` to now."""
        self.faults.append(Fault(kind, began, time.monotonic()))
        took = round(self.faults[-1].ended - began, 2)
        self.note("fault", kind=kind, began=round(began - self.begun, 2), took=took, **facts)
