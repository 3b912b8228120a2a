"""A training on real servers: from a request to its outcome, past what fails on the way."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from ops import replay
from schemas import topics
from schemas.errors import ModelRejected, TrainingFailed
from schemas.events import (
    LearnerForgotten,
    ModelMetrics,
    ModelUpdated,
    TaskCompleted,
    TrainRequest,
)
from schemas.history import History
from schemas.settings import Settings
from streams import declare, forgetting, history, kafka
from streams.forgotten import LEARNER, seal
from streams.health import Health
from streams.numbering import Place, Publication
from streams.patience import Patience
from tests.running import opened, publish, settings_of, values_of
from tests.unit import simulated
from training import artifacts, versions
from training.announce import Announcer
from training.features import FEATURES
from training.fit import Fitter
from training.job import Interrupted, Job
from training.record import COLUMNS, PREDICTORS, Record
from training.registry import Ended, Registry
from training.served import Served

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EPOCHS = 2
PAST = simulated.history(6, 80)
SERVING = COLUMNS.index("serving_p")
Files, Metadata = Mapping[str, bytes], Mapping[str, Any]


class Site:
    """Everything that a job of one test works with."""

    def __init__(self, settings: Settings, patience: Patience) -> None:
        self.settings, self.patience = settings, patience
        self.store = opened(settings)
        self.store.prepare(settings.train_every)
        self.registry = Registry(self.store.engine, settings.model_store_url())
        self.announcer = Announcer(settings, patience, self.registry)

    def job(self, fitter: Any) -> Job:
        """As a process holds it that has just been started."""
        parts = (self.store, self.registry, self.announcer)
        return Job(self.settings, self.patience, *parts, fitter)

    def hold(self, rows: int) -> None:
        """Record completions until there are so many."""
        held = self.store.standing()[1]
        batch = [Publication(completed(at), Place(0, at)) for at in range(held, rows)]
        self.store.record(batch, None)
        assert self.store.standing()[1] == rows

    def train(self, job: Job, rows: int, trigger: str = "count") -> Ended:
        """Ask for a training on so many completions."""
        self.hold(rows)
        wanted = request(rows, trigger)
        self.registry.note([wanted])
        ended = job.run(wanted)
        assert self.registry.note([wanted]).get(wanted.request_id) == ended
        return ended

    def published(self, job: Job, rows: int, trigger: str = "count") -> ModelUpdated:
        """The version that serves after a training that must succeed."""
        ended = self.train(job, rows, trigger)
        serving = self.serving()
        assert ended == Ended("published", None, serving.version)
        assert serving.request_id == f"{trigger}-{rows}"
        return serving

    def serving(self) -> ModelUpdated:
        serving = self.registry.revisions.serving()
        assert serving is not None
        return serving

    def artifact(self, updated: ModelUpdated) -> artifacts.Artifact:
        """A version's files, verified."""
        return artifacts.read(self.registry.root_url, updated.artifact, updated.sha256)

    def progress(self, request_id: str) -> list[dict[str, Any]]:
        """What was said of a request on the way."""
        self.announcer.publisher.flush()
        said = values_of(self.settings, topics.TRAINING_PROGRESS)
        return [event for event in said if event["request_id"] == request_id]


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return settings_of(kafka, database_url, tmp_path, train_epochs=EPOCHS)


@pytest.fixture
def site(settings: Settings) -> Iterator[Site]:
    patience = Patience(Health("tests"), threading.Event())
    patience.call("kafka", kafka.is_away, declare.declare, settings)
    made = Site(settings, patience)
    yield made
    made.store.engine.dispose()


@pytest.fixture
def fitter() -> Fitter:
    """One for all tests, traced already, that goes on from nothing."""
    return forgetful(simulated.fitter())


def forgetful(fitter: Fitter) -> Fitter:
    """As after a restart, but traced already."""
    fitter._chain = None
    return fitter


def request(rows: int, trigger: str = "count") -> TrainRequest:
    values = {"request_id": f"{trigger}-{rows}", "trigger": trigger, "completions": rows}
    return TrainRequest.model_validate({**values, "requested_at": NOW})


def completed(at: int) -> TaskCompleted:
    """A simulated completion."""
    started_at, completed_at = (
        datetime.fromtimestamp(float(column[at]), UTC)
        for column in (PAST.started_at, PAST.completed_at)
    )
    return TaskCompleted(
        task_id=f"task-{at}",
        user_id=PAST.users[at],
        topic=PAST.topics[at],
        difficulty=PAST.difficulties[at],
        started_at=started_at,
        completed_at=completed_at,
        is_correct=bool(PAST.is_correct[at]),
        actual_time_seconds=float(PAST.seconds[at]),
    )


def test_the_first_request_is_published_and_its_version_can_answer(
    site: Site, fitter: Fitter
) -> None:
    updated = site.published(site.job(fitter), 60)
    assert (updated.version, updated.revision, updated.completions) == (1, 1, 60)
    assert (updated.users, updated.topics, updated.difficulties) == (6, 4, 3)
    found = updated.metrics
    assert found.lnirt is not None
    assert found.topic_difficulty is not None
    for scores in (found, found.lnirt, found.topic_difficulty):
        assert scores.rows == 12
        losses = (scores.log_loss, scores.brier, scores.log_rmse, scores.mae_seconds)
        assert all(loss is not None and np.isfinite(loss) for loss in losses)
    assert found.serving is None
    past = history.everything(site.store.engine, 60)
    said = Served(site.artifact(updated)).predict(past, np.arange(60))
    assert said.network.all()
    assert ((said.p > 0) & (said.p < 1) & np.isfinite(said.mu) & (said.sigma > 0)).all()


def test_progress_tells_every_epoch_of_both_networks(site: Site, fitter: Fitter) -> None:
    site.published(site.job(fitter), 60)
    started, *epochs = site.progress("count-60")
    assert started["state"] == "started"
    assert [(e["state"], e["model"], e["epoch"], e["epochs"]) for e in epochs] == [
        ("epoch", model, at, EPOCHS) for model in ("correctness", "time") for at in (1, 2)
    ]


def test_a_later_request_goes_on_from_the_one_before(site: Site, fitter: Fitter) -> None:
    job = site.job(fitter)
    first = Served(site.artifact(site.published(job, 60)))
    second = site.published(job, 65)
    epochs = [event for event in site.progress("count-65") if event["state"] == "epoch"]
    assert [(e["model"], e["epochs"]) for e in epochs] == [("correctness", 1), ("time", 1)]
    assert (second.version, second.completions, second.metrics.rows) == (2, 65, 17)
    rows = Served(site.artifact(second)).record.rows
    past = history.everything(site.store.engine, 65)
    said = np.column_stack(first.before_learning(past, np.arange(60, 65)))
    assert np.isfinite(said).all()
    assert rows[12:, SERVING:] == pytest.approx(said)
    # Twelve of the rows were held out before any version served.
    assert np.isnan(rows[:12, SERVING:]).all()
    assert second.metrics.serving is None


@pytest.mark.parametrize("trigger", ["manual", "replay"])
def test_a_training_from_nothing_is_scored_beside_the_serving_version(
    site: Site, fitter: Fitter, trigger: str
) -> None:
    job = site.job(fitter)
    site.published(job, 60)
    found = site.published(job, 75, trigger).metrics
    assert found.serving is not None
    assert found.serving.rows == found.rows == 15
    assert found.serving.log_loss is not None
    assert np.isfinite(found.serving.log_loss)
    epochs = [e for e in site.progress(f"{trigger}-75") if e["state"] == "epoch"]
    assert {event["epochs"] for event in epochs} == {EPOCHS}


class Refusing:
    """A fitter whose networks don't converge."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def fit(self, *_: Any, **__: Any) -> Any:
        raise type(self.error)(*self.error.args)  # a raised one holds on to where it was


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (
            ModelRejected("the correctness network's loss is not finite"),
            "rejected",
            "the correctness network's loss is not finite",
        ),
        (TrainingFailed("the networks disagree"), "failed", "the networks disagree"),
        (MemoryError("too much\nat once"), "failed", "MemoryError: too much"),
    ],
    ids=["rejected", "failed", "broken"],
)
def test_the_old_version_serves_on_after_a_training_without_one(
    site: Site, fitter: Fitter, error: Exception, state: str, reason: str
) -> None:
    job = site.job(fitter)
    first = site.published(job, 60)
    job.fitter = Refusing(error)
    assert site.train(job, 65) == Ended(state, reason, None)  # type: ignore[arg-type]
    assert site.serving() == first
    assert site.patience.health.snapshot()["training"] is None
    job.fitter = fitter
    assert site.published(job, 70).version == 2


class Misled:
    """Fits, but what it said of the newest rows was wrong."""

    def __init__(self, fitter: Fitter) -> None:
        self.fitter, self.forget = fitter, fitter.forget

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        fitted = self.fitter.fit(*args, **kwargs)
        rows = fitted.record.rows.copy()
        for who in PREDICTORS[:3]:
            right = rows[-15:, COLUMNS.index("correct")] > 0.5
            rows[-15:, COLUMNS.index(f"{who}_p")] = np.where(right, 0.05, 0.95)
        return replace(fitted, record=Record(rows))


def test_a_version_worse_than_the_best_is_kept_aside_and_the_next_begins_anew(
    site: Site, fitter: Fitter
) -> None:
    site.settings = site.settings.model_copy(update={"gate_rows": 10})
    job = site.job(fitter)
    first = site.published(job, 60)
    job.fitter = Misled(fitter)
    ended = site.train(job, 75)
    assert (ended.state, ended.version) == ("rejected", 2)
    assert "against version 1 on the same 15 rows" in str(ended.reason)
    assert site.serving() == first
    job.fitter = fitter
    assert site.published(job, 80).version == 3
    epochs = [event for event in site.progress("count-80") if event["state"] == "epoch"]
    assert {event["epochs"] for event in epochs} == {EPOCHS}


@pytest.mark.parametrize("restarted", [False, True], ids=["going on", "restarted"])
def test_only_rows_that_the_best_has_not_learned_are_compared(
    site: Site, fitter: Fitter, restarted: bool
) -> None:
    job = site.job(fitter)
    site.published(job, 60)
    for rows in (65, 70):
        if restarted:
            job.gate = site.job(fitter).gate
        site.published(job, rows)
    gates = [row.gate for row in versions.listed(site.registry.engine, 9)]
    assert [(gate["against"], gate["rows"]) for gate in gates] == [(1, 10), (1, 5), (None, 0)]
    assert [gate["best"] for gate in gates] == [False, False, True]


def test_a_version_that_serves_and_is_the_best_is_loaded_once(site: Site, fitter: Fitter) -> None:
    job = site.job(fitter)
    site.published(job, 60)
    site.published(job, 65)
    loaded = job.load.cache_info()
    assert (loaded.misses, loaded.hits) == (1, 1)


def test_networks_that_lost_themselves_are_refused_and_trained_anew(
    site: Site, fitter: Fitter
) -> None:
    job = site.job(fitter)
    first = site.published(job, 60)
    last = fitter._deep["correctness"].traced.model.get_layer("last")
    last.set_weights([np.full_like(w, np.nan) for w in last.get_weights()])
    ended = site.train(job, 65)
    assert ended.state == "rejected"
    assert "not finite" in (ended.reason or "")
    assert site.serving() == first
    recovered = site.published(job, 70)
    epochs = [event for event in site.progress("count-70") if event["state"] == "epoch"]
    assert {event["epochs"] for event in epochs} == {EPOCHS}
    assert recovered.version == 2
    assert recovered.metrics.log_loss is not None


def test_a_training_that_is_interrupted_stays_open(site: Site, fitter: Fitter) -> None:
    job = site.job(fitter)
    site.patience.stop.set()
    with pytest.raises(Interrupted):
        site.train(job, 60)
    assert site.registry.note([request(60)]) == {}
    site.patience.stop.clear()
    assert site.published(job, 60).version == 1


def test_what_another_trainer_has_ended_is_not_trained(site: Site, fitter: Fitter) -> None:
    site.hold(60)
    mine, newer = request(60), request(65)
    site.registry.note([mine, newer])
    ended = site.registry.supersede([mine], newer.request_id)[mine.request_id]
    assert site.job(fitter).run(mine) == ended
    assert (ended.state, site.progress(mine.request_id)) == ("superseded", [])


def test_too_few_completions_are_rejected(site: Site, fitter: Fitter) -> None:
    job = site.job(fitter)
    assert site.train(job, 9) == Ended(
        "rejected", "9 completions are too few to train on: 10 are needed.", None
    )
    assert site.registry.revisions.serving() is None
    assert site.published(job, 10).version == 1


def widened(files: Files, metadata: Metadata) -> tuple[Files, Metadata]:
    """A graph that loads, but wants more features than there are."""
    model = onnx.load_from_string(files["correctness.onnx"])
    for node in model.graph.node:
        node.input[:] = ["narrow" if name == "features" else name for name in node.input]
    (wide,) = (each for each in model.graph.input if each.name == "features")
    wide.type.tensor_type.shape.dim[2].dim_value = FEATURES + 1
    ends = {"first": [0], "behind": [FEATURES], "axis": [2]}
    for name, value in ends.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(value), name))
    model.graph.node.insert(0, helper.make_node("Slice", ["features", *ends], ["narrow"]))
    return {**files, "correctness.onnx": model.SerializeToString()}, metadata


def older(files: Files, metadata: Metadata) -> tuple[Files, Metadata]:
    """A version of a release without these parts."""
    return files, {name: metadata[name] for name in metadata.keys() - {"lnirt", "mixture"}}


def unreadable(files: Files, metadata: Metadata) -> tuple[Files, Metadata]:
    return {**files, "time.onnx": b"no graph"}, metadata


def recordless(files: Files, metadata: Metadata) -> tuple[Files, Metadata]:
    return {**files, "record.npy": b""}, metadata


@pytest.mark.parametrize("spoil", [widened, older, unreadable, recordless])
@pytest.mark.parametrize("restarted", [False, True], ids=["going on", "restarted"])
def test_a_serving_version_that_cannot_run_does_not_end_a_training(
    site: Site,
    fitter: Fitter,
    spoil: Callable[[Files, Metadata], tuple[Files, Metadata]],
    restarted: bool,
) -> None:
    job = site.job(fitter)
    sound = site.artifact(site.published(job, 60))
    files = {name: body for name, body in sound.files.items() if name != artifacts.METADATA}
    files, metadata = spoil(files, sound.metadata)
    metrics = ModelMetrics.model_validate(metadata["metrics"])
    broken = site.registry.publish(request(60, "manual"), files, metadata, metrics)
    assert broken == Ended("published", None, site.serving().version)
    if restarted:
        job = site.job(forgetful(fitter))
    # Of these 75 rows 15 are held out, which a sound version of 60 rows is scored on.
    updated = site.published(job, 75, "manual")
    assert updated.version == 3
    assert updated.metrics.log_loss is not None
    assert updated.metrics.serving is None
    assert np.isnan(Served(site.artifact(updated)).record.rows[:, SERVING:]).all()


def test_a_graph_of_another_width_loads_but_does_not_run(site: Site, fitter: Fitter) -> None:
    sound = site.artifact(site.published(site.job(fitter), 60))
    files, metadata = widened(sound.files, sound.metadata)
    served = Served(artifacts.Artifact("v1", files, metadata))
    with pytest.raises(Exception, match="features"):
        served.predict(history.everything(site.store.engine, 60), np.arange(60))


def test_after_a_restart_the_serving_versions_record_is_gone_on_with(
    site: Site, fitter: Fitter
) -> None:
    job = site.job(fitter)
    site.published(job, 60)
    site.published(job, 65)
    before = Served(site.artifact(site.published(job, 70)))
    # Rows 61 … 70 were told by versions that this process never saw, 71 … 75 by the newest.
    updated = site.published(site.job(Fitter()), 75)
    assert updated.metrics.serving is not None
    assert updated.metrics.serving.rows == updated.metrics.rows == 15
    assert updated.metrics.serving.log_loss is not None
    record = Served(site.artifact(updated)).record
    # The twelve rows before them were held out when no version served yet.
    assert numbers(record) == list(range(49, 76))
    assert np.array_equal(record.rows[12:22, SERVING:], before.record.rows[-10:, SERVING:])
    past: History = history.everything(site.store.engine, 75)
    said = np.column_stack(before.before_learning(past, np.arange(70, 75)))
    assert record.rows[22:, SERVING:] == pytest.approx(said)


def test_rows_that_no_record_covers_are_not_scored_for_the_serving_version(
    site: Site, fitter: Fitter
) -> None:
    job = site.job(fitter)
    site.published(job, 60)
    site.published(job, 65)
    updated = site.published(site.job(forgetful(fitter)), 70)
    record = Served(site.artifact(updated)).record
    assert numbers(record) == list(range(49, 71))
    assert np.isnan(record.column("serving_p")).tolist() == [True] * 12 + [False] * 10
    assert updated.metrics.serving is not None
    assert updated.metrics.rows == updated.metrics.serving.rows == 10


def test_a_training_from_the_log_is_nothing_that_others_go_on_from(
    site: Site, fitter: Fitter
) -> None:
    """It learns another part of the past, numbered from 1 on, than the store holds."""
    job = site.job(fitter)
    site.published(job, 60)
    publish(site.settings, *(completed(at).model_dump(mode="json") for at in range(30, 80)))
    found = replay.resolve(site.settings, replay.Wish(), datetime.now(UTC))
    wanted = replay.request(found, replay.look(site.settings, found.spans, NOW), NOW)
    site.registry.note([wanted])
    assert job.run(wanted) == Ended("published", None, 2)
    updated = site.serving()
    assert (updated.request_id, updated.completions) == (wanted.request_id, 50)
    assert (updated.metrics.rows, updated.metrics.serving) == (10, None)
    served = Served(site.artifact(updated))
    assert served.generation is None
    later = site.published(job, 65)
    epochs = [event for event in site.progress("count-65") if event["state"] == "epoch"]
    assert [e["epochs"] for e in epochs] == [1, 1]
    assert (later.completions, later.metrics.serving) == (65, None)
    after = Served(site.artifact(later))
    assert after.generation is not None
    assert numbers(after.record) == list(range(49, 66))


def numbers(record: Record) -> list[float]:
    return list(record.column("number").tolist())


def forget(site: Site, user: str) -> None:
    """Onto the list only: what is not erased yet is not learned either."""
    salt = "0b" * 32
    values = {"learner": seal(salt, LEARNER, user), "salt": salt, "forgotten_at": NOW}
    forgetting.add(site.store.engine, [LearnerForgotten.model_validate(values)])


class Meanwhile:
    """A fitter during whose first training a learner is forgotten."""

    def __init__(self, site: Site, fitter: Fitter, user: str) -> None:
        self.site, self.fitter, self.user = site, fitter, user
        self.learned: list[set[str]] = []

    def fit(self, past: History, *args: Any, **more: Any) -> Any:
        fitted = self.fitter.fit(past, *args, **more)
        if not self.learned:
            forget(self.site, self.user)
        self.learned.append(set(past.users))
        return fitted

    def forget(self) -> None:
        self.fitter.forget()


def test_who_is_forgotten_is_learned_no_more_not_even_by_warm_weights(
    site: Site, fitter: Fitter
) -> None:
    job = site.job(fitter)
    site.published(job, 60)
    first, second = sorted(set(PAST.users))[:2]
    forget(site, first)
    updated = site.published(job, 65)
    assert (updated.users, updated.completions) == (5, 65)
    metadata = site.artifact(updated).metadata
    assert first not in json.dumps(metadata)
    assert second in json.dumps(metadata)
    epochs = [event for event in site.progress("count-65") if event["state"] == "epoch"]
    assert {event["epochs"] for event in epochs} == {EPOCHS}

    meanwhile = Meanwhile(site, fitter, second)
    updated = site.published(site.job(meanwhile), 70)
    everybody = set(PAST.users) - {first}
    assert meanwhile.learned == [everybody, everybody - {second}]
    assert second not in json.dumps(site.artifact(updated).metadata)
