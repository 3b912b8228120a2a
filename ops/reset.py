"""`retrace reset`: everything that was derived from the log back to nothing; what was given stays.

Kept: ``task-completed`` and ``dead-letters``, ``prediction-request`` with the place up to which it
is answered, the tasks that the gateway issued, who is forgotten, ``cadences``, so that the same
numbers are the same requests, and, unless named, models and the outcomes of trainings: what has
ended stays ended.
First the store, in one transaction, then the topics: after a crash on the way the services heal
what is left, and the reset may be run again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, select, text, update
from sqlalchemy.exc import ProgrammingError

from gateway import status
from gateway.numerals import grouped, plural
from ops.instances import running
from schemas import codec, topics
from schemas.errors import RetraceError
from schemas.events import TrainingProgress
from schemas.settings import Settings
from schemas.tables import train_requests
from streams import database, declare, kafka, rebuild, renewal, tails
from streams.declare import COUNTER_CHANGELOG
from training import artifacts
from training.requests import ENDED

GIVEN = (
    topics.TASK_COMPLETED,
    topics.PREDICTION_REQUEST,
    topics.DEAD_LETTERS,
    topics.LETTER_REDRIVEN,
    topics.LEARNER_FORGOTTEN,
)
GROUPS = {group: topic for group, topic in status.GROUPS.items() if group != "retrace-inference"}
TABLES = ("completions", "log_positions", "predictions", "prediction_scores", "calibrations")
OF_MODELS = ("models", "revisions", "train_requests")
REASON = "the system was reset"


@dataclass
class Reset:
    """What is to be reset; ``models``: these too."""

    settings: Settings
    models: bool = False

    def __post_init__(self) -> None:
        url = self.settings.database_url.get_secret_value()
        self.engine: Engine = database.connect(url, "reset", statement_seconds=600)

    def require_still(self) -> None:
        """Raises RetraceError, naming them, where instances run."""
        found = running(self.settings, self.engine)
        if found:
            raise RetraceError(f"Stop these first; nothing was changed. {'; '.join(found)}")

    def topics(self) -> list[str]:
        """The topics that are made anew."""
        kept = (*GIVEN, *(() if self.models else (topics.MODEL_UPDATED,)))
        derived = [topic.name for topic in topics.ALL if topic not in kept]
        return [self.settings.topic_prefix + name for name in (*derived, COUNTER_CHANGELOG)]

    def tables(self) -> tuple[str, ...]:
        """The tables that are emptied."""
        return (*TABLES, *(OF_MODELS if self.models else ()))

    def folder(self) -> Path:
        """Local state of streams."""
        return self.settings.data_dir / "faust"

    def plan(self) -> dict[str, Any]:
        """Everything that ``run`` would do, as JSON."""
        versions = artifacts.list_versions(self.settings.model_store_url()) if self.models else []
        return {
            "topics": self._messages(),
            "tables": self._rows(),
            "open_requests": len(self._open()),
            "groups": [self.settings.topic_prefix + group for group in GROUPS],
            "folder": str(self.folder()) if self.folder().exists() else None,
            "model_files": versions,
        }

    def run(self, say: Callable[[str], None]) -> None:
        """Do it; what is done already is passed over."""
        say("the store")
        ended = self._reset_store()
        say("topics")
        renewal.renew(self.settings, self.topics())
        say("groups")
        renewal.rewind(self.settings, {group: topic.name for group, topic in GROUPS.items()})
        self._tell(ended)
        say("local state")
        shutil.rmtree(self.folder(), ignore_errors=True)
        if self.models:
            root = self.settings.model_store_url()
            for version in artifacts.list_versions(root):
                artifacts.remove(root, version)

    def _messages(self) -> dict[str, int]:
        present = declare.partitions(kafka.admin(self.settings))
        names = [name for name in self.topics() if name in present]
        with tails.reading(self.settings) as reader:
            marks = [
                (place.topic, *tails.bounds(reader, place))
                for place in tails.places(self.settings, names)
            ]
        found = dict.fromkeys(self.topics(), 0)
        for name, low, high in marks:
            found[name] += high - low
        return found

    def _rows(self) -> dict[str, int]:
        try:
            with self.engine.connect() as connection:
                return {name: _count(connection, name) for name in self.tables()}
        except ProgrammingError as error:
            if not database.is_emptied(error):
                raise
            raise RetraceError("The store has no tables yet: there is nothing to reset.") from None

    def _open(self) -> list[str]:
        """Requests of operators that have no outcome; those of the count come again by number."""
        query = select(train_requests.c.request_id).where(
            *_OPEN, train_requests.c.trigger != "count"
        )
        with self.engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def _reset_store(self) -> list[str]:
        """In one transaction; the requests that end by it."""
        with self.engine.begin() as connection:
            rebuild.empty(connection)
            connection.execute(text(f"TRUNCATE {', '.join(self.tables())}"))
            of_count = train_requests.c.trigger == "count"
            connection.execute(delete(train_requests).where(*_OPEN, of_count))
            ended = update(train_requests).where(*_OPEN).returning(train_requests.c.request_id)
            values = {"state": "failed", "reason": REASON, "ended_at": func.now()}
            return list(connection.execute(ended.values(values)).scalars())

    def _tell(self, ended: list[str]) -> None:
        at, prefix = datetime.now(UTC), self.settings.topic_prefix
        told = [
            TrainingProgress(request_id=name, state="failed", reason=REASON, at=at)
            for name in ended
        ]
        kafka.Publisher(self.settings).publish(
            codec.encode(topics.TRAINING_PROGRESS, one, "operator", prefix=prefix) for one in told
        )


_OPEN = (train_requests.c.state.not_in(ENDED),)


def _count(connection: Connection, table: str) -> int:
    query = text(f"SELECT count(*) FROM {table}")  # noqa: S608
    return int(connection.execute(query).scalar_one())


def lines(plan: dict[str, Any]) -> list[str]:
    """A plan for people."""
    topics_of = [f"  {name}  {plural(count, 'message')}" for name, count in plan["topics"].items()]
    tables_of = [f"  {name}  {plural(count, 'row')}" for name, count in plan["tables"].items()]
    said = ["Emptied in the store:", *tables_of, "  numbering  from 1 again, a new generation"]
    if plan["open_requests"]:
        said.append(f"  train_requests  {grouped(plan['open_requests'])} open end as failed")
    said += ["Deleted and declared anew:", *topics_of]
    said.append(f"Set back to the beginning: the groups {', '.join(plan['groups'])}")
    if plan["folder"]:
        said.append(f"Removed: {plan['folder']}")
    if plan["model_files"]:
        said.append(f"Removed: {plural(len(plan['model_files']), 'model version')}")
    kept = ", ".join(topic.name for topic in GIVEN)
    models = "" if plan["model_files"] else ", models and trainings' outcomes"
    said.append(f"Kept: {kept}, issued tasks{models}. Starting the services counts all again.")
    return said
