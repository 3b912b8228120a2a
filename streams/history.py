"""History read from the store, in its one order: the completions' numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Engine, Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import String

from schemas.history import History

_COLUMNS = """number, user_id, topic, difficulty, extract(epoch FROM started_at)::float8,
    extract(epoch FROM completed_at)::float8, is_correct, actual_time_seconds, timed_out"""
_ALL = text(f"SELECT {_COLUMNS} FROM completions WHERE number <= :upto ORDER BY number")  # noqa: S608
_OF_LEARNERS = text(
    f"""SELECT {_COLUMNS} FROM unnest(:users) AS learner(id) CROSS JOIN LATERAL (
        SELECT * FROM completions WHERE user_id = learner.id ORDER BY number DESC LIMIT :newest
    ) AS newest ORDER BY number"""  # noqa: S608
).bindparams(bindparam("users", type_=ARRAY(String)))


def everything(engine: Engine, upto: int) -> History:
    """All completions numbered up to ``upto``."""
    with engine.connect() as connection:
        return columns(connection.execute(_ALL, {"upto": upto}).all())


def of_learners(engine: Engine, users: Sequence[str], newest: int) -> History:
    """The ``newest`` completions of each of these learners, together in ascending number."""
    values = {"users": sorted(set(users)), "newest": newest}
    with engine.connect() as connection:
        return columns(connection.execute(_OF_LEARNERS, values).all())


def columns(rows: Sequence[Row[tuple[object, ...]]] | Sequence[tuple[object, ...]]) -> History:
    """Rows in ``History``'s column order as columns."""
    fields = list(zip(*rows, strict=True)) or [()] * 9
    kinds = (np.int64, object, object, object, np.float64, np.float64, bool, np.float64, bool)
    arrays = [np.array(values, dtype=kind) for values, kind in zip(fields, kinds, strict=True)]
    return History(*arrays)
