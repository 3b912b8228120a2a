"""Calls in a thread of its own, one at a time, while the caller works on.

What `concurrent.futures` does too; its bookkeeping takes as long as is saved where this is used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Beside:
    """For one thread's use."""

    def __init__(self, name: str) -> None:
        self._asked: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._done: SimpleQueue[None] = SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def begin(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Callable[[], R]:
        """Call it now; what is returned waits for its result, or raises its error, and has to be
        called before the next."""
        found: list[R] = []
        errors: list[BaseException] = []

        def call() -> None:
            try:
                found.append(work(*args, **kwargs))
            except BaseException as error:
                errors.append(error)

        def result() -> R:
            self._done.get()
            if errors:
                raise errors[0]
            return found[0]

        self._asked.put(call)
        return result

    def _run(self) -> None:
        while True:
            self._asked.get()()
            self._done.put(None)
