"""The gate at work: a candidate against the best version, on rows that neither had learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import Engine, Row

from schemas.history import History
from streams.patience import first_line
from training import versions
from training.gate import UNCOMPARED, UNRIVALLED, Rule, Verdict, judged
from training.metrics import take
from training.record import FACTS, Record
from training.served import Served

log = structlog.get_logger("retrace")
MOST_FAILURES = 3

Floats = NDArray[np.float64]
Facts = tuple[float, ...]


class Gate:
    """``load`` gives a version by path and hash, the same while it is asked for again; ``stored``
    calls what needs the store, and waits for it."""

    def __init__(
        self,
        rule: Rule,
        engine: Engine,
        load: Callable[[str, str], Served],
        stored: Callable[..., Any],
    ) -> None:
        self.rule, self.engine, self.load, self.stored = rule, engine, load, stored
        self._opponent: Opponent | None = None
        self._failures = 0

    def verdict(self, record: Record, past: History, generation: int) -> Verdict:
        """Of a candidate with this record, trained on this past. A best version that can't be asked
        holds up nobody, and after some trainings another takes its place; one of an earlier
        ``generation`` of numbers can't tell by them what it has learned, and yields at once."""
        best = self.stored(versions.best, self.engine)
        if best is None:
            return UNRIVALLED
        try:
            opponent = self._loaded(best)
            if opponent.served.generation != generation:
                return UNRIVALLED
            p = opponent.probabilities(record, past)
            self._failures = 0
        except Exception as error:
            log.warning("not compared", version=best.version, because=first_line(error))
            self._failures += 1
            return UNRIVALLED if self._failures >= MOST_FAILURES else UNCOMPARED
        correct = record.column("correct") > 0.5
        return judged(correct, record.product()[0], p, best.version, self.rule)

    def _loaded(self, best: Row[Any]) -> Opponent:
        served = self.load(best.artifact, best.sha256)
        if self._opponent is None or self._opponent.served is not served:
            self._opponent = Opponent(best.version, served)
        return self._opponent


class Opponent:
    """One version, loaded. What it said of a row is remembered: each training brings only few."""

    def __init__(self, version: int, served: Served) -> None:
        self.version, self.served = version, served
        self._network = dict(zip(_facts(served.record), _network(served.record), strict=True))
        p = served.record.product()[0].tolist()
        self._said = dict(zip(_facts(served.record), p, strict=True))

    def probabilities(self, record: Record, past: History) -> Floats:
        """Of each row of a candidate's record; NaN where this version has learned it unseen, or
        where both have one and the same prediction from a common ancestor."""
        facts = _facts(record)
        unknown = [at for at, row in enumerate(facts) if row not in self._said]
        self._ask([facts[at] for at in unknown], past)
        said = np.array([self._said.get(row, np.nan) for row in facts], dtype=np.float64)
        network = zip(facts, _network(record), strict=True)
        inherited = [self._network.get(row) == p for row, p in network]
        self._said = {row: p for row, p in zip(facts, said.tolist(), strict=True) if p == p}
        return np.where(inherited, np.nan, said)

    def _ask(self, rows: list[Facts], past: History) -> None:
        """Predict rows from the histories of those who did them."""
        wanted = [row for row in rows if row[0] > self.served.completions]
        numbers = np.array([row[0] for row in wanted], dtype=np.int64)
        is_wanted = np.isin(past.numbers, numbers)
        if not is_wanted.any():
            return
        theirs = np.isin(past.users.astype(str), past.users[is_wanted].astype(str))
        some, at = take(past, theirs), np.flatnonzero(is_wanted[theirs])
        p, _, _ = self.served.before_learning(some, at)
        said = dict(zip(some.numbers[at].tolist(), p.tolist(), strict=True))
        self._said |= {row: said[int(row[0])] for row in wanted if int(row[0]) in said}


def _facts(record: Record) -> list[Facts]:
    return [tuple(row) for row in record.rows[:, : len(FACTS)].tolist()]


def _network(record: Record) -> list[float]:
    return [float(p) for p in record.column("network_p")]
