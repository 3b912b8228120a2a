"""The tasks that the gateway issued, in the store: issue, claim, list, what is unpublished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, select, text, update

from schemas.events import TaskCompleted
from schemas.tables import cadences, completions, issued_tasks, numbering
from streams.known import Known

_VIEW = """SELECT id, user_id, topic, difficulty, is_correct, actual_time_seconds, completed,
    created_at, completed_at, predicted_correct, predicted_time_seconds, seconds_low, seconds_high,
    source, reason, model_version FROM practice_tasks WHERE user_id = :user_id"""
_COMPLETED = " AND completed = :completed"
_BEFORE = " AND (created_at, id) < (:before, :before_id)"
_NEWEST = " ORDER BY created_at DESC, id DESC LIMIT :most"


@dataclass(frozen=True)
class Claim:
    """What came of claiming a completion: ``state`` first, same, different or unknown."""

    state: str
    task: dict[str, Any] = field(default_factory=dict)
    counter: dict[str, int] = field(default_factory=dict)


class Tasks:
    """Verbs over issued tasks. Every method is one short transaction."""

    def __init__(self, engine: Engine, every: int) -> None:
        self.engine, self.every = engine, every
        self._known = Known()

    def issue(self, row: dict[str, Any]) -> bool:
        """Keep a task and the prediction that was shown with it; False, and nothing kept, where the
        learner is forgotten."""
        with self.engine.begin() as connection:
            is_gone = row["user_id"] in self._known.keeping(connection)
            if not is_gone:
                connection.execute(insert(issued_tasks), [row])
        return not is_gone

    def claim(self, task_id: str, is_correct: bool, seconds: float, at: datetime) -> Claim:
        """Fix a task's completion; the first claim stands. With the counter as it is then."""
        with self.engine.begin() as connection:
            row = connection.execute(
                select(issued_tasks).where(issued_tasks.c.task_id == task_id).with_for_update()
            ).one_or_none()
            if row is None:
                return Claim("unknown")
            counter = self._counter(connection)
            first = _recorded(connection, task_id) if row.completed_at is None else row
            if first is None:
                fixed = self._fix(connection, task_id, is_correct, seconds, at)
                return Claim("first", fixed, counter)
            same = (first.is_correct, first.actual_time_seconds) == (is_correct, seconds)
            outcome = {"published_at": row.published_at or at, **first._asdict()}
            return Claim("same" if same else "different", {**row._asdict(), **outcome}, counter)

    def _fix(
        self, connection: Connection, task_id: str, is_correct: bool, seconds: float, at: datetime
    ) -> dict[str, Any]:
        change = (
            update(issued_tasks)
            .where(issued_tasks.c.task_id == task_id)
            .values(is_correct=is_correct, actual_time_seconds=seconds, completed_at=at)
            .returning(issued_tasks)
        )
        return connection.execute(change).one()._asdict()

    def counter(self) -> dict[str, int]:
        """Completions so far, and how many since the last train-request was due."""
        with self.engine.connect() as connection:
            return self._counter(connection)

    def _counter(self, connection: Connection) -> dict[str, int]:
        newest = select(cadences.c.every).order_by(cadences.c.first_number.desc()).limit(1)
        query = select(numbering.c.last_number, newest.scalar_subquery())
        total, every = connection.execute(query).one_or_none() or (0, None)
        every = every or self.every
        return {"completions": total, "since_last_request": total % every, "every": every}

    def issued(self, task_id: str) -> dict[str, Any] | None:
        """A task that was issued here; None where there is none."""
        query = select(issued_tasks).where(issued_tasks.c.task_id == task_id)
        with self.engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else row._asdict()

    def of_learner(
        self, user_id: str, completed: bool | None, before: tuple[datetime, str] | None, most: int
    ) -> Sequence[Row[Any]]:
        """A learner's tasks, newest first."""
        values: dict[str, Any] = {"user_id": user_id, "most": most}
        query = _VIEW
        if completed is not None:
            query, values = query + _COMPLETED, {**values, "completed": completed}
        if before is not None:
            query += _BEFORE
            values = {**values, "before": before[0], "before_id": before[1]}
        with self.engine.connect() as connection:
            return connection.execute(text(query + _NEWEST), values).all()

    def unpublished(self, before: datetime, most: int) -> list[TaskCompleted]:
        """Claims that no broker has acknowledged yet, oldest first."""
        query = (
            select(issued_tasks)
            .where(issued_tasks.c.completed_at.is_not(None))
            .where(issued_tasks.c.published_at.is_(None))
            .where(issued_tasks.c.completed_at < before)
            .order_by(issued_tasks.c.completed_at)
            .limit(most)
        )
        with self.engine.connect() as connection:
            return [completion(row._asdict()) for row in connection.execute(query)]

    def mark_published(self, task_ids: Sequence[str]) -> None:
        """Note that the broker has these completions."""
        change = update(issued_tasks).where(issued_tasks.c.task_id.in_(task_ids))
        with self.engine.begin() as connection:
            connection.execute(change.values(published_at=func.now()))


def completion(task: dict[str, Any]) -> TaskCompleted:
    """The event of a claimed task: the same one each time."""
    return TaskCompleted(
        task_id=task["task_id"],
        user_id=task["user_id"],
        topic=task["topic"],
        difficulty=task["difficulty"],
        started_at=task["created_at"],
        completed_at=task["completed_at"],
        is_correct=task["is_correct"],
        actual_time_seconds=task["actual_time_seconds"],
    )


def _recorded(connection: Connection, task_id: str) -> Any:
    """The completion of a task that another producer published."""
    return connection.execute(
        select(
            completions.c.is_correct,
            completions.c.actual_time_seconds,
            completions.c.completed_at,
        ).where(completions.c.task_id == task_id)
    ).one_or_none()
