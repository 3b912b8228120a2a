"""What the pages read of learners, on a real PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert, text

from gateway import learners, words
from gateway.tasks import Tasks
from schemas.events import ModelMetrics, TaskCompleted, TrainRequest
from schemas.tables import issued_tasks
from streams.numbering import Place, Publication
from streams.store import Store
from tests.running import task
from training.registry import Registry

NOW = datetime.now(UTC)
STRANGE = ("<script>alert(1)</script>", "🦊" * 128, "learner-%", "learner_1")


def record(engine: Engine, *done: dict[str, Any]) -> None:
    events = [TaskCompleted.model_validate_json(json.dumps(each)) for each in done]
    places = [Publication(event, Place(0, at)) for at, event in enumerate(events)]
    Store(engine).record(places, None)


def issue(engine: Engine, task_id: str, user_id: str, at: datetime) -> None:
    row = {"task_id": task_id, "user_id": user_id, "topic": "t", "difficulty": "easy"}
    with engine.begin() as connection:
        connection.execute(insert(issued_tasks), [{**row, "created_at": at, "source": "lstm"}])


def test_learners_are_found_by_how_their_names_begin(engine: Engine) -> None:
    names = [f"learner-{at:02}" for at in range(30)] + ["ann", "zoe", *STRANGE]
    record(engine, *[task(f"{name[:40]}-{n}", user_id=name) for n in range(3) for name in names])
    assert learners.named(engine, "learner-0", 20) == [f"learner-{at:02}" for at in range(10)]
    assert len(learners.named(engine, "", 20)) == 20
    assert learners.named(engine, "zo", 20) == ["zoe"]
    assert learners.named(engine, "zoe-", 20) == []
    for name in STRANGE:
        assert learners.named(engine, name, 20) == [name]


def test_the_search_walks_the_index_a_bounded_number_of_steps(engine: Engine) -> None:
    """However many names it passes over: here all of them begin otherwise."""
    record(engine, *[task(f"n{at}", user_id=f"b{at:03}") for at in range(200)])
    values = {"beginning": "a", "steps": learners.STEPS, "most": 20}
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        lines = connection.execute(text(f"EXPLAIN ANALYZE {learners._NAMED.text}"), values)
        plan = "\n".join(lines.scalars())
    assert plan.count("ix_completions_user_id_number") == 2
    assert f"rows={learners.STEPS}" in plan.replace(".00", "")
    assert "rows=200" not in plan.replace(".00", "")


def test_what_a_learner_has_practised(engine: Engine) -> None:
    ago = [NOW - timedelta(minutes=at) for at in range(4)]
    record(
        engine,
        *[
            task(f"p{at}", user_id="ada", topic=topic, completed_at=ago[at].isoformat())
            for at, topic in enumerate(("a", "b", "a", "a"))
        ],
        task("other", user_id="ben"),
    )
    found = learners.practised(engine, "ada")
    assert {name: past.tasks for name, past in found.items()} == {
        ("a", "easy"): 3,
        ("b", "easy"): 1,
    }
    assert found["a", "easy"].last_at == ago[0]
    assert learners.practised(engine, "nobody") == {}
    assert learners.newest_number(engine, "ada") == 4
    assert learners.newest_number(engine, "nobody") == 0


def test_the_newest_tasks_are_completed_or_open(engine: Engine) -> None:
    begun = [NOW - timedelta(minutes=10 - at) for at in range(6)]
    for at in (1, 3, 5):
        issue(engine, f"n{at}", "ada", begun[at])
    done = [
        task(f"n{at}", user_id="ada", started_at=begun[at].isoformat(), is_correct=at != 3)
        for at in (0, 2, 3, 4)
    ]
    record(engine, *done)
    rows = learners.newest(engine, "ada", 5)
    assert [(row.id, row.is_correct, row.source) for row in rows] == [
        ("n5", None, "lstm"),
        ("n4", True, None),
        ("n3", False, "lstm"),
        ("n2", True, None),
        ("n1", None, "lstm"),
    ]
    assert learners.newest(engine, "nobody", 5) == []


def test_a_claim_that_is_not_recorded_yet_is_no_open_task(engine: Engine) -> None:
    issue(engine, "n1", "ada", NOW)
    assert Tasks(engine, 5).claim("n1", True, 3.5, NOW).state == "first"
    (row,) = learners.newest(engine, "ada", 5)
    assert (row.is_correct, row.actual_time_seconds) == (True, 3.5)
    assert learners.number_of(engine, "n1") is None
    record(engine, task("n1", user_id="ada"))
    assert learners.number_of(engine, "n1") == 1


def test_the_serving_version_tells_its_words(engine: Engine, tmp_path: Path) -> None:
    registry = Registry(engine, str(tmp_path))
    assert words.known(engine, str(tmp_path)) == words.Words()
    request = TrainRequest(request_id="count-5", trigger="count", completions=5, requested_at=NOW)
    registry.note([request])
    encoder = {"users": ["ada"], "topics": ["b", "a"], "difficulties": ["hard", "easy"]}
    learned = {"users": 1, "topics": 2, "difficulties": 2, "completions": 5, "encoder": encoder}
    registry.publish(request, {"weights": b"w"}, learned, ModelMetrics(rows=2))
    found = words.known(engine, str(tmp_path))
    assert found == words.Words(1, ("a", "b"), ("easy", "hard"))
