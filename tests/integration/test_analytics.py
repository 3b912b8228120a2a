"""What the page of analytics reads, on a real PostgreSQL, and its files, from a real gateway."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, insert

from gateway import analytics
from gateway.analytics import View, look
from gateway.filters import Filters
from gateway.problems import MEDIA_TYPE
from schemas.events import TaskCompleted
from schemas.tables import predictions
from streams.numbering import Place, Publication
from streams.scores import Scores
from streams.store import Store
from tests.running import services, settings_of, task

END = datetime.now(UTC) - timedelta(minutes=10)
SCRIPT = "=<script>alert(1)</script>"


def predict(engine: Engine, *task_ids: str, **more: Any) -> None:
    usual = {
        "arm": "champion", "user_id": "ann", "p_correct": 0.7, "expected_seconds": 20.0,
        "seconds_low": 10.0, "seconds_high": 40.0, "source": "lstm", "version": 3,
        "predicted_at": END - timedelta(minutes=1),
    }  # fmt: skip
    rows = [{**usual, "task_id": name, "request_id": f"{name}-{more}"[:128]} for name in task_ids]
    with engine.begin() as connection:
        connection.execute(insert(predictions), [each | more for each in rows])


def complete(engine: Engine, *task_ids: str, **more: Any) -> None:
    usual = {"user_id": "ann", "topic": "t", "completed_at": END.isoformat()}
    tasks = [
        TaskCompleted.model_validate_json(json.dumps(task(name, **(usual | more))))
        for name in task_ids
    ]
    Store(engine).record([Publication(each, Place(0, 0)) for each in tasks], None)


def seen(engine: Engine, **filters: Any) -> View:
    """After the predictions have been scored."""
    Scores(engine, 900).score()
    return look(engine, Filters(**filters), 900)


def test_only_the_first_prediction_before_the_end_is_shown(engine: Engine) -> None:
    after, second = END + timedelta(minutes=1), END - timedelta(seconds=30)
    predict(engine, "late", predicted_at=after)
    predict(engine, "other's", user_id="ben")
    predict(engine, "twice", p_correct=0.9)
    predict(engine, "twice", p_correct=0.1, predicted_at=second, version=4)
    predict(engine, "never")
    complete(engine, "late", "other's", "twice")
    found = seen(engine)
    assert [(t, p) for t, p in zip(found.rows.task, found.rows.p, strict=True)] == [("twice", 0.9)]
    assert len(seen(engine, version=4).rows) == 0
    assert len(seen(engine, version=3).rows) == 1


def test_the_page_and_the_scores_count_the_same(engine: Engine) -> None:
    """One rule says which prediction counts."""
    for n in range(40):
        predict(engine, f"t{n}", p_correct=0.02 * n + 0.1)
        if n % 3 == 0:  # asked twice, at the same moment or later
            later = END - timedelta(seconds=60 - 20 * (n % 2))
            predict(engine, f"t{n}", p_correct=0.5, predicted_at=later, source="lnirt")
        complete(engine, f"t{n}", is_correct=n % 4 > 0)
    (*scores,) = Scores(engine, 900).score()
    view = look(engine, Filters(user="ann"), 900)
    mine = {(each.source, each.tasks, round(each.log_loss or 0, 9)) for each in view.over_time}
    assert mine == {(each.source, each.rows, round(each.log_loss or 0, 9)) for each in scores}
    assert len(view.rows) == 40


def test_calibration_is_kept_or_else_of_the_rows(engine: Engine) -> None:
    """All of it by time and topic; a learner's and a version's is made of the rows."""
    for n in range(30):
        arm = {"arm": "challenger", "source": "lnirt"} if n % 5 == 0 else {}
        predict(engine, f"t{n}", p_correct=n / 32, **arm)
        complete(engine, f"t{n}", topic=f"topic-{n % 2}", is_correct=n % 3 > 0)
    for filters in ({}, {"topic": "topic-1"}, {"last": "month", "topic": "none"}):
        kept, made = seen(engine, **filters), seen(engine, user="ann", **filters)
        assert kept.bins == made.bins, filters
        assert sum(each.tasks for bins in kept.bins.values() for each in bins) == len(made.rows)
    assert seen(engine, version=3).bins == seen(engine).bins
    assert seen(engine, version=4).bins == {}


def test_each_filter_lets_its_own_through(engine: Engine) -> None:
    predict(engine, "a")
    predict(engine, "b", user_id=SCRIPT, version=0, source="default")
    predict(engine, "c", version=5)
    old = END - timedelta(days=3)
    predict(engine, "d", predicted_at=old - timedelta(minutes=1))
    complete(engine, "a", "c")
    complete(engine, "b", user_id=SCRIPT, topic="🦊" * 128)
    complete(engine, "d", completed_at=old.isoformat())
    wanted = {
        "a b c": {}, "b": {"user": SCRIPT}, "a c": {"topic": "t"}, "c": {"version": 5},
        "a b c d": {"last": "week"}, "": {"user": SCRIPT, "topic": "t"},
    }  # fmt: skip
    for names, filters in wanted.items():
        assert " ".join(sorted(seen(engine, **filters).rows.task)) == names, filters
        assert sum(s.tasks for s in seen(engine, **filters).over_time) == len(names.split())
    assert seen(engine, version=0).rows.topic.tolist() == ["🦊" * 128]


def test_the_newest_are_shown_and_whether_there_are_more(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analytics, "MOST", 3)
    for n in range(5):
        predict(engine, f"t{n}")
        complete(engine, f"t{n}", completed_at=(END + timedelta(seconds=n)).isoformat())
        found = seen(engine)
        assert found.more == (n >= 3)
    assert found.rows.task.tolist() == ["t4", "t3", "t2"]
    assert sum(map(len, found.curves.values())) == 3


def test_scores_are_those_that_are_kept_or_else_of_the_rows(engine: Engine) -> None:
    predict(engine, "a", "b", version=3, p_correct=0.8)
    predict(engine, "c", version=4, p_correct=0.6)
    complete(engine, "a", "c", is_correct=True)
    complete(engine, "b", is_correct=False)
    kept, made = seen(engine), seen(engine, topic="t")
    assert [(each.source, each.tasks) for each in kept.over_time] == [("lstm", 3)]
    assert kept.over_time[0].log_loss == pytest.approx(made.over_time[0].log_loss)
    assert kept.over_time[0].at == made.over_time[0].at
    assert sorted((each.version, each.tasks) for each in kept.by_version) == [(3, 2), (4, 1)]
    assert kept.by_version[0].auc is None or kept.by_version[0].auc == 0.5
    assert [each.tasks for each in seen(engine, version=4).over_time] == [1]


def test_a_challenger_in_shadow_is_compared_on_the_same_tasks(engine: Engine) -> None:
    names = [f"t{n}" for n in range(12)]
    for n, name in enumerate(names):
        user = f"u{n % 4}"
        predict(engine, name, user_id=user)
        predict(engine, name, user_id=user, arm="challenger", source="lnirt", p_correct=0.6)
        complete(engine, name, user_id=user, is_correct=True)
    predict(engine, "alone")
    complete(engine, "alone")
    found = seen(engine).comparison
    assert found is not None
    assert (found.paired, found.champion_tasks, found.learners) == (True, 12, 4)
    assert found.differences[0].better == "champion"
    assert seen(engine, user="ann").comparison is None
    assert seen(engine, topic="none").comparison is None


def test_a_challenger_of_other_learners_is_compared_apart(engine: Engine) -> None:
    for n in range(12):
        user, arm = f"u{n % 6}", "challenger" if n % 6 < 3 else "champion"
        predict(engine, f"t{n}", user_id=user, arm=arm)
        complete(engine, f"t{n}", user_id=user)
    found = seen(engine).comparison
    assert found is not None
    assert (found.paired, found.champion_tasks, found.challenger_tasks) == (False, 6, 6)
    assert found.learners == 6


def test_a_learner_s_tasks_need_no_prediction(engine: Engine) -> None:
    complete(engine, "x", user_id="zoe", topic="a")
    complete(engine, "y", user_id="zoe", topic="b")
    predict(engine, "p", "q")
    complete(engine, "p", "q")
    assert list(seen(engine, user="zoe").curves) == ["a", "b"]
    assert list(seen(engine, user="zoe", topic="b").curves) == ["b"]
    of_all = seen(engine)
    assert (of_all.learner, [len(each) for each in of_all.curves.values()]) == ("ann", [2])


NAMES = ("=1+1", "+49", "-2", "@SUM(A1)", 'a,"b"', "two\nlines", "🦊" * 128, SCRIPT, "\t=1")


@pytest.fixture
def base(kafka: str, engine: Engine, database_url: str, tmp_path: Path) -> Iterator[str]:
    """A gateway's analytics, over a store where learners of odd names practised."""
    settings = settings_of(kafka, database_url, tmp_path)
    for n, name in enumerate(NAMES):
        predict(engine, f"t{n}", user_id=name)
        complete(engine, f"t{n}", user_id=name, topic=name)
    Scores(engine, 900).score()
    with services(settings, "gateway"):
        yield f"http://127.0.0.1:{settings.gateway_port}/dashboard/analytics"


def rows_of(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(StringIO(answer.text, newline="")))


def test_the_files_hold_odd_names_and_no_formula(base: str) -> None:
    answer = httpx.get(f"{base}/times.csv", params={"last": "hour"}, timeout=10)
    assert 'filename="retrace-times.csv"' in answer.headers["content-disposition"]
    assert answer.headers["cache-control"] == "no-store"
    found = rows_of(answer)
    safe = {f"'{name}" if name[0] in "=+-@\t" else name for name in NAMES}
    assert {row["user_id"] for row in found} == {row["topic"] for row in found} == safe
    assert {row["version"] for row in found} == {"3"}
    assert found[0]["completed_at"] == END.isoformat().replace("+00:00", "Z")
    for chart in ("reliability", "scores", "sources", "arms", "learning"):
        rows_of(httpx.get(f"{base}/{chart}.csv", timeout=10))
    for name in NAMES:
        (row,) = rows_of(httpx.get(f"{base}/learning.csv", params={"user": name}, timeout=10))
        assert row["user_id"].removeprefix("'") == name.removeprefix("'")
        (row,) = rows_of(httpx.get(f"{base}/reliability.csv", params={"topic": name}, timeout=10))
        assert (row["tasks"], row["mean_p"]) == ("1", "0.7")


BAD = (
    ("times", {"last": "year"}, "last"),
    ("times", {"version": "-1"}, "version"),
    ("scores", {"version": "1.5"}, "version"),
    ("arms", {"user": "x" * 129}, "user"),
    ("arms", {"topic": "a\x00"}, "topic"),
    ("everything", {}, "chart"),
)


def test_a_filter_that_cannot_be_is_a_problem(base: str) -> None:
    for chart, sent, field in BAD:
        answer = httpx.get(f"{base}/{chart}.csv", params=sent, timeout=10)
        assert (answer.status_code, answer.headers["content-type"]) == (422, MEDIA_TYPE), chart
        assert [each["field"] for each in answer.json()["errors"]] == [field]
        assert "x" * 129 not in answer.text
    page = httpx.get(base, params={"last": "year", "user": SCRIPT}, timeout=10)
    assert page.status_code == 200
    assert "The address names no time that can be" in page.text
    assert SCRIPT.removeprefix("=") not in page.text
