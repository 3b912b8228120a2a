"""The store: PostgreSQL behind a handful of verbs. Numbering's rule itself is in numbering.py.

Every method opens its own short transaction and may raise SQLAlchemy's ``OperationalError``
while the database is away; callers retry (see ``is_away``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import structlog
from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    Engine,
    Text,
    cast,
    delete,
    func,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import (
    DataError,
    IntegrityError,
)

from schemas import tables
from schemas.errors import RetraceError
from schemas.events import NumberedCompletion
from streams import database
from streams.counting import Cadence, Interval
from streams.forgotten import Forgotten, claim_of
from streams.known import Known
from streams.numbering import (
    Numbered,
    Outcome,
    Place,
    Publication,
    Recorded,
    Stands,
    assign,
)
from streams.rows import COLUMNS, packed

log = structlog.get_logger("retrace")
_WITHIN = text(
    """SELECT number, completed_at
    FROM unnest(cast(:firsts AS bigint[]), cast(:lasts AS bigint[])) AS span(first, last)
    JOIN completions ON number BETWEEN first AND last ORDER BY number"""
)
NOW = literal_column("(extract(epoch FROM clock_timestamp()) * 1000)::bigint", BigInteger)


class StoreWentBack(RetraceError):
    """The store is not as this worker left it: restored, emptied, or being rebuilt."""


class Store:
    """Recording and its bookkeeping. Reads of history are in ``streams.history``."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self._known = engine, Known()

    def prepare(self, every: int) -> None:
        """Tables, the counter's row and the cadence: all that an empty database needs."""
        database.migrate(self.engine)
        self.set_cadence(every)

    def record(self, batch: Sequence[Publication], stands: Stands | None) -> Outcome:
        """Record a batch in one transaction; a row that PostgreSQL refuses fails alone.

        Raises ``StoreWentBack`` where the store's position is behind ``stands.before``, or
        another generation has begun. What is a forgotten learner's is recorded as nobody's.
        """
        try:
            return self._record(batch, stands)
        except (DataError, IntegrityError) as error:
            if len(batch) == 1:
                reason = type(error.orig).__name__
                return Outcome(0, refused=[(batch[0], reason)], advanced=False)
        middle = len(batch) // 2
        return _joined(self.record(batch[:middle], None), self.record(batch[middle:], None))

    def _record(self, batch: Sequence[Publication], stands: Stands | None) -> Outcome:
        with self.engine.begin() as connection:
            generation, last, version = _locked(connection)
            if stands is not None:
                _refuse_going_back(connection, stands, generation)
            forgotten = self._known.at(connection, version)
            also: dict[str, str] = {}
            if forgotten:
                batch, also = forgotten.without(batch)
            numbered = assign(last, batch, _known(connection, batch, also, forgotten))
            _insert(connection, numbered.fresh)
            if numbered.fresh:
                counted = update(tables.numbering).values(last_number=numbered.fresh[-1][0])
                connection.execute(counted)
            settled = stands is not None and not numbered.conflicts
            if stands is not None and settled:
                _advance(connection, stands)
        return Outcome(generation, numbered, advanced=settled)

    def advance(self, stands: Stands) -> None:
        """Move the position in the log forward, never back.

        Raises ``StoreWentBack`` as ``record`` does: what is read again must not be passed over.
        """
        with self.engine.begin() as connection:
            generation, _ = lock_counter(connection)
            _refuse_going_back(connection, stands, generation)
            _advance(connection, stands)

    def positions(self, topic_id: str) -> dict[int, int]:
        """Partition to the next offset to read, for one incarnation of a topic."""
        with self.engine.connect() as connection:
            return _positions(connection, topic_id)

    def standing(self) -> tuple[int, int]:
        """The generation and the highest number."""
        with self.engine.connect() as connection:
            row = connection.execute(
                select(tables.numbering.c.generation, tables.numbering.c.last_number)
            ).one_or_none()
        return (0, 0) if row is None else (row.generation, row.last_number)

    def begin_generation(self, over: int) -> None:
        """What is recorded counts anew, in a generation above ``over``, unless it does already.

        For a store that went back: its next numbers may go to other completions than before.
        """
        with self.engine.begin() as connection:
            own, last = lock_counter(connection)
            if own > over:
                return
            raised = update(tables.numbering).values(generation=func.greatest(over + 1, NOW))
            connection.execute(raised)
        log.warning("the store went back: all of it counts anew", completions=last)

    def set_cadence(self, every: int) -> None:
        """A train-request at every ``every``-th completion, from the next number on.

        A rebuilt store counts by the cadences of before; a change on the way ends those to come.
        """
        table = tables.cadences
        with self.engine.begin() as connection:
            _, last = lock_counter(connection)
            newest = select(table.c.every).order_by(table.c.first_number.desc()).limit(1)
            if connection.execute(newest).scalar() == every:
                return
            connection.execute(delete(table).where(table.c.first_number > last + 1))
            row = upsert(table).values(first_number=last + 1, every=every)
            changed = row.on_conflict_do_update(
                index_elements=[table.c.first_number], set_={"every": every}
            )
            connection.execute(changed)

    def cadences(self) -> tuple[Cadence, ...]:
        """The cadences ever in force, ascending by first number."""
        table = tables.cadences
        with self.engine.connect() as connection:
            rows = connection.execute(select(table).order_by(table.c.first_number)).all()
        return tuple(Cadence(row.first_number, row.every) for row in rows)

    def numbered(self, *spans: Interval) -> list[NumberedCompletion]:
        """The completions numbered within these spans, both ends included, ascending."""
        firsts, lasts = zip(*spans, strict=True) if spans else ((), ())
        with self.engine.connect() as connection:
            rows = connection.execute(_WITHIN, {"firsts": [*firsts], "lasts": [*lasts]}).all()
        return [NumberedCompletion(number=n, completed_at=at) for n, at in rows]


def lock_counter(connection: Connection) -> tuple[int, int]:
    """Hold the counter's row to the end of the transaction; make it in an emptied store."""
    return _locked(connection)[:2]


def _locked(connection: Connection) -> tuple[int, int, int]:
    """Generation, last number, and the version of the list of the forgotten."""
    names = ("generation", "last_number", "forgotten")
    columns = [tables.numbering.c[name] for name in names]
    row = connection.execute(select(*columns).with_for_update()).one_or_none()
    if row is None:
        highest = select(func.coalesce(func.max(tables.completions.c.number), 0))
        fresh = upsert(tables.numbering).values(
            id=1,
            generation=NOW,
            last_number=highest.scalar_subquery(),
            forgotten=NOW,
        )
        connection.execute(fresh.on_conflict_do_nothing())
        row = connection.execute(select(*columns).with_for_update()).one()
    return row.generation, row.last_number, row.forgotten


def _known(
    connection: Connection,
    batch: Iterable[Publication],
    also: Mapping[str, str],
    forgotten: Forgotten,
) -> dict[str, Recorded]:
    """What is recorded of a batch's tasks, by its ids; ``also`` are others of theirs."""
    table = tables.completions
    wanted = [publication.task.task_id for publication in batch]
    ids = json.dumps([*wanted, *also], ensure_ascii=False)
    # As JSON they cost a quarter of an array parameter, and the index is used without statistics.
    elements = select(func.json_array_elements_text(cast(cast(ids, Text), JSON))).scalar_subquery()
    one_of_them = table.c.task_id == func.any(func.array(elements))
    columns = (
        table.c.task_id, table.c.number, table.c.completed_at, table.c.user_id, table.c.topic,
        table.c.difficulty, table.c.is_correct, table.c.actual_time_seconds,
        table.c.log_partition, table.c.log_offset,
    )  # fmt: skip
    rows = connection.execute(select(*columns).where(one_of_them))
    found = {
        row[0]: Recorded(row[1], row[2], tuple(row[3:8]), Place(row[8], row[9])) for row in rows
    }
    return found if not forgotten else _by_batch(found, also, forgotten)


def _by_batch(
    found: Mapping[str, Recorded], also: Mapping[str, str], forgotten: Forgotten
) -> dict[str, Recorded]:
    """What is recorded, under the batch's ids too; the forgotten claim nothing."""
    told = {
        task_id: replace(one, claim=claim_of(one.claim, forgotten))
        for task_id, one in found.items()
    }
    return told | {also[task_id]: one for task_id, one in told.items() if task_id in also}


def _insert(connection: Connection, fresh: Sequence[tuple[int, Publication]]) -> None:
    if fresh:
        database.copy(connection, tables.completions.name, COLUMNS, packed(fresh))


def _positions(connection: Connection, topic_id: str) -> dict[int, int]:
    table = tables.log_positions
    query = select(table.c.log_partition, table.c.next_offset).where(table.c.topic_id == topic_id)
    return {row.log_partition: row.next_offset for row in connection.execute(query)}


def _refuse_going_back(connection: Connection, stands: Stands, generation: int) -> None:
    if stands.generation not in (None, generation):
        raise StoreWentBack("another generation of the store has begun")
    stored = _positions(connection, stands.topic_id)
    behind = [p for p, before in stands.before.items() if stored.get(p, 0) < before]
    if behind:
        raise StoreWentBack(f"the store stands earlier in the log, partitions {behind}")


def _advance(connection: Connection, stands: Stands) -> None:
    table = tables.log_positions
    rows = [
        {"topic_id": stands.topic_id, "topic": stands.topic, "log_partition": p, "next_offset": n}
        for p, n in sorted(stands.after.items())
    ]
    if not rows:
        return
    statement = upsert(table)
    forward = func.greatest(table.c.next_offset, statement.excluded.next_offset)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[table.c.topic_id, table.c.log_partition],
            set_={"next_offset": forward, "updated_at": func.now()},
        ),
        rows,
    )


def _joined(left: Outcome, right: Outcome) -> Outcome:
    numbered = Numbered(
        left.numbered.fresh + right.numbered.fresh,
        left.numbered.again + right.numbered.again,
        left.numbered.conflicts + right.numbered.conflicts,
        left.numbered.duplicates + right.numbered.duplicates,
    )
    generation = max(left.generation, right.generation)
    return Outcome(generation, numbered, left.refused + right.refused, advanced=False)
