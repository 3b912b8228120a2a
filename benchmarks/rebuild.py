"""One history's rebuilds: the first from nothing, then one at every five completions more.

A rebuild is what the trainer does between a train-request and its registry: read the version that
serves, select rows, fit, write the files. Run as a process of its own by ``benchmarks.train``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks import child, machine, past
from streams import database

EVERY = 5


@dataclass
class Watch:
    """Seconds of each part of one rebuild, by name; the processor's own beside them, which other
    work on the machine does not lengthen."""

    parts: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.process_time)

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.parts[part] = round(time.perf_counter() - began, 4)

    def figures(self) -> dict[str, float]:
        cpu = time.process_time() - self.began
        return {"seconds": round(sum(self.parts.values()), 4), "cpu": round(cpu, 4)} | self.parts


def measure(job: dict[str, Any], tell: child.Tell) -> dict[str, Any]:
    """A job is what ``benchmarks.train.job`` makes."""
    watch = Watch()
    with watch("import"):
        from training import export, fit, served  # noqa: F401  Only the time it takes.
    rows, repeats = job["rows"], job["repeats"]
    select, where = _source(job)
    before, load = machine.peak_mib(), machine.load()
    trainer = Rebuilds(job, select)
    cold = trainer.next(rows)
    tell(f"cold {cold['seconds']:.2f} s")
    warm = []
    for at in range(1, repeats + 1):
        warm.append(trainer.next(rows + EVERY * at))
        tell(f"warm {warm[-1]['seconds']:.2f} s")
    return {
        "rows": rows, "learned": trainer.learned, "learners": trainer.learners, "history": where,
        "data": "simulated" if job["file"] is None else "file", "load": load,
        "import_seconds": watch.parts["import"], "cold": cold, "warm": warm,
        "peak_mib": machine.peak_mib(), "before_mib": before,
    }  # fmt: skip


class Rebuilds:
    """A trainer's memory between requests: its fitter, and the version that serves."""

    def __init__(self, job: dict[str, Any], select: past.Select) -> None:
        from training.fit import Order

        self._select, self._threads = select, job["threads"]
        self._order = Order(job["seed"], job["arch"], job["epochs"])
        self._fitter: Any = None
        self._published: Any = None
        self.learned = self.learners = 0

    def next(self, upto: int) -> dict[str, Any]:
        """Rebuild from the completions up to this number."""
        from training import export
        from training.artifacts import Artifact
        from training.deep import Watcher
        from training.fit import Fitter
        from training.served import Served

        watch, rounds, version = Watch(), list[int](), None
        if self._published is not None:
            with watch("load"):
                version = Served(Artifact("bench", *self._published))
        with watch("select"):
            selected = self._select(upto)
        with watch("fit"):
            self._fitter = self._fitter or Fitter(threads=self._threads)
            fitted = self._fitter.fit(
                selected, self._order, Watcher(lambda report: rounds.append(report.epochs)),
                serving=version and version.before_learning, known=version and version.record,
            )  # fmt: skip
        with watch("export"):
            self._published = export.files(fitted), fitted.metadata()
        self.learned, self.learners = fitted.rows, fitted.users
        return watch.figures() | {"from_nothing": max(rounds) > 1}


def _source(job: dict[str, Any]) -> tuple[past.Select, str]:
    """The database where one answers, else memory; and which of the two it is."""
    made = past.made(job["rows"] + EVERY * job["repeats"], job["seed"], job["file"])
    if job["database"]:
        try:
            return past.in_store(made, job["train_rows"], job["seed"], job["database"]), "store"
        except Exception as error:
            if not database.is_away(error):
                raise
    return past.in_memory(made, job["train_rows"], job["seed"]), "memory"


if __name__ == "__main__":
    child.serve(measure)
