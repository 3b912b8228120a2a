"""A store on a shelf: what streams.store keeps in PostgreSQL, in memory, for pure tests."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.events import NumberedCompletion
from streams.counting import Cadence, Interval
from streams.numbering import Outcome, Publication, Recorded, assign, claim


class Shelf:
    """Numbers, completions, cadences and positions of one generation of the store."""

    def __init__(self, generation: int, every: int) -> None:
        self.generation = generation
        self.known: dict[str, Recorded] = {}
        self.positions: dict[int, int] = {}
        self._cadences = {1: every}

    def record(self, batch: Sequence[Publication], after: dict[int, int]) -> Outcome:
        """One transaction: the batch, and the position too unless a conflict is to be buried."""
        last = len(self.known)
        numbered = assign(last, batch, self.known)
        for number, publication in numbered.fresh:
            task = publication.task
            self.known[task.task_id] = Recorded(
                number, task.completed_at, claim(task), publication.place
            )
        if not numbered.conflicts:
            self.advance(after)
        return Outcome(self.generation, numbered, advanced=not numbered.conflicts)

    def advance(self, after: dict[int, int]) -> None:
        for partition, offset in after.items():
            self.positions[partition] = max(self.positions.get(partition, 0), offset)

    def begin_generation(self, over: int) -> None:
        self.generation = max(self.generation, over + 1)

    def set_cadence(self, every: int) -> None:
        self._cadences[len(self.known) + 1] = every

    def cadences(self) -> tuple[Cadence, ...]:
        return tuple(Cadence(first, every) for first, every in sorted(self._cadences.items()))

    def standing(self) -> tuple[int, int]:
        return self.generation, len(self.known)

    def numbered(self, *spans: Interval) -> list[NumberedCompletion]:
        wanted = sorted((r.number, r.completed_at) for r in self.known.values())
        return [
            NumberedCompletion(number=n, completed_at=at)
            for n, at in wanted
            if any(first <= n <= last for first, last in spans)
        ]
