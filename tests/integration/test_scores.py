"""The live accuracy on a real store: predictions beside what happened."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import func, insert, select

from schemas import codec, topics
from schemas.events import Prediction, PredictionScore, TaskCompleted
from schemas.settings import Settings
from schemas.tables import calibrations, predictions
from streams import declare, kafka, scores
from streams.health import Health
from streams.numbering import Place, Publication
from streams.patience import Patience
from streams.predictions import Keeper
from streams.scores import Scores
from streams.scoring import Scoring
from streams.store import Store
from tests.running import read_all, settings_of, task, values_of
from tests.servers import wait_until
from training import metrics

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return settings_of(kafka, database_url, tmp_path)


@pytest.fixture
def patience() -> Iterator[Patience]:
    made = Patience(Health("tests"), threading.Event())
    yield made
    made.stop.set()


@pytest.fixture
def keeper(settings: Settings, store: Store, patience: Patience) -> Keeper:
    declare.declare(settings)
    return Keeper(settings, store.engine, patience)


def prediction(name: str, **more: Any) -> Prediction:
    values = {
        "request_id": name, "task_id": name, "user_id": "ann", "topic": "t", "difficulty": "d",
        "started_at": START, "p_correct": 0.7, "expected_seconds": 20.0, "seconds_low": 10.0,
        "seconds_high": 40.0, "source": "lstm", "reason": "r", "model_version": 3,
        "model_revision": 4, "history_length": 0, "predicted_at": START,
    }  # fmt: skip
    return Prediction.model_validate(values | more)


def _raw(kept: Prediction, offset: int = 0) -> codec.Raw:
    message = codec.encode(topics.PREDICTION, kept, "tests")
    return codec.Raw("prediction", 0, offset, message.key, message.value)


def keep(keeper: Keeper, *kept: Prediction) -> None:
    keeper.keep([_raw(each, offset) for offset, each in enumerate(kept)])


def complete(store: Store, *names: str, **more: Any) -> None:
    values = {"user_id": "ann", "completed_at": "2026-03-01T12:05:00Z"} | more
    tasks = [TaskCompleted.model_validate_json(json.dumps(task(n, **values))) for n in names]
    store.record([Publication(each, Place(0, 0)) for each in tasks], None)


def test_scores_are_those_of_the_evaluation(keeper: Keeper, store: Store) -> None:
    random = np.random.default_rng(3)
    n = 300
    p = np.round(random.uniform(0.01, 0.99, n), 2)  # ties, too
    correct, seconds = random.random(n) < p, np.exp(random.normal(3.0, 0.6, n))
    expected = np.clip(np.exp(random.normal(3.0, 0.4, n)), 5.0, 600.0)
    keep(keeper, *[
        prediction(
            f"p{i}", p_correct=float(p[i]), expected_seconds=float(expected[i]),
            seconds_low=float(expected[i] / 2), seconds_high=float(expected[i] * 2),
        )
        for i in range(n)
    ])  # fmt: skip
    for i in range(n):
        complete(store, f"p{i}", is_correct=bool(correct[i]), actual_time_seconds=float(seconds[i]))
    (found,) = Scores(store.engine, 900).score()
    wanted = metrics.score(correct, p, seconds, expected, expected / 2, expected * 2)
    assert (found.rows, found.version, found.source) == (n, 3, "lstm")
    assert found.window_start == START
    for name in ("log_loss", "auc", "accuracy", "brier", "ece", "mae_seconds", "log_rmse"):
        assert getattr(found, name) == pytest.approx(wanted[name], abs=1e-9), name
    assert found.coverage_80 == pytest.approx(wanted["coverage_80"], abs=1e-9)


def test_each_version_source_and_arm_by_itself_and_each_window(
    keeper: Keeper, store: Store
) -> None:
    keep(
        keeper,
        prediction("a"),
        prediction("a", arm="challenger", source="lnirt"),
        prediction("b", model_version=None, model_revision=None, source="default"),
        prediction("c"),
    )
    complete(store, "a", "b", is_correct=True, actual_time_seconds=20.0)
    complete(store, "c", completed_at="2026-03-01T13:00:00Z", actual_time_seconds=50.0)
    found = Scores(store.engine, 900).score()
    told = {(s.window_start.hour, s.version, s.source, s.arm): s.rows for s in found}
    assert told == {
        (12, 3, "lstm", "champion"): 1,
        (12, 3, "lnirt", "challenger"): 1,
        (12, None, "default", "champion"): 1,
        (13, 3, "lstm", "champion"): 1,
    }
    assert all(score.auc is None for score in found)


def test_the_windows_of_what_was_shown_weigh_versions_and_sources_by_their_rows(
    keeper: Keeper, store: Store
) -> None:
    keep(
        keeper,
        *(prediction(f"a{n}", p_correct=0.9) for n in range(3)),
        prediction("b", p_correct=0.4, model_version=None, source="default"),
        prediction("b", p_correct=0.01, arm="challenger"),
        prediction("c"),
    )
    complete(store, "a0", "a1", "a2", "b", is_correct=True)
    complete(store, "c", completed_at="2026-03-01T13:00:00Z", is_correct=True)
    Scores(store.engine, 900).score()
    first, second = scores.by_window(store.engine, 10)
    assert (first["window_start"], first["rows"]) == ("2026-03-01T12:00:00Z", 4)
    assert first["log_loss"] == pytest.approx(-(3 * np.log(0.9) + np.log(0.4)) / 4)
    assert first["accuracy"] == pytest.approx(0.75)
    assert scores.by_window(store.engine, 1) == [second]


def test_only_the_first_prediction_made_before_the_end_counts(keeper: Keeper, store: Store) -> None:
    soon, after = (START + timedelta(minutes=n) for n in (1, 6))
    keep(
        keeper,
        prediction("late", predicted_at=after),
        prediction("other's", user_id="ben"),
        prediction("twice", p_correct=0.9),
        prediction("again", task_id="twice", p_correct=0.1, predicted_at=soon),
        prediction("never"),
    )
    complete(store, "late", "other's", "twice", is_correct=True)
    (found,) = Scores(store.engine, 900).score()
    assert found.rows == 1
    assert found.log_loss == pytest.approx(-np.log(0.9))


def test_scoring_again_changes_nothing_and_tells_nothing(keeper: Keeper, store: Store) -> None:
    keep(keeper, prediction("a"), prediction("a", p_correct=0.2))
    complete(store, "a", is_correct=True)
    mine = Scores(store.engine, 900)
    assert [score.rows for score in mine.score()] == [1]
    assert mine.score() == []
    assert Scores(store.engine, 900).score() == []
    keep(keeper, prediction("b"))
    complete(store, "b", is_correct=False)
    (grown,) = mine.score()
    assert grown.rows == 2
    newest = scores.newest(store.engine, 10)
    assert [(each["rows"], each["version"]) for each in newest] == [(2, 3)]
    assert newest[0]["log_loss"] == pytest.approx(grown.log_loss)


def calibration(store: Store) -> list[tuple[Any, ...]]:
    kept = select(
        *(calibrations.c[name] for name in ("topic", "arm", "bin", "rows", "p_sum", "correct"))
    ).order_by(*calibrations.primary_key)
    with store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(kept)]


def test_calibration_is_kept_of_the_same_predictions(keeper: Keeper, store: Store) -> None:
    keep(
        keeper,
        prediction("a", p_correct=0.75),
        prediction("again", task_id="a", p_correct=0.1, predicted_at=START + timedelta(seconds=1)),
        prediction("b", p_correct=0.7501),
        prediction("c", p_correct=0.99),
        prediction("c", p_correct=0.31, arm="challenger", source="lnirt"),
    )
    complete(store, "a", "c", topic="t", is_correct=True)
    mine = Scores(store.engine, 900)
    mine.score()
    complete(store, "b", topic="t", is_correct=False)
    mine.score()
    assert calibration(store) == [
        ("t", "challenger", 3, 1, 0.31, 1),
        ("t", "champion", 7, 2, pytest.approx(1.5001), 1),
        ("t", "champion", 9, 1, 0.99, 1),
    ]
    assert Scores(store.engine, 900).score() == []
    assert len(calibration(store)) == 3


class Interrupted(Scores):
    """Ends between pairing and scoring."""

    def _event(self, start: int, row: Mapping[str, Any]) -> PredictionScore:
        raise KeyboardInterrupt


def test_what_is_interrupted_is_scored_the_next_time(keeper: Keeper, store: Store) -> None:
    """Predictions that know how their tasks ended are in what is kept, or none does."""
    keep(keeper, prediction("a"), prediction("b"))
    complete(store, "a", "b", topic="t", is_correct=True)
    with pytest.raises(KeyboardInterrupt):
        Interrupted(store.engine, 900).score()
    with store.engine.connect() as connection:
        assert connection.execute(select(func.count(predictions.c.completed_at))).scalar() == 0
    assert [score.rows for score in Scores(store.engine, 900).score()] == [2]
    assert [rows for _, _, _, rows, _, _ in calibration(store)] == [2]


def test_a_prediction_that_came_after_its_completion_was_recorded_counts(
    keeper: Keeper, store: Store
) -> None:
    mine = Scores(store.engine, 900)
    complete(store, "a", is_correct=True)
    assert mine.score() == []
    keep(keeper, prediction("a"))
    assert [score.rows for score in mine.score()] == [1]


def test_a_prediction_that_postgresql_refuses_fails_alone(
    settings: Settings, keeper: Keeper, store: Store
) -> None:
    beyond = prediction("beyond", model_version=3_000_000_000)
    keep(keeper, prediction("a"), beyond, prediction("b"))
    with store.engine.connect() as connection:
        kept = connection.execute(select(predictions.c.request_id)).scalars().all()
    assert sorted(kept) == ["a", "b"]
    (letter,) = read_all(settings, topics.DEAD_LETTERS)
    assert dict(letter.headers)["retrace.error.class"] == b"refused"
    assert json.loads(letter.value or b"")["request_id"] == "beyond"


def test_old_predictions_are_forgotten(keeper: Keeper, store: Store) -> None:
    now = datetime.now(UTC)
    keep(
        keeper,
        prediction("old", predicted_at=now - timedelta(days=31)),
        prediction("new", predicted_at=now),
    )
    with store.engine.begin() as connection:
        sums = {"window_seconds": 900, "topic": "t", "arm": "champion", "bin": 7}
        for days in (31, 1):
            start = now - timedelta(days=days)
            row = {**sums, "window_start": start, "rows": days, "p_sum": 0.7, "correct": 1}
            connection.execute(insert(calibrations).values(row))
    Scores(store.engine, 900).prune()
    assert [rows for _, _, _, rows, _, _ in calibration(store)] == [1]
    with store.engine.connect() as connection:
        assert connection.execute(select(predictions.c.request_id)).scalars().all() == ["new"]


def test_the_topic_is_kept_scored_and_published(
    settings: Settings, keeper: Keeper, store: Store, patience: Patience
) -> None:
    bad = codec.Message(settings.topic_prefix + "prediction", b"k", b"no prediction", [])
    good = codec.encode(topics.PREDICTION, prediction("a"), "t", prefix=settings.topic_prefix)
    kafka.Publisher(settings).publish([bad, good])
    thread = threading.Thread(target=keeper.run)
    thread.start()
    count = select(func.count()).select_from(predictions)

    def kept() -> int:
        with store.engine.connect() as connection:
            return int(connection.execute(count).scalar_one())

    wait_until(lambda: kept() == 1)
    wait_until(lambda: len(read_all(settings, topics.DEAD_LETTERS)) == 1)
    complete(store, "a", is_correct=True)
    scoring = Scoring(settings, store.engine, patience)
    assert [score.rows for score in scoring.turn()] == [1]
    (event,) = values_of(settings, topics.PREDICTION_SCORE)
    assert (event["rows"], event["version"], event["source"]) == (1, 3, "lstm")
    labels = {"version": "3", "source": "lstm", "arm": "champion"}
    assert REGISTRY.get_sample_value("retrace_live_rows", labels) == 1
    later = {"completed_at": "2026-03-01T14:00:00Z", "is_correct": True}
    keeper.keep([_raw(prediction("z", model_version=4))])
    complete(store, "z", **later)
    scoring.turn()
    assert REGISTRY.get_sample_value("retrace_live_rows", labels) is None
    assert REGISTRY.get_sample_value("retrace_live_rows", labels | {"version": "4"}) == 1
    patience.stop.set()
    thread.join(30)
