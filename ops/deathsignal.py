"""The kernel's parent-death signal: Linux tells a child when its parent has ended."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def on_parent_death(number: int) -> Callable[[], None] | None:
    """What a child runs between fork and exec to get this signal; None where there is none.

    Everything is looked up before the fork: a child of a threaded parent must do little.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), number)

    return ask
