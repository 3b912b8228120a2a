"""The whole system: every service, three brokers, faults on two lanes, and people who ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from schemas import topics
from schemas.errors import Unreachable
from schemas.tables import revisions, train_requests
from streams import database, known
from streams.forgotten import Forgotten
from tests.chaos import evidence, plan, promises
from tests.chaos.act import Act, Verdict, act, watched
from tests.chaos.asking import Asker, Practice
from tests.chaos.fallen import SystemFaults
from tests.chaos.hearing import Hearing, Pulse, readiness
from tests.chaos.journal import Journal
from tests.chaos.judge import CLAIM, Check
from tests.chaos.promises import Seen
from tests.chaos.threefold import Threefold, Troupe
from tests.chaos.trainings import FULL, Trainings
from tests.servers import wait_until

READY_SECONDS, ANSWER_SECONDS = 180.0, 180.0
# As long may be begun to hurt trainings: a share of the load's time, at least so many seconds.
TRAININGS_SHARE, TRAININGS_SECONDS = 2.0, 600.0


@dataclass
class Crowd:
    """All who watch and ask while the system is hurt."""

    asker: Asker
    practice: Practice
    hearing: Hearing
    pulse: Pulse

    def start(self) -> None:
        for thread in (self.hearing, self.pulse, self.asker, self.practice):
            thread.start()

    def stop(self) -> None:
        for thread in (self.practice, self.asker):
            thread.stop.set()

    def end(self) -> None:
        for thread in (self.practice, self.asker, self.pulse, self.hearing):
            thread.stop.set()
            thread.join(5)


def everything(
    seed: int, stage: Threefold, journal: Journal, completions: int, seconds: float,
    kinds: tuple[str, ...], trainings: tuple[str, ...],
) -> Verdict:  # fmt: skip
    """All faults of all services at random while completions come and predictions are asked."""
    with act("everything", seed, stage, journal, Troupe) as on, _cast(on) as crowd:
        troupe = on.workers
        assert isinstance(troupe, Troupe)
        patient = database.connect(
            on.settings.database_url.get_secret_value(), "chaos", statement_seconds=0
        )
        faults = SystemFaults(stage, on.settings, troupe, on.engine, journal)
        faults.practice = crowd.practice
        faults.add()
        lane = Trainings(
            stage, on.settings, troupe, patient, crowd.hearing, journal, faults.soon, seed
        )
        lane.plan = [kind for kind in lane.plan if kind in trainings]
        if stage.small_store is None and FULL in lane.plan:
            lane.plan.remove(FULL)
            journal.note("not tried", kind=FULL, because="no small file system may be mounted here")
        lane.until = time.monotonic() + max(TRAININGS_SHARE * seconds, TRAININGS_SECONDS)
        with watched(on) as samples:
            load = on.load(completions, seconds)
            lane.start()
            hits = plan.faults(seed, seconds, kinds)
            faults.run(hits, lambda: not load.done or lane.is_alive(), load.begun)
            on.await_load(load, seconds)
            crowd.stop()
            troupe.start()
            troupe.start_others()
            seen = _settle(on, crowd, lane)
        on.claims = {task_id: _claim(told) for task_id, told in crowd.practice.told.claims.items()}
        verdict = on.verdict()
        skipped = faults.skipped + lane.skipped
        done = (fault.kind for fault in journal.faults)
        verdict.checks += _examined(seen(verdict), on, promises.carried_out(skipped, done))
        verdict.facts |= (
            load.facts()
            | _facts(seen(verdict), crowd)
            | {
                "skipped": skipped,
                "ended_by_themselves": troupe.ended,
            }
        )
        verdict.faults, verdict.samples = list(journal.faults), list(samples)
        journal.note("facts", **verdict.facts)
        patient.dispose()
    return verdict


@contextmanager
def _cast(on: Act) -> Iterator[Crowd]:
    """The other services ready, and the crowd at work; all ended afterwards."""
    troupe = on.workers
    assert isinstance(troupe, Troupe)
    troupe.start_others()
    crowd = Crowd(
        Asker(on.settings, on.seed), Practice(on.settings, on.seed), Hearing(on.settings),
        Pulse(troupe),
    )  # fmt: skip
    try:
        ready = [child for child in troupe.others if child is not troupe.gateway]
        wait_until(lambda: all(readiness(c).get("ready") for c in ready), READY_SECONDS)
        on.journal.note("everything ready")
        crowd.start()
        yield crowd
    finally:
        crowd.end()
        troupe.stop_others()


def _settle(on: Act, crowd: Crowd, lane: Trainings) -> Callable[[Verdict], Seen]:
    """Wait until nothing is open any more; what has been seen, once there is a verdict."""
    on.wait("askers done", lambda: not crowd.asker.is_alive(), 90)
    on.wait("practice done", lambda: not crowd.practice.is_alive(), 120)
    on.settle()
    on.settled.append(on.wait("answers and outcomes", lambda: _is_quiet(on, crowd), ANSWER_SECONDS))
    return lambda verdict: _seen(on, crowd, lane, verdict)


def _is_quiet(on: Act, crowd: Crowd) -> bool:
    """Whether every request is answered and every training has ended."""
    try:
        asked = {r["request_id"] for r in evidence.values(on.settings, topics.TRAIN_REQUEST)}
        if asked - _outcomes(on.engine).keys():
            return False
        told = evidence.values(on.settings, topics.TRAINING_PROGRESS)
        if asked - {one["request_id"] for one in told if one["state"] in promises.ENDED}:
            return False
        found = evidence.values(on.settings, topics.PREDICTION)
        if evidence.named(on.engine):
            return False
    except (SQLAlchemyError, Unreachable):
        return False
    return not crowd.asker.asked.keys() - {one["request_id"] for one in found}


def _seen(on: Act, crowd: Crowd, lane: Trainings, verdict: Verdict) -> Seen:
    claims = crowd.practice.told.claims
    updates = [(one.at, one.event) for one in crowd.hearing.updates]
    progress = evidence.values(on.settings, topics.TRAINING_PROGRESS)
    versions: dict[str, set[int]] = {}
    for event in progress:
        if event.get("version") is not None:
            versions.setdefault(event["request_id"], set()).add(event["version"])
    return Seen(
        asked=crowd.asker.asked,
        predictions=evidence.values(on.settings, topics.PREDICTION),
        requests=verdict.evidence.requests,
        progress=progress,
        outcomes=_outcomes(on.engine),
        learned={event.request_id: event.completions for _, event in updates},
        claims=claims,
        rows={
            row.task_id: (row.claim[0], row.claim[3], row.claim[4], row.completed_at)
            for row in verdict.evidence.rows
        },
        logged=[event for event in evidence.good_values(on.settings) if event["task_id"] in claims],
        given_up=crowd.practice.given_up,
        announced=[(at, event.revision, event.version) for at, event in updates],
        causes=_causes(on.engine),
        broken=lane.broken,
        revisions=crowd.pulse.revisions,
        versions={name: len(found) for name, found in versions.items()},
        forgotten=_forgotten(on.engine),
    )


def _examined(seen: Seen, on: Act, carried_out: Check) -> list[Check]:
    checks = [carried_out, *promises.examine(seen)]
    for check in checks:
        on.journal.note("check", act=on.name, ok=check.ok, **check.__dict__)
    return checks


def _facts(seen: Seen, crowd: Crowd) -> dict[str, object]:
    waits, posts = promises.latencies(seen), sorted(crowd.practice.told.seconds)
    return {
        "asked": len(seen.asked),
        "answer_seconds": _spread(waits),
        "without_model": sum(one["model_revision"] is None for one in seen.predictions),
        "forgotten": len(seen.forgotten),
        "claims": len(seen.claims),
        "post_seconds": _spread(posts),
        "gateway": dict(crowd.practice.told.states),
        "trainings": dict(promises.tally(seen)),
        "revisions": len(seen.causes),
        "latest": promises.latest(seen),
    }


def _spread(seconds: list[float]) -> dict[str, float]:
    """Median, 99th percentile and longest."""
    if not seconds:
        return {}
    at = {"p50": 0.5, "p99": 0.99, "longest": 1.0}
    last = len(seconds) - 1
    return {name: round(seconds[int(share * last)], 3) for name, share in at.items()}


def _claim(told: dict[str, object]) -> tuple[tuple[object, ...], datetime]:
    return tuple(told[name] for name in CLAIM), datetime.fromisoformat(str(told["completed_at"]))


def _outcomes(engine: Engine) -> dict[str, str]:
    table = train_requests.c
    query = select(table.request_id, table.state).where(table.state.in_(promises.ENDED))
    with engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def _forgotten(engine: Engine) -> dict[str, datetime]:
    """Since when learners are forgotten."""
    with engine.connect() as connection:
        entries = known.entries(connection)
    names = [f"learner-{number}" for number in range(plan.LEARNERS)]
    listed = [(Forgotten.of([entry]), entry.forgotten_at) for entry in entries]
    return {name: at for one, at in listed for name in names if name in one}


def _causes(engine: Engine) -> list[tuple[int, int, str]]:
    query = select(revisions.c.revision, revisions.c.version, revisions.c.cause)
    with engine.connect() as connection:
        return [(row[0], row[1], row[2]) for row in connection.execute(query)]
