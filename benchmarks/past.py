"""The history that a rebuild learns from, and how the trainer selects its rows.

They stand in the configured database, read by the trainer's own queries, or in memory, where the
same rule is applied. In the database they are a temporary table, which hides the real completions
from this one connection and goes with it: a benchmark never touches data.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import simulated
from schemas.history import History
from streams import database, history

Select = Callable[[int], History]
MOST_FROM_FILE = 200_000
CHUNK = 50_000
TABLE = """CREATE TEMPORARY TABLE completions (
    task_id varchar(128), number bigint, user_id varchar(128), topic varchar(128),
    difficulty varchar(32), started_at timestamptz, completed_at timestamptz, is_correct boolean,
    actual_time_seconds double precision, timed_out boolean)"""
INDEXES = (
    "ALTER TABLE completions ADD PRIMARY KEY (task_id)",
    "CREATE UNIQUE INDEX ON completions (number)",
    "CREATE INDEX ON completions (user_id, number)",
    "ANALYZE completions",
)


def made(rows: int, seed: int, file: str | None) -> History:
    """``rows`` completions: the first of a file that ``save`` wrote, or else simulated ones."""
    if file is None:
        return simulated.history(rows, simulated.learners_of(rows), seed)
    with np.load(file) as columns:
        found = {name: columns[name][:rows] for name in columns.files}
    return History(**{n: c.astype(object) if c.dtype.kind == "U" else c for n, c in found.items()})


def save(past: History, path: Path) -> None:
    """Write a history's columns for another process."""
    texts = {name: c.astype(str) for name, c in vars(past).items() if c.dtype == object}
    np.savez(path, **{**vars(past), **texts})


def in_memory(past: History, rows: int, seed: int) -> Select:
    """What ``streams.history.sampled`` selects of a store that holds rows numbered 1 … n."""
    names, user = np.unique(past.users.astype(str), return_inverse=True)

    def select(upto: int) -> History:
        if upto <= rows:
            return _take(past, np.arange(upto))
        return _take(past, _sampled(names, user[:upto], rows, seed))

    return select


def in_store(past: History, rows: int, seed: int, url: str) -> Select:
    """The store's own selection, of a temporary table that holds these rows."""
    engine = database.connect(url, "bench", pool=1, statement_seconds=0)
    raw = engine.raw_connection()
    with closing(raw.cursor()) as cursor:
        cursor.execute(TABLE)
        for start in range(0, len(past), CHUNK):
            cursor.copy_expert("COPY completions FROM STDIN (FORMAT csv)", _lines(past, start))
        for statement in INDEXES:
            cursor.execute(statement)
    raw.commit()
    raw.close()
    return lambda upto: history.sampled(engine, upto, rows, seed)


def _sampled(
    names: NDArray[np.str_], user: NDArray[np.int64], rows: int, seed: int
) -> NDArray[np.int64]:
    upto, most = len(user), max(1, rows // 4)
    numbers = history.drawn(upto, rows // 2, seed)
    recent, others = (
        list(dict.fromkeys(names[of].tolist()))
        for of in (user[: -rows // 2 : -1], user[numbers - 1])
    )
    tasks = np.minimum(np.bincount(user, minlength=len(names)), most)
    counts = dict(zip(names.tolist(), tasks.tolist(), strict=True))
    chosen = history.within(recent, counts, rows // 2, set())
    spent = sum(counts[name] for name in chosen)
    chosen += history.within(others, counts, rows - spent, set(chosen))
    mine = np.flatnonzero(np.isin(names, chosen)[user])
    return _newest(mine, user[mine], most)


def _newest(rows: NDArray[np.int64], user: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Of ascending rows the last ``most`` of each learner."""
    order = np.lexsort((-rows, user))
    whose = user[order]
    place = np.arange(len(rows)) - np.searchsorted(whose, whose)
    return np.sort(rows[order[place < most]])


def _lines(past: History, start: int) -> io.StringIO:
    """Rows from ``start`` on as CSV in the table's columns."""
    some = _take(past, np.arange(start, min(start + CHUNK, len(past))))
    times = (_texts(column) for column in (some.started_at, some.completed_at))
    columns: tuple[Any, ...] = (
        (f"bench-{number}" for number in some.numbers), some.numbers, some.users, some.topics,
        some.difficulties, *times, some.is_correct, some.seconds, some.timed_out,
    )  # fmt: skip
    file = io.StringIO()
    csv.writer(file).writerows(zip(*columns, strict=True))
    file.seek(0)
    return file


def _texts(seconds: NDArray[np.float64]) -> list[str]:
    micros = np.rint(seconds * 1e6).astype("datetime64[us]")
    return [str(text) for text in np.datetime_as_string(micros, timezone="UTC")]


def _take(past: History, rows: NDArray[np.int64]) -> History:
    return History(**{name: column[rows] for name, column in vars(past).items()})
