"""PURE: the completions that ingest is measured with, the same for whoever reads them.

Task ids are random, as UUIDs are, so that an index grows everywhere and not only at its end. A
backlog's times fill almost a day, so that the windowed counter holds as many windows as it ever
does and none has aged out.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from benchmarks.simulated import DIFFICULTIES, TOPICS

SPREAD = timedelta(hours=23)


@dataclass(frozen=True)
class Completion:
    """A message of task-completed: its key is the learner, its value JSON as producers write it."""

    task_id: str
    key: bytes
    value: bytes


class Source:
    """Completions of some learners, drawn by a seed."""

    def __init__(self, learners: int, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311
        digits = len(str(learners))
        self._learners = [f"learner-{i + 1:0{digits}d}" for i in range(learners)]

    def next(self, at: datetime) -> Completion:
        """One that ends at ``at``, a UTC time."""
        draw = self._random
        task_id = f"{draw.getrandbits(128):032x}"
        learner = self._learners[int(draw.random() * len(self._learners))]
        bits = draw.getrandbits(30)
        value = (
            f'{{"task_id":"{task_id}","user_id":"{learner}","topic":"topic-{bits % TOPICS}",'
            f'"difficulty":"{DIFFICULTIES[bits % 3]}","completed_at":"{at.isoformat()}",'
            f'"is_correct":{"true" if bits & 64 else "false"},'
            f'"actual_time_seconds":{1 + (bits >> 10) / 10_000:.3f}}}'
        )
        return Completion(task_id, learner.encode(), value.encode())

    def backlog(self, events: int, newest: datetime) -> Iterator[Completion]:
        """So many, oldest first, the last of them at ``newest``."""
        step = SPREAD / events
        for left in range(events - 1, -1, -1):
            yield self.next(newest - left * step)
