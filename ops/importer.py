"""`retrace import`: past completions of a CSV file as events, in the order of their completion.

A row's task_id follows from its content and from how many equal rows stand above it, so that
importing a file twice, or a longer file later, records nothing twice.
"""

from __future__ import annotations

import csv
import hashlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TextIO, TypeVar

from pydantic import ValidationError
from sqlalchemy import Engine, func, select

from schemas import codec, events, topics
from schemas.errors import Unreachable, UsageError
from schemas.settings import Settings
from schemas.tables import completions
from streams import database, declare, kafka, known
from streams.forgotten import seal_task
from streams.health import Health
from streams.patience import Patience, Stopped

COLUMNS = ("user_id", "topic", "difficulty", "timestamp", "correct", "response_time")
OPTIONAL = ("item_id", "censored")
FLAGS = {"0": False, "1": True, "false": False, "true": True}
BATCH = 1000
PATIENCE_SECONDS = 60.0
T = TypeVar("T")


@dataclass(frozen=True)
class BadRow:
    """A row that is not published, and why."""

    line: int
    reason: str


@dataclass
class Rows:
    """A file's rows: events in the order of completion, beside what is wrong."""

    tasks: list[events.TaskCompleted] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)


def load(path: Path, now: datetime) -> Rows:
    """Read a file. Raises ``UsageError`` where it is no CSV file with the columns."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return parse(file, now)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not text in UTF-8.") from None
    except csv.Error as error:
        raise UsageError(f"{path} is not a CSV file: {error}.") from None


def parse(file: TextIO, now: datetime) -> Rows:
    """The rows of an open CSV file; one bad row fails alone."""
    reader = csv.DictReader(file)
    _require_columns(reader.fieldnames or ())
    rows, seen = Rows(), Counter[tuple[str, ...]]()
    for row in reader:
        try:
            task = _task(row, seen)
            rows.tasks.append(events.TaskCompleted.model_validate(task, context={"now": now}))
        except ValidationError as error:
            rows.bad.append(BadRow(reader.line_num, _reason(error)))
        except ValueError as error:
            rows.bad.append(BadRow(reader.line_num, str(error)))
    rows.tasks.sort(key=lambda task: task.completed_at)
    return rows


def _require_columns(found: Sequence[str]) -> None:
    missing = [name for name in COLUMNS if name not in found]
    if missing:
        raise UsageError(
            f"The columns {', '.join(missing)} are missing. "
            f"Needed: {', '.join(COLUMNS)}; optional: {', '.join(OPTIONAL)}."
        )


def _task(row: dict[str, str | None], seen: Counter[tuple[str, ...]]) -> dict[str, object]:
    empty = [name for name in COLUMNS if not (row.get(name) or "").strip()]
    if empty:
        raise ValueError(f"{empty[0]} is empty")
    values = {name: (row.get(name) or "").strip() for name in (*COLUMNS, *OPTIONAL)}
    started_at, seconds = _time(values["timestamp"]), _number("response_time", values)
    content = tuple(values.values())
    seen[content] += 1
    return {
        "task_id": _task_id(content, seen[content]),
        "user_id": values["user_id"],
        "topic": values["topic"],
        "difficulty": values["difficulty"],
        "started_at": started_at,
        "completed_at": started_at + timedelta(seconds=min(max(seconds, 0), 1e6)),
        "is_correct": _flag("correct", values["correct"]),
        "actual_time_seconds": seconds,
        "timed_out": _flag("censored", values["censored"]) if values["censored"] else None,
    }


def _task_id(content: tuple[str, ...], ordinal: int) -> str:
    digest = hashlib.sha256("\x1f".join((*content, str(ordinal))).encode()).hexdigest()
    return f"import-{digest[:32]}"


def _number(name: str, values: dict[str, str]) -> float:
    try:
        number = float(values[name])
    except ValueError:
        raise ValueError(f"{name} is not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} is not finite")
    return number


def _time(text: str) -> datetime:
    try:
        return datetime.fromtimestamp(_number("timestamp", {"timestamp": text}), UTC)
    except (OverflowError, OSError):
        raise ValueError("timestamp is not in Unix seconds") from None
    except ValueError as error:
        known = str(error).startswith("timestamp")
        raise ValueError(str(error) if known else "timestamp is not in Unix seconds") from None


def _flag(name: str, text: str) -> bool:
    if text.lower() not in FLAGS:
        raise ValueError(f"{name} is neither 0 nor 1")
    return FLAGS[text.lower()]


def _reason(error: ValidationError) -> str:
    """The first problem in the file's own words."""
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = str(problem["loc"][0]) if problem["loc"] else "row"
    column = {"actual_time_seconds": "response_time", "completed_at": "timestamp"}.get(name, name)
    return f"{column}: {problem['msg'].removeprefix('Value error, ')}"


def publish(
    settings: Settings,
    tasks: Iterable[events.TaskCompleted],
    stop: threading.Event,
    advance: Callable[[int], None],
) -> int:
    """Publish in this order, batch by batch, waiting where Kafka is away; how many were."""
    patience, publisher = (
        Patience(Health("import", ("kafka",)), stop),
        kafka.Publisher(settings, **{"linger.ms": 5}),
    )
    patience.call("kafka", kafka.is_away, declare.declare, settings)
    published = 0
    for batch in _batches(tasks):
        if stop.is_set():
            raise Stopped
        prefix = settings.topic_prefix
        messages = [codec.encode(topics.TASK_COMPLETED, t, "import", prefix=prefix) for t in batch]
        patience.call("kafka", kafka.is_away, publisher.publish, messages)
        published += len(batch)
        advance(published)
    return published


def await_recorded(engine: Engine, task_ids: Iterable[str], advance: Callable[[int], None]) -> None:
    """Wait until the store holds all of these. Raises ``Unreachable`` where nothing moves."""
    done = 0
    deadline, before = time.monotonic() + PATIENCE_SECONDS, 0
    for ids in _batches(task_ids):
        while (held := _recorded(engine, ids)) < len(ids):
            if done + held > before:
                before, deadline = done + held, time.monotonic() + PATIENCE_SECONDS
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"The store holds {done + held} of them and no more come. "
                    "Is `retrace streams` running? See `retrace status`."
                )
            advance(done + held)
            time.sleep(0.1)
        done += len(ids)
        advance(done)


def _recorded(engine: Engine, ids: list[str]) -> int:
    try:
        with engine.connect() as connection:
            salts = {each.salt for each in known.entries(connection)}
            sealed = [seal_task(salt, task_id) for salt in salts for task_id in ids]
            query = select(func.count()).where(completions.c.task_id == func.any([*ids, *sealed]))
            return int(connection.execute(query).scalar_one())
    except Exception as error:
        if database.is_away(error) or database.is_emptied(error):
            return 0
        raise


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch
