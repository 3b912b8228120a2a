"""Putting learners on the list of the forgotten, in the store."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Engine, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from schemas.events import LearnerForgotten
from schemas.tables import forgotten, numbering
from streams.known import LOCK
from streams.store import NOW, lock_counter


def add(engine: Engine, wanted: Iterable[LearnerForgotten]) -> int:
    """Put these on the list; how many were not on it. From its commit on nothing new is kept of
    them: whoever keeps something has either ended, or reads the list anew."""
    rows = [each.model_dump() for each in wanted]
    if not rows:
        return 0
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        lock_counter(connection)
        new = insert(forgotten).on_conflict_do_nothing().returning(forgotten.c.learner)
        added = connection.execute(new.values(rows)).all()
        if added:
            version = func.greatest(numbering.c.forgotten + 1, NOW)
            connection.execute(update(numbering).values(forgotten=version))
    return len(added)


def erased(engine: Engine, learners: Iterable[str]) -> None:
    """Note that all rows of these (hashes) are erased."""
    mine = forgotten.c.learner == func.any(list(learners))
    done = update(forgotten).where(mine, forgotten.c.erased_at.is_(None))
    with engine.begin() as connection:
        connection.execute(done.values(erased_at=func.now()))


def lacking(engine: Engine, told: Iterable[LearnerForgotten]) -> list[LearnerForgotten]:
    """Those of these who are not on the list."""
    with engine.connect() as connection:
        listed = set(connection.execute(select(forgotten.c.learner)).scalars())
    return [each for each in told if each.learner not in listed]
