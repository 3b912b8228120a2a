"""Learns what held learners have completed before they ask again, while no request waits.

Only for speed: each answer reads what is newer itself.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from inference.predictor import PORTION, Predictor, Reader

PERIOD_SECONDS = 0.2


class Ahead:
    """``active`` tells who has completed something since it was asked last; ``read`` what, of each
    learner at least the newest ``FEW`` and one."""

    def __init__(self, active: Callable[[], Sequence[str]], read: Reader) -> None:
        self.active, self.read = active, read
        self._users = deque[str]()
        self._again_at = 0.0

    @property
    def goes_on(self) -> bool:
        """Whether there is still something to learn."""
        return bool(self._users)

    @property
    def is_due(self) -> bool:
        """Whether there is something to do."""
        return self.goes_on or time.monotonic() >= self._again_at

    def go_on(self, predictor: Predictor) -> None:
        """Find out who was active, or learn of some of them."""
        if self._users:
            some = [self._users.popleft() for _ in range(min(PORTION, len(self._users)))]
            predictor.learn_of(some, self.read)
            return
        self._again_at = time.monotonic() + PERIOD_SECONDS
        if predictor.learners_held:
            self._users.extend(user for user in self.active() if predictor.holds(user))
