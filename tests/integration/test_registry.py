"""The registry: outcomes that stand, versions and revisions, and losing a side."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from schemas.errors import ArtifactError, RetraceError
from schemas.events import ModelMetrics, ModelUpdated, TrainRequest
from streams import database
from training import artifacts, versions
from training.gate import Verdict
from training.registry import Ended, Registry
from training.revisions import Revisions

NOW = datetime(2026, 1, 1, tzinfo=UTC)
METADATA = {"users": 3, "topics": 2, "difficulties": 1, "completions": 10}
METRICS = ModelMetrics(rows=2, log_loss=0.5)


@pytest.fixture
def engine(database_url: str):  # type: ignore[no-untyped-def]
    made = database.connect(database_url, "tests")
    database.migrate(made)
    yield made
    made.dispose()


@pytest.fixture
def registry(engine: Engine, tmp_path: Path) -> Registry:
    return Registry(engine, str(tmp_path / "models"))


def request(number: int) -> TrainRequest:
    return TrainRequest(
        request_id=f"count-{number}", trigger="count", completions=number, requested_at=NOW
    )


def note(registry: Registry, wanted: TrainRequest) -> Ended | None:
    return registry.note([wanted]).get(wanted.request_id)


def published(registry: Registry, number: int) -> ModelUpdated:
    note(registry, request(number))
    ended = registry.publish(request(number), {"weights": b"w"}, METADATA, METRICS)
    updated = registry.revisions.serving()
    assert ended is not None
    assert updated is not None
    assert ended == Ended("published", None, updated.version)
    return updated


def pruned(registry: Registry, keep: int, young: timedelta, now: datetime) -> list[int]:
    return versions.prune(registry.engine, registry.root_url, keep, young, now)


def test_the_first_outcome_stands(registry: Registry) -> None:
    assert note(registry, request(5)) is None
    assert registry.end("count-5", "rejected", "too few").state == "rejected"
    assert registry.end("count-5", "failed", "later").reason == "too few"
    again = note(registry, request(5))
    assert again is not None
    assert (again.state, again.reason) == ("rejected", "too few")
    assert registry.publish(request(5), {}, METADATA, METRICS) is None


def test_many_are_superseded_at_once_and_ended_ones_keep_their_outcome(registry: Registry) -> None:
    many = [request(number) for number in range(5, 505, 5)]
    assert registry.note(many) == {}
    registry.end("count-10", "rejected", "too few")
    outcomes = registry.supersede(many, "count-505")
    assert len(outcomes) == 100
    assert outcomes["count-10"].state == "rejected"
    assert outcomes["count-15"].reason == "count-505 asks for more completions"
    assert registry.note(many) == outcomes


def test_versions_and_revisions_ascend_and_the_newest_serves(registry: Registry) -> None:
    first, second = published(registry, 10), published(registry, 15)
    assert [(u.version, u.revision) for u in (first, second)] == [(1, 1), (2, 2)]
    assert registry.revisions.serving() == second
    assert registry.most_published() == 15
    assert (
        artifacts.read(registry.root_url, second.artifact, second.sha256).files["weights"] == b"w"
    )


def test_what_was_published_is_never_published_twice(registry: Registry) -> None:
    published(registry, 10)
    assert registry.publish(request(10), {"weights": b"w"}, METADATA, METRICS) is None
    again = note(registry, request(10))
    assert again is not None
    assert (again.state, again.version) == ("published", 1)


def test_a_model_store_that_refuses_leaves_the_registry_as_it_was(
    registry: Registry, tmp_path: Path
) -> None:
    first = published(registry, 10)
    blocked = Registry(registry.engine, str(tmp_path / "models" / "v000001" / "weights"))
    note(blocked, request(15))
    with pytest.raises(ArtifactError):
        blocked.publish(request(15), {"weights": b"w"}, METADATA, METRICS)
    assert registry.revisions.serving() == first
    assert note(registry, request(15)) is None


def test_old_versions_go_but_never_what_may_be_needed(registry: Registry) -> None:
    for number in range(10, 60, 5):
        published(registry, number)
    young = pruned(registry, 3, timedelta(hours=1), datetime.now(UTC))
    assert young == []
    later = datetime.now(UTC) + timedelta(hours=2)
    assert sorted(pruned(registry, 3, timedelta(hours=1), later)) == [1, 2, 3, 4, 5, 6, 7]
    assert artifacts.list_versions(registry.root_url) == ["v000008", "v000009", "v000010"]
    assert pruned(registry, 3, timedelta(hours=1), later) == []


def test_an_emptied_topic_hears_again_what_serves(registry: Registry) -> None:
    assert registry.revisions.reconcile(None) is None
    updated = published(registry, 10)
    assert registry.revisions.reconcile(updated) is None
    assert registry.revisions.reconcile(None) == updated


def test_an_emptied_registry_is_rebuilt_and_goes_on_above_the_highest_revision(
    registry: Registry, engine: Engine
) -> None:
    published(registry, 10)
    seen = published(registry, 15)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE revisions, models, train_requests"))
    fresh = Registry(engine, registry.root_url)
    serving = fresh.revisions.reconcile(seen)
    assert serving is not None
    assert (serving.version, serving.revision, serving.sha256) == (2, 3, seen.sha256)
    again = note(fresh, request(15))
    assert again is not None
    assert again.state == "published"
    with engine.connect() as connection:  # nothing waits that has ended
        states = connection.execute(text("SELECT state, version FROM train_requests")).all()
    assert [tuple(each) for each in states] == [("published", 2)]
    assert fresh.most_published() == 15
    assert published(fresh, 20).version == 3


REGISTRY = ("train_requests", "models", "revisions")


def back_up(engine: Engine) -> None:
    with engine.begin() as connection:
        for table in REGISTRY:
            connection.execute(text(f"CREATE TABLE kept_{table} AS TABLE {table}"))


def restore(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(REGISTRY)}"))
        for table in REGISTRY:
            connection.execute(text(f"INSERT INTO {table} SELECT * FROM kept_{table}"))


def states(engine: Engine) -> dict[str, tuple[str, int | None]]:
    query = text("SELECT request_id, state, version FROM train_requests")
    with engine.connect() as connection:
        return {row.request_id: (row.state, row.version) for row in connection.execute(query)}


def test_a_registry_that_went_back_knows_the_versions_that_came_since(
    registry: Registry, engine: Engine
) -> None:
    for number in (10, 15):
        published(registry, number)
    note(registry, request(20))
    back_up(engine)
    seen = [published(registry, number) for number in (20, 25)][-1]
    judged(registry, 30, WORSE)
    artifacts.remove(registry.root_url, "v000002")
    restore(engine)
    fresh = Registry(engine, registry.root_url)
    serving = fresh.revisions.reconcile(seen)
    assert serving is not None
    assert (serving.version, serving.revision, serving.sha256) == (4, 5, seen.sha256)
    assert states(engine)["count-20"] == ("published", 3)
    assert note(fresh, request(30)) is not None
    assert states(engine)["count-30"] == ("rejected", 5)
    removed = {row.version: row.removed_at is not None for row in versions.listed(engine, 9)}
    assert removed == {5: False, 4: False, 3: False, 2: True, 1: False}
    assert (published(fresh, 35).version, fresh.revisions.rollback().version) == (6, 4)


def test_a_registry_that_went_back_serves_what_is_there_where_kafka_is_new(
    registry: Registry, engine: Engine
) -> None:
    published(registry, 10)
    back_up(engine)
    published(registry, 15)
    artifacts.remove(registry.root_url, "v000001")
    restore(engine)
    serving = Registry(engine, registry.root_url).revisions.reconcile(None)
    assert serving is not None
    assert (serving.version, serving.revision) == (2, 3)


def test_a_version_number_is_never_given_out_twice(registry: Registry, engine: Engine) -> None:
    published(registry, 10)
    back_up(engine)
    lost = published(registry, 15)
    restore(engine)
    note(registry, request(15))
    assert registry.publish(request(15), {"weights": b"x"}, METADATA, METRICS) is None
    assert registry.end("count-15", "failed", "ended by another trainer").version == 2
    assert published(registry, 20).version == 3
    read = artifacts.read(registry.root_url, lost.artifact, lost.sha256)
    assert read.files["weights"] == b"w"


def test_a_version_that_is_lost_everywhere_but_on_the_topic_keeps_its_number(
    registry: Registry, engine: Engine
) -> None:
    published(registry, 10)
    back_up(engine)
    seen = published(registry, 15)
    restore(engine)
    artifacts.remove(registry.root_url, seen.artifact)
    fresh = Registry(engine, registry.root_url)
    serving = fresh.revisions.reconcile(seen)
    assert serving is not None
    assert (serving.version, serving.revision) == (1, 3)
    assert published(fresh, 20).version == 3


def test_one_damaged_version_does_not_stop_a_rebuild(registry: Registry, engine: Engine) -> None:
    published(registry, 10)
    published(registry, 15)
    Path(registry.root_url, "v000001", "manifest.json").write_text("{")
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE revisions, models, train_requests"))
    serving = Revisions(engine, registry.root_url).reconcile(None)
    assert serving is not None
    assert serving.version == 2


WORSE = Verdict(False, False, 1, 200, 0.03, 0.01, 0.05)
BETTER = Verdict(True, True, 1, 200, -0.03, -0.05, -0.01)


def judged(registry: Registry, number: int, verdict: Verdict) -> Ended:
    note(registry, request(number))
    ended = registry.publish(request(number), {"weights": b"w"}, METADATA, METRICS, verdict)
    assert ended is not None
    return ended


def best(registry: Registry) -> int:
    row = versions.best(registry.engine)
    assert row is not None
    return int(row.version)


def test_a_rejected_version_is_kept_and_told_but_does_not_serve(registry: Registry) -> None:
    first = published(registry, 10)
    ended = judged(registry, 15, WORSE)
    assert (ended.state, ended.version) == ("rejected", 2)
    assert "+0.0300 against version 1 on the same 200 rows" in str(ended.reason)
    assert registry.revisions.serving() == first
    assert note(registry, request(15)) == ended
    assert registry.most_published() == 10
    newest = versions.listed(registry.engine, 9)[0]
    assert (newest.version, newest.state, newest.gate["against"]) == (2, "rejected", 1)
    assert artifacts.read(registry.root_url, newest.artifact, newest.sha256).files["weights"]
    assert registry.revisions.promote(2).version == 2


def test_the_best_stays_until_a_better_one_comes_and_is_never_removed(registry: Registry) -> None:
    published(registry, 10)
    later = datetime.now(UTC) + timedelta(hours=2)
    for number in range(15, 40, 5):
        judged(registry, number, Verdict(True, False, 1, 5))
    assert best(registry) == 1
    assert pruned(registry, 2, timedelta(hours=1), later) == [2, 3, 4]
    judged(registry, 40, BETTER)
    assert best(registry) == 7
    assert pruned(registry, 2, timedelta(hours=1), later) == [1, 5]


def test_a_rollback_holds_over_trainings_until_it_is_released(registry: Registry) -> None:
    for number in (10, 15):
        published(registry, number)
    back = registry.revisions.rollback()
    assert (back.version, back.revision) == (1, 3)
    for number in (20, 25, 30):
        ended = judged(registry, number, BETTER)
        assert ended.state == "published"
        assert ended.reason == "version 1 is held; `retrace models release` lets go"
        assert note(registry, request(number)) == ended
    assert registry.revisions.serving() == back
    released = registry.revisions.release()
    assert (released.version, released.revision) == (5, 4)
    with pytest.raises(RetraceError, match="Nothing is held"):
        registry.revisions.release()
    assert published(registry, 35).version == 6
    causes = [one.cause for one in registry.revisions.history(9)]
    assert causes == ["publish", "release", "rollback", "publish", "publish"]


def test_a_second_rollback_goes_back_to_what_served_before(registry: Registry) -> None:
    for number in (10, 15, 20):
        published(registry, number)
    assert registry.revisions.rollback().version == 2
    assert registry.revisions.rollback().version == 1


def test_what_cannot_serve_is_not_promoted(registry: Registry) -> None:
    with pytest.raises(RetraceError, match="No earlier version"):
        registry.revisions.rollback()
    second = [published(registry, number) for number in (10, 15)][-1]
    with pytest.raises(RetraceError, match="Version 7 was never written"):
        registry.revisions.promote(7)
    Path(registry.root_url, "v000001", "weights").write_bytes(b"x")
    with pytest.raises(ArtifactError, match="weights has been altered"):
        registry.revisions.rollback()
    assert registry.revisions.serving() == second


def test_a_hold_outlives_the_registry(registry: Registry, engine: Engine) -> None:
    for number in (10, 15):
        published(registry, number)
    seen = registry.revisions.rollback()
    judged(registry, 20, WORSE)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE revisions, models, train_requests"))
    fresh = Registry(engine, registry.root_url)
    serving = fresh.revisions.reconcile(seen)
    assert serving is not None
    assert (serving.version, serving.revision) == (1, 4)
    again = note(fresh, request(20))
    assert again is not None
    assert again.state == "rejected"
    assert judged(fresh, 25, BETTER).reason is not None
    assert fresh.revisions.release().version == 4


def test_a_version_that_was_never_announced_is_no_rollback(
    registry: Registry, engine: Engine
) -> None:
    seen, _unheard = published(registry, 10), published(registry, 15)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE revisions, models, train_requests"))
    fresh = Registry(engine, registry.root_url)
    serving = fresh.revisions.reconcile(seen)
    assert serving is not None
    assert serving.version == 2
    assert judged(fresh, 20, BETTER).reason is None


def test_where_a_rollback_leads_is_not_removed(registry: Registry) -> None:
    for number in (10, 15, 20):
        published(registry, number)
    assert registry.revisions.rollback().version == 2
    for number in (25, 30, 35, 40):
        judged(registry, number, BETTER)
    later = datetime.now(UTC) + timedelta(hours=2)
    assert pruned(registry, 1, timedelta(hours=1), later) == [3, 4, 5, 6]
    assert registry.revisions.rollback().version == 1
