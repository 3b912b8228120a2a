"""The C library's allocator."""

from __future__ import annotations

import ctypes
from contextlib import suppress

ARENAS = 2
_M_ARENA_MAX = -8  # malloc.h


def few_arenas() -> None:
    """Let all threads share two arenas, where the C library is glibc.

    It makes eight for each core, and what a thread frees stays in the arena that it took it from:
    the gateway grew by 10 MiB in as many minutes of 20 tasks a second, and with two by 1.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)
