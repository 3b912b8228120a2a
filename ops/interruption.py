"""How `retrace up` is told to stop: Ctrl-C, SIGTERM, a closed terminal, or its parent's end.

The first signal asks; one second or more later the next one leaves at once, and the guardian
stops what still runs. Signals that arrive together are one: a terminal and `make` may both send.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TOGETHER_SECONDS = 1.0
PARENT_SECONDS = 0.5


class Interruption:
    """``asked`` is set by the first signal; until ``patient`` it also interrupts what runs."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.patient = False
        self._at = 0.0
        for number in SIGNALS:
            signal.signal(number, self._receive)

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.asked.is_set():
            self._at = now
            self.asked.set()
            if not self.patient:
                raise KeyboardInterrupt
        elif now - self._at >= TOGETHER_SECONDS:
            os.write(2, b"\nLeaving; the rest is stopped in the background.\n")
            os._exit(130)


def watch_parent() -> None:
    """Send ourselves SIGTERM when the process that started us has ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
