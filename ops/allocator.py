"""The C library's allocator."""

from __future__ import annotations

import ctypes
from contextlib import suppress

ARENAS = 2
_M_ARENA_MAX = -8  # malloc.h


def few_arenas() -> None:
    """Let all threads share two arenas, where the C library is glibc.

    It makes eight for each core, and what a thread frees stays in the arena that it took it from:
    after eleven minutes of 20 tasks a second the gateway had 206 MiB, and with two 187.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)
