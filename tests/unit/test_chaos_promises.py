"""What ``make chaos`` says of trainings, serving and answers: each check holds and can fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.chaos.promises import GRACE, Seen, carried_out, examine, latencies, latest

BEGUN = datetime(2026, 3, 1, 12, tzinfo=UTC)
TASK = {
    "task_id": "t", "user_id": "u", "is_correct": True, "actual_time_seconds": 12.5,
    "completed_at": BEGUN.isoformat(),
}  # fmt: skip


def at(seconds: float) -> datetime:
    return BEGUN + timedelta(seconds=seconds)


def prediction(name: str, seconds: float, revision: int | None = 1) -> dict[str, Any]:
    return {
        "request_id": name, "predicted_at": at(seconds).isoformat(),
        "model_revision": revision, "model_version": revision, "user_id": "u", "history_length": 9,
    }  # fmt: skip


def step(name: str, state: str, **more: Any) -> dict[str, Any]:
    return {"request_id": name, "state": state, **more}


GOOD = Seen(
    asked={"a": at(0), "b": at(100)},
    predictions=[prediction("a", 1), prediction("b", 101, 2)],
    requests=[{"request_id": f"count-{n}", "completions": n} for n in (5, 10)],
    progress=[
        step("count-5", "started"),
        step("count-5", "superseded", reason="count-10 asks for more completions"),
        step("count-10", "started"),
        step("count-10", "published", version=1),
        step("count-10", "published", version=1),
    ],
    outcomes={"count-5": "superseded", "count-10": "published"},
    learned={"count-10": 10},
    claims={"t": TASK},
    rows={"t": ("u", True, 12.5, BEGUN)},
    logged=[TASK, TASK],
    given_up=[],
    announced=[(at(-1), 1, 1), (at(60), 2, 2)],
    causes=[(1, 1, "publish"), (2, 2, "rollback"), (3, 3, "release"), (4, 4, "publish")],
    broken=[(2, at(40), at(59))],
    revisions=[(1, 1), (2, 1), (1, 2), (3, 1)],
    versions={"count-10": 1},
)
OTHER = {**TASK, "is_correct": False}
BAD: list[tuple[str, Mapping[str, Any]]] = [
    ("answered", {"predictions": GOOD.predictions[1:]}),
    ("claims kept", {"logged": []}),
    ("claims kept", {"logged": [TASK, OTHER]}),
    ("claims kept", {"rows": {}}),
    ("claims kept", {"rows": {"t": ("u", True, 13.0, BEGUN)}}),
    ("claims kept", {"given_up": ["t2"]}),
    ("ended once", {"progress": GOOD.progress[:2]}),
    ("ended once", {"progress": [*GOOD.progress, step("count-10", "failed")]}),
    ("ended once", {"outcomes": {"count-5": "superseded", "count-10": "failed"}}),
    ("trained once", {"progress": [*GOOD.progress, step("count-10", "started")]}),
    ("trained once", {"versions": {"count-10": 2}}),
    ("superseded by more", {"progress": [step("count-5", "superseded", reason="count-5 asks")]}),
    ("superseded by more", {"progress": [step("manual-1", "superseded", reason="count-5 asks")]}),
    ("learned enough", {"learned": {"count-10": 9}}),
    ("stale revision", {"revisions": [(1, 2), (1, 1)]}),
    ("stale revision", {"predictions": [prediction("a", 61 + GRACE.total_seconds())]}),
    ("rollback holds", {"causes": [(1, 1, "rollback"), (2, 2, "publish")]}),
    ("damaged served", {"predictions": [prediction("a", 50, 2)]}),
    ("not held", {"forgotten": {"u": at(100 - GRACE.total_seconds())}}),
]


def failed(seen: Seen) -> set[str]:
    return {check.name for check in examine(seen) if not check.ok}


def test_what_is_good_passes() -> None:
    assert failed(GOOD) == set()


@pytest.mark.parametrize(("name", "change"), BAD)
def test_each_check_fails_where_it_should(name: str, change: Mapping[str, Any]) -> None:
    assert name in failed(replace(GOOD, **change))


def test_a_version_is_not_due_while_it_is_damaged() -> None:
    late = prediction("a", 61 + GRACE.total_seconds())
    assert failed(replace(GOOD, predictions=[late, GOOD.predictions[1]])) == {"stale revision"}
    excused = replace(
        GOOD, predictions=[late, GOOD.predictions[1]], broken=[(2, at(40), at(70))]
    )  # fmt: skip
    assert failed(excused) == set()


def test_a_learner_may_be_known_until_the_list_is() -> None:
    since = at(102 - GRACE.total_seconds())
    assert failed(replace(GOOD, forgotten={"u": since})) == set()
    early = at(100 - GRACE.total_seconds())
    unheld = [{**each, "history_length": 0} for each in GOOD.predictions]
    assert failed(replace(GOOD, forgotten={"u": early}, predictions=unheld)) == set()


def test_an_answer_without_a_model_is_not_stale() -> None:
    none = prediction("a", 500, None)
    assert failed(replace(GOOD, predictions=[none, GOOD.predictions[1]])) == set()


def test_how_long_answers_and_new_revisions_took() -> None:
    again = replace(GOOD, predictions=[*GOOD.predictions, prediction("a", 65)])
    assert latencies(again) == [1.0, 1.0]
    assert (latest(GOOD), latest(again)) == (0.0, 5.0)


def test_what_was_never_done_does_not_hold() -> None:
    done = ["broker killed", "leaders moved"]
    assert carried_out(["broker killed"], done).ok
    never = carried_out(["rolled back", "broker killed"], done)
    assert (never.ok, never.detail) == (False, "rolled back")
