"""One act: workers on topics and a store of their own, a load, something that hurts, a verdict."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from schemas.codec import Raw
from schemas.errors import Unreachable
from schemas.settings import Settings
from streams import database
from streams.count import rule
from tests.chaos import evidence, plan
from tests.chaos.evidence import Evidence
from tests.chaos.journal import Fault, Journal
from tests.chaos.judge import Check, Truth, judge, mark, settled, truth
from tests.chaos.load import Load
from tests.chaos.plan import Planned
from tests.chaos.progress import Progress, Sample
from tests.chaos.stage import Stage, Workers
from tests.servers import wait_until

SETTLE_SECONDS = 120.0
READ_AGAIN_A_SECOND = 1000  # where offsets were deleted, the counter reads from the start
START_SECONDS = 60.0


@dataclass
class Verdict:
    """What an act came to."""

    act: str
    truth: Truth
    evidence: Evidence
    checks: list[Check]
    facts: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


@dataclass
class Act:
    """``earlier``: published into a log that is gone since; ``published``: into this one;
    ``claims``: tasks that others have completed besides, by id."""

    name: str
    seed: int
    stage: Stage
    settings: Settings
    workers: Workers
    engine: Engine
    journal: Journal
    earlier: list[Planned] = field(default_factory=list)
    published: list[Planned] = field(default_factory=list)
    settled: list[bool] = field(default_factory=list)
    claims: dict[str, tuple[tuple[object, ...], datetime]] = field(default_factory=dict)

    def load(self, completions: int, seconds: float) -> Load:
        """Begin to publish so many more."""
        label = f"{self.name}-{len(self.earlier) + len(self.published)}"
        messages = plan.messages(self.seed, completions, seconds, datetime.now(UTC), label)
        self.published += messages
        load = Load(self.settings, messages)
        load.start()
        return load

    def publish(self, completions: int, seconds: float) -> None:
        """Publish so many more, to the end."""
        load = self.load(completions, seconds)
        self.await_load(load, seconds)

    def await_load(self, load: Load, seconds: float) -> None:
        self.wait("load done", lambda: load.done, seconds + 60)
        load.join(10)
        self.journal.note("published", **load.facts())

    def settle(self) -> None:
        """Wait until recording stands at the log's end and the counter agrees with the store."""
        began = time.monotonic()
        limit = SETTLE_SECONDS + len(self.published) / READ_AGAIN_A_SECOND
        came = self.wait("settled", self._agrees, limit)
        self.settled.append(came)
        self.journal.note("settled", ok=came, took=time.monotonic() - began)

    def _is_claim(self, raw: Raw) -> bool:
        return not mark(raw) and evidence.task_id(raw) in self.claims

    def _agrees(self) -> bool:
        try:
            generation, number = evidence.standing(self.engine)
            ends = evidence.ends(self.settings)
            stands = evidence.positions(self.settings, self.engine)
            counter = evidence.counter(self.settings)
        except (SQLAlchemyError, Unreachable):
            return False
        return (
            all(stands.get(partition, 0) >= end for partition, end in ends.items())
            and counter.generation == generation
            and counter.seen.spans == ((1, number),)
        )

    def wait(self, what: str, condition: Any, seconds: float) -> bool:
        """Whether it came; the workers are tended meanwhile."""

        def came() -> bool:
            self.workers.tend()
            return bool(condition())

        try:
            wait_until(came, seconds)
        except AssertionError:
            self.journal.note("did not come", awaited=what, seconds_waited=seconds)
            return False
        return True

    def await_number(self, number: int, seconds: float = 60) -> bool:
        """Wait until the store has numbered so many."""

        def reached() -> bool:
            try:
                return evidence.standing(self.engine)[1] >= number
            except SQLAlchemyError:
                return False

        return self.wait(f"number {number}", reached, seconds)

    def verdict(self) -> Verdict:
        """Judge what stands in topics and store now, and write it down."""
        due = truth(self.published, self.earlier)
        due = replace(due, every=self.settings.train_every, rule=rule(self.settings))
        due = replace(due, tasks=due.tasks | self.claims)
        found = evidence.gather(self.settings, self.engine)
        found = replace(found, log=[raw for raw in found.log if not self._is_claim(raw)])
        checks = [settled(self.settled), *judge(due, found)]
        for check in checks:
            self.journal.note("check", act=self.name, ok=check.ok, **check.__dict__)
        return Verdict(self.name, due, found, checks)


@contextmanager
def act(
    name: str, seed: int, stage: Stage, journal: Journal, kind: type[Workers] = Workers
) -> Iterator[Act]:
    """Two workers ready on an empty store; stopped afterwards."""
    settings = stage.settings(name)
    engine = database.connect(settings.database_url.get_secret_value(), "chaos")
    workers = kind(settings, journal)
    journal.note("act", name=name, seed=seed, prefix=settings.topic_prefix)
    try:
        workers.start()
        wait_until(lambda: _prepared(engine), START_SECONDS)
        yield Act(name, seed, stage, settings, workers, engine, journal)
    finally:
        workers.stop()
        engine.dispose()


@contextmanager
def watched(act: Act) -> Iterator[Sequence[Sample]]:
    """The store's progress meanwhile."""
    progress = Progress(act.engine)
    progress.start()
    try:
        yield progress.samples
    finally:
        progress.stop.set()
        progress.join(10)


def _prepared(engine: Engine) -> bool:
    try:
        with engine.connect() as connection:
            return bool(connection.execute(text("SELECT count(*) FROM cadences")).scalar())
    except SQLAlchemyError:
        return False
