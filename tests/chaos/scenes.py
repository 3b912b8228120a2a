"""The acts: everything at random, then each way of losing a side, one by one."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from tests.chaos import plan
from tests.chaos.act import Act, Verdict, act, watched
from tests.chaos.faults import Faults
from tests.chaos.journal import Journal
from tests.chaos.stage import Stage

SCENE_COMPLETIONS, SCENE_SECONDS = 600, 3.0


def fire(
    seed: int, stage: Stage, journal: Journal, completions: int, seconds: float,
    kinds: tuple[str, ...],
) -> Verdict:  # fmt: skip
    """All faults at random while the load goes on."""
    with act("fire", seed, stage, journal) as on, watched(on) as samples:
        load = on.load(completions, seconds)
        faults = Faults(stage, on.settings, on.workers, on.engine, journal)
        faults.run(plan.faults(seed, seconds, kinds), lambda: not load.done, load.begun)
        on.await_load(load, seconds)
        on.settle()
        verdict = on.verdict()
        verdict.facts |= load.facts() | {
            "skipped": faults.skipped,
            "ended_by_themselves": on.workers.ended,
            "largest_mib": round(on.workers.largest()),
        }
        verdict.faults, verdict.samples = list(journal.faults), list(samples)
    return verdict


def restored(seed: int, stage: Stage, journal: Journal) -> Verdict:
    """PostgreSQL goes back to a backup while the workers run, or (even seeds) between two runs."""
    with act("restored", seed, stage, journal) as on:
        on.publish(SCENE_COMPLETIONS, SCENE_SECONDS)
        on.settle()
        _with_store_down(on, lambda: stage.copy_store("data", "backup"))
        on.publish(SCENE_COMPLETIONS, SCENE_SECONDS)
        on.await_number(2 * SCENE_COMPLETIONS)
        if seed % 2 == 0:
            on.workers.kill()
        _with_store_down(on, lambda: stage.copy_store("backup", "data"))
        on.workers.start()
        journal.note("restored")
        on.publish(SCENE_COMPLETIONS, SCENE_SECONDS)
        on.settle()
        return on.verdict()


@retry(retry=retry_if_exception_type(OperationalError), stop=stop_after_attempt(20))
def _empty(engine: Engine) -> None:
    """Drop everything; where PostgreSQL ends this rather than a worker's deadlock, once more."""
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))


def emptied(seed: int, stage: Stage, journal: Journal) -> Verdict:
    """PostgreSQL loses its tables while the workers run and completions come."""
    with act("emptied", seed, stage, journal) as on:
        on.publish(SCENE_COMPLETIONS, SCENE_SECONDS)
        load = on.load(SCENE_COMPLETIONS, SCENE_SECONDS)
        on.await_number(SCENE_COMPLETIONS + SCENE_COMPLETIONS // 3)
        _empty(on.engine)
        journal.note("emptied")
        on.await_load(load, SCENE_SECONDS)
        on.settle()
        return on.verdict()


def new_kafka(seed: int, stage: Stage, journal: Journal) -> Verdict:
    """Kafka loses everything, the store nothing; one worker runs on, the other is restarted."""
    with act("newkafka", seed, stage, journal) as on:
        on.publish(SCENE_COMPLETIONS, SCENE_SECONDS)
        on.settle()
        assert stage.broker is not None
        stage.broker.kill()
        stage.empty_kafka()
        on.workers.all[seed % 2].kill()
        stage.start_kafka()
        on.workers.start()
        journal.note("kafka emptied")
        on.earlier, on.published = on.published, []
        on.publish(2 * SCENE_COMPLETIONS, 2 * on.settings.heal_seconds)
        on.settle()
        return on.verdict()


SCENES: dict[str, Callable[[int, Stage, Journal], Verdict]] = {
    "restored": restored,
    "emptied": emptied,
    "newkafka": new_kafka,
}


def _with_store_down(on: Act, work: Callable[[], None]) -> None:
    assert on.stage.database is not None
    on.stage.database.end()
    work()
    on.stage.start_postgres()
