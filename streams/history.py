"""History read from the store, in its one order: the completions' numbers.

Nobody's completions, whose learners are forgotten, are no part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, Result, Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, String

from schemas.history import History
from streams import database
from streams.known import VERSION

K = TypeVar("K")
_COLUMNS = """number, user_id, topic, difficulty, extract(epoch FROM started_at)::float8,
    extract(epoch FROM completed_at)::float8, is_correct, actual_time_seconds, timed_out"""
_ALL = text(
    f"SELECT {_COLUMNS} FROM completions WHERE number <= :upto AND user_id <> '' ORDER BY number"  # noqa: S608
)
_RECENT = text(
    """SELECT user_id FROM completions WHERE number > :after AND number <= :upto
        AND user_id <> '' GROUP BY user_id ORDER BY max(number) DESC"""
)
_WHOSE = text(
    "SELECT number, user_id FROM completions WHERE number = ANY(:numbers) AND user_id <> ''"
)
_COUNTS = text(
    """SELECT learner.id, (SELECT count(*) FROM (
        SELECT 1 FROM completions WHERE user_id = learner.id AND number <= :upto LIMIT :most
    ) AS counted) FROM unnest(:users) AS learner(id)"""
).bindparams(bindparam("users", type_=ARRAY(String)))
_NEWEST = f"""SELECT {_COLUMNS} FROM unnest({{}}, {{}}) AS learner(id, after)
        CROSS JOIN LATERAL (
            SELECT * FROM completions
            WHERE user_id = learner.id AND number > learner.after AND number <= {{}}
            ORDER BY number DESC LIMIT {{}}
        ) AS newest"""  # noqa: S608
_OF_LEARNERS = text(
    f"{_NEWEST.format(':users', ':after', ':upto', ':newest')} ORDER BY number"
).bindparams(bindparam("users", type_=ARRAY(String)), bindparam("after", type_=ARRAY(BigInteger)))
# Planned once a connection. One row at least, so that it tells of the generation too.
_PREPARE_NEWER = f"""PREPARE newer (text[], bigint[], bigint) AS
    SELECT (SELECT generation FROM numbering), ({VERSION}), new.* FROM (SELECT) AS once
    LEFT JOIN ({_NEWEST.format("$1", "$2", 2**62, "$3")}) AS new ON true ORDER BY new.number"""  # noqa: S608
_NEWER = "EXECUTE newer (%s, %s, %s)"
LAST = 2**62  # after every completion
_ACTIVE = """SELECT last_number, user_id FROM numbering LEFT JOIN LATERAL (
        SELECT user_id FROM completions WHERE number > %s ORDER BY number DESC LIMIT %s
    ) AS newest ON user_id <> ''"""


def everything(engine: Engine, upto: int) -> History:
    """All completions numbered up to ``upto``."""
    with engine.connect() as connection:
        return columns(connection.execute(_ALL, {"upto": upto}).all())


def sampled(engine: Engine, upto: int, rows: int, seed: int) -> History:
    """About ``rows`` of the completions numbered up to ``upto``: all of them where they are not
    more; else whole learners, half of the rows from those who were active last, the others from
    learners drawn with the chance of their share of all completions."""
    if upto <= rows:
        return everything(engine, upto)
    most = max(1, rows // 4)
    with engine.connect() as connection:
        recent = _names(connection.execute(_RECENT, {"after": upto - rows // 2, "upto": upto}))
        numbers = drawn(upto, rows // 2, seed).tolist()
        whose = _pairs(connection.execute(_WHOSE, {"numbers": numbers}))
        others = list(dict.fromkeys(whose[number] for number in numbers if number in whose))
        values = {"users": list(dict.fromkeys(recent + others)), "most": most, "upto": upto}
        counts = _pairs(connection.execute(_COUNTS, values))
    chosen = within(recent, counts, rows // 2, set())
    spent = sum(counts[name] for name in chosen)
    chosen += within(others, counts, rows - spent, set(chosen))
    return of_learners(engine, chosen, most, upto)


def drawn(upto: int, count: int, seed: int) -> NDArray[np.int64]:
    """Random numbers up to ``upto``; the same ones remain, and few come, while the store grows."""
    power = max(1, upto - 1).bit_length()
    numbers = np.random.default_rng([seed, power]).integers(1, 2**power + 1, 2 * count)
    return numbers[numbers <= upto][:count]


def _names(found: Result[Any]) -> list[str]:
    return [row[0] for row in found]


def _pairs(found: Result[Any, Any]) -> dict[Any, Any]:
    return {row[0]: row[1] for row in found}


def within(names: list[K], counts: Mapping[K, int], rows: int, taken: set[K]) -> list[K]:
    """The first of these learners, as far as their rows go; at least one."""
    wanted = [name for name in names if name not in taken]
    total = np.cumsum([counts[name] for name in wanted])
    return wanted[: max(1, int(np.searchsorted(total, rows, side="right")))]


def of_learners(engine: Engine, users: Sequence[str], newest: int, upto: int = 2**62) -> History:
    """The ``newest`` completions of each of these learners, of those numbered up to ``upto``,
    together in ascending number."""
    wanted = sorted(set(users))
    values = {"users": wanted, "after": [0] * len(wanted), "newest": newest, "upto": upto}
    with engine.connect() as connection:
        return columns(connection.execute(_OF_LEARNERS, values).all())


def newer(
    connection: Connection, after: Mapping[str, int], newest: int
) -> tuple[int, int, History]:
    """The generation of the numbers, the version of the list of the forgotten, and of each of these
    learners the ``newest`` completions numbered after the one given, in ascending number."""
    if "newer" not in connection.info:
        connection.exec_driver_sql(_PREPARE_NEWER)
        connection.info["newer"] = True
    rows = database.rows(connection, _NEWER, ([*after], [*after.values()], newest))
    found = NOTHING if rows[0][2] is None else columns([row[2:] for row in rows])
    return rows[0][0] or 0, rows[0][1] or 0, found


def active(connection: Connection, after: int, most: int) -> tuple[int, list[str]]:
    """The last number, and whose the newest ``most`` completions numbered after the one given are,
    the newest first."""
    rows = database.rows(connection, _ACTIVE, (after, most))
    users = dict.fromkeys(user for _, user in rows if user is not None)
    return rows[0][0] if rows else after, list(users)


def columns(rows: Sequence[Row[tuple[object, ...]]] | Sequence[tuple[object, ...]]) -> History:
    """Rows in ``History``'s column order as columns."""
    fields = list(zip(*rows, strict=True)) or [()] * 9
    kinds = (np.int64, object, object, object, np.float64, np.float64, bool, np.float64, bool)
    arrays = [np.array(values, dtype=kind) for values, kind in zip(fields, kinds, strict=True)]
    return History(*arrays)


NOTHING = columns([])
