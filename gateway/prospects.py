"""A learner's forecast beside what they have practised: what a suggestion is made from."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway import learners
from gateway.face import PAGE_SECONDS, Face, stored
from gateway.inquiries import forecast_of
from gateway.ranking import Practised, Suggestion, rank
from gateway.words import Words
from schemas.replies import Forecast, ForecastCell


@dataclass(frozen=True)
class Prospects:
    """``cells`` are those asked for, of ``all`` that there are; ``newest`` is the learner's newest
    completion when they were asked for."""

    forecast: Forecast
    cells: Sequence[ForecastCell]
    done: Mapping[tuple[str, str], Practised]
    all: int
    newest: int

    def suggested(self, target: float) -> list[Suggestion]:
        """What to practise next."""
        return rank(self.cells, self.done, target, datetime.now(UTC))


async def look(face: Face, user_id: str, words: Words | None, part: str = "") -> Prospects:
    """``part`` narrows the topics; without the version's words it is asked for all.

    Raises ``Problem`` where inference or the store does not answer.
    """
    engine = face.tasks.engine
    candidates, number = words.candidates(part) if words else ([], 0)
    newest = await stored(learners.newest_number, engine, user_id, seconds=PAGE_SECONDS)
    forecast, done = await asyncio.gather(
        forecast_of(face, user_id, candidates or None),
        stored(learners.practised, engine, user_id, seconds=PAGE_SECONDS),
    )
    cells = [cell for cell in forecast.cells if part.casefold() in cell.topic.casefold()]
    return Prospects(forecast, cells, done, max(number, len(cells)), newest)
