"""Inference on real servers: following versions, keeping a working one, answering everyone."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy import text

from inference import metrics
from inference.models import Models
from inference.service import MOST_LATER, Inference
from inference.waiting import Asked, first_of
from schemas import codec, topics
from schemas.codec import Raw
from schemas.errors import Unreachable
from schemas.events import (
    Candidate,
    LearnerForgotten,
    ModelMetrics,
    ModelUpdated,
    PredictionRequest,
    TaskCompleted,
)
from schemas.replies import Refusal
from schemas.settings import Settings
from streams import database, declare, forgetting, kafka, tails
from streams.forgotten import LEARNER, seal
from streams.health import Health
from streams.numbering import Place, Publication, Stands
from streams.patience import Patience
from streams.store import Store
from tests.running import read_all, settings_of, task, values_of
from tests.servers import wait_until
from tests.unit.simulated import fitted
from training import artifacts, export

NOW = datetime.now(UTC)


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return settings_of(kafka, database_url, tmp_path)


@pytest.fixture
def patience(settings: Settings) -> Iterator[Patience]:
    made = Patience(Health("tests"), threading.Event())
    made.call("kafka", kafka.is_away, declare.declare, settings)
    yield made
    made.stop.set()


@pytest.fixture
def models(settings: Settings, patience: Patience) -> Iterator[Models]:
    made = Models(settings, patience)
    thread = threading.Thread(target=made.follow)
    thread.start()
    assert made.caught_up.wait(30)
    yield made
    patience.stop.set()
    thread.join(30)


@pytest.fixture
def inference(settings: Settings, patience: Patience, models: Models) -> Iterator[Inference]:
    made = Inference(settings, patience, models)
    database.migrate(made.reads.engine)
    yield made
    made.reads.engine.dispose()
    metrics.PUT_OFF.set_function(int)  # it asks the service, and so keeps its clients


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return export.files(fitted())


def announce(settings: Settings, files: dict[str, bytes], revision: int) -> ModelUpdated:
    """Write a version and announce it."""
    metadata = fitted().metadata()
    path, sha256 = artifacts.write(settings.model_store_url(), f"v{revision:06d}", files, metadata)
    updated = ModelUpdated(
        model="retrace",
        revision=revision,
        version=revision,
        request_id=f"count-{revision * 5}",
        artifact=path,
        sha256=sha256,
        trained_at=NOW,
        metrics=ModelMetrics(rows=0),
        **{n: metadata[n] for n in ("completions", "users", "topics", "difficulties")},
    )
    kafka.Publisher(settings).publish(
        [codec.encode(topics.MODEL_UPDATED, updated, "tests", prefix=settings.topic_prefix)]
    )
    return updated


def asked(name: str, headers: tuple[tuple[str, bytes], ...] = (), **more: Any) -> Raw:
    values = {
        "request_id": name,
        "task_id": name,
        "user_id": "user-1",
        "topic": "topic-1",
        "difficulty": "easy",
        "started_at": NOW,
    } | more
    event = PredictionRequest.model_validate(values)
    return Raw("prediction-request", 0, 0, b"user-1", event.model_dump_json().encode(), headers)


def handle(inference: Inference, raws: Sequence[Raw], *, at_once: bool = False) -> None:
    """Answer, and wait until the broker has the predictions."""
    inference.answer(raws, at_once=at_once)
    inference.keeping.settle()


def serves(models: Models, version: int) -> bool:
    updated = models.current.updated
    return updated is not None and updated.version == version


def test_before_the_first_model_the_default_says_so(
    inference: Inference, settings: Settings
) -> None:
    handle(inference, [asked("r1")])
    (answer,) = values_of(settings, topics.PREDICTION)
    assert (answer["source"], answer["reason"]) == ("default", "no model yet")
    assert (answer["p_correct"], answer["expected_seconds"]) == (0.5, 60.0)
    assert answer["model_version"] is None


def test_the_newest_version_answers_and_says_its_number(
    inference: Inference, models: Models, settings: Settings, files: dict[str, bytes]
) -> None:
    announce(settings, files, 1)
    announce(settings, files, 2)
    wait_until(lambda: serves(models, 2))
    handle(inference, [asked("r1"), asked("r2", topic="alchemy"), asked("r3", user_id="nobody")])
    answers = {a["request_id"]: a for a in values_of(settings, topics.PREDICTION)}
    assert (answers["r1"]["source"], answers["r1"]["model_version"]) == ("lstm", 2)
    assert 0.01 <= answers["r1"]["p_correct"] <= 0.99
    assert answers["r1"]["seconds_low"] <= answers["r1"]["expected_seconds"]
    assert answers["r2"]["source"] == "lnirt"
    assert answers["r2"]["reason"].startswith("unknown topic")
    assert answers["r3"]["source"] == "lstm"
    assert "learner not seen in training" in answers["r3"]["reason"]


class Quiet:
    """A consumer to whom nothing comes."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def poll(self, wait: float) -> None:
        self.waits.append(wait)


def test_an_answer_is_kept_when_nothing_else_waits(
    inference: Inference, settings: Settings
) -> None:
    inference.answer([asked("r1")])
    assert inference.keeping.is_due
    assert not inference.keeping._flight.messages
    inference._committed = (time.monotonic() + 60, {})
    quiet = Quiet()
    inference._turn(quiet)  # type: ignore[arg-type]
    wait_until(lambda: [a["request_id"] for a in values_of(settings, topics.PREDICTION)] == ["r1"])
    inference._turn(quiet)  # type: ignore[arg-type]
    first, second = quiet.waits
    assert first < 0.01 < second


def test_an_answer_is_kept_after_the_next_replies_at_the_latest(
    inference: Inference, settings: Settings
) -> None:
    inference.answer([asked("r1")])
    inference.answer([asked("r2")])
    wait_until(lambda: [a["request_id"] for a in values_of(settings, topics.PREDICTION)] == ["r1"])
    inference.keeping.forget()
    inference.keeping.settle()
    assert [a["request_id"] for a in values_of(settings, topics.PREDICTION)] == ["r1"]


class Committing:
    """A consumer who notes what the broker has by the time of each commit."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.seen: list[tuple[int, int, int]] = []

    def commit(self, offsets: Sequence[TopicPartition], asynchronous: bool) -> None:
        kept, letters = (topics.PREDICTION, topics.DEAD_LETTERS)
        counts = (len(read_all(self.settings, each)) for each in (kept, letters))
        self.seen.append((offsets[0].offset, *counts))


def handled_by(inference: Inference, raws: Sequence[Raw]) -> TopicPartition:
    """A turn's part between poll and commit; the place that is to be committed."""
    inference.consumption.hold([0])
    inference.next[0] = len(raws)
    inference.answer(raws)
    return TopicPartition(inference.consumption.topic, 0)


def test_the_broker_has_predictions_and_letters_before_a_commit(
    inference: Inference, settings: Settings
) -> None:
    consumer = Committing(settings)
    place = handled_by(inference, [asked("r1"), asked("r2")._replace(value=b"{")])
    inference._revoked(consumer, [place])  # type: ignore[arg-type]
    assert consumer.seen == [(2, 1, 1)]


def test_what_was_not_kept_is_not_committed(inference: Inference, settings: Settings) -> None:
    consumer = Committing(settings)
    place = handled_by(inference, [asked("r1")])
    inference._forget()
    inference._revoked(consumer, [place])  # type: ignore[arg-type]
    assert consumer.seen == []
    assert values_of(settings, topics.PREDICTION) == []


def test_predictions_that_the_broker_refused_are_sent_again(
    inference: Inference, settings: Settings
) -> None:
    inference.answer([asked("r1")])
    inference.keeping.hand_over()
    flight = inference.keeping._flight
    inference.publisher.settle(flight)
    flight.failed = KafkaError(KafkaError.REQUEST_TIMED_OUT)
    inference.keeping.settle()
    assert [a["request_id"] for a in values_of(settings, topics.PREDICTION)] == ["r1", "r1"]


def test_predictions_whose_producer_was_replaced_are_waited_for(
    inference: Inference, settings: Settings
) -> None:
    inference.answer([asked("r1")])
    inference.keeping.hand_over()
    with pytest.raises(Unreachable):
        inference.publisher._replace_if_fatal(KafkaError(KafkaError._FATAL))
    handle(inference, [asked("r2")])
    told = {a["request_id"] for a in values_of(settings, topics.PREDICTION)}
    assert told == {"r1", "r2"}


def test_an_older_revision_is_not_obeyed(
    models: Models, settings: Settings, files: dict[str, bytes]
) -> None:
    announce(settings, files, 5)
    wait_until(lambda: serves(models, 5))
    models._hear(_message(announce(settings, files, 4)))
    assert models.wanted is not None
    assert models.wanted.revision == 5
    assert not models._is_due()
    announce(settings, files, 6)
    wait_until(lambda: serves(models, 6))


def test_swaps_keep_their_distance_and_the_newest_wins(
    settings: Settings, patience: Patience, files: dict[str, bytes]
) -> None:
    models = Models(settings.model_copy(update={"swap_seconds": 3600.0}), patience)
    models._hear(_message(announce(settings, files, 1)))
    assert models._is_due()
    models.load()
    assert serves(models, 1)
    for revision in (2, 3):
        models._hear(_message(announce(settings, files, revision)))
    assert not models._is_due()
    models.settings = settings.model_copy(update={"swap_seconds": 0.0})
    assert models._is_due()
    models.load()
    assert serves(models, 3)


def test_after_a_restart_the_predecessor_serves_while_the_newest_is_damaged(
    settings: Settings, patience: Patience, files: dict[str, bytes]
) -> None:
    announce(settings, files, 1)
    announce(settings, files, 2)
    Path(settings.model_store_url(), "v000002", "time.onnx").unlink()
    models = Models(settings, patience)
    thread = threading.Thread(target=models.follow)
    thread.start()
    wait_until(lambda: serves(models, 1))
    assert "version 2 cannot be loaded" in patience.health.snapshot()["model_problem"]
    patience.stop.set()
    thread.join(30)


class _message:
    """An announcement as a consumer hands it over."""

    def __init__(self, updated: ModelUpdated) -> None:
        self._value = updated.model_dump_json(by_alias=True).encode()

    def topic(self) -> str:
        return "model-updated"

    def partition(self) -> int:
        return 0

    offset = partition

    def key(self) -> None:
        return None

    headers = key

    def value(self) -> bytes:
        return self._value


@pytest.mark.parametrize("damage", ["truncated", "altered", "missing"])
def test_a_damaged_version_never_replaces_a_working_one(
    models: Models, settings: Settings, files: dict[str, bytes], damage: str
) -> None:
    announce(settings, files, 1)
    wait_until(lambda: serves(models, 1))
    folder = Path(settings.model_store_url(), "v000002")
    broken = dict(files)
    updated = _damaged(settings, broken, folder, damage)
    models.wanted = updated  # loaded by the thread that follows, as any other
    wait_until(lambda: models.patience.health.snapshot().get("model_problem"))
    assert serves(models, 1)
    problem = models.patience.health.snapshot()["model_problem"]
    assert "version 2 cannot be loaded" in problem
    assert "time.onnx" in problem
    assert REGISTRY.get_sample_value("retrace_model_problem") == 1
    assert REGISTRY.get_sample_value("retrace_serving_revision") == 1
    announce(settings, files, 3)
    wait_until(lambda: serves(models, 3))
    assert models.patience.health.snapshot()["model_problem"] is None
    assert REGISTRY.get_sample_value("retrace_model_problem") == 0
    assert REGISTRY.get_sample_value("retrace_serving_revision") == 3


def _damaged(
    settings: Settings, files: dict[str, bytes], folder: Path, damage: str
) -> ModelUpdated:
    metadata = fitted().metadata()
    path, sha256 = artifacts.write(settings.model_store_url(), "v000002", files, metadata)
    graph = folder / "time.onnx"
    content = graph.read_bytes()
    if damage == "missing":
        graph.unlink()
    else:
        graph.write_bytes(content[:-10] if damage == "truncated" else b"\x00" + content[1:])
    return ModelUpdated(
        model="retrace", revision=2, version=2, request_id="count-10", artifact=path,
        sha256=sha256, trained_at=NOW, metrics=ModelMetrics(rows=0),
        **{n: metadata[n] for n in ("completions", "users", "topics", "difficulties")},
    )  # fmt: skip


def test_replies_carry_the_correlation_id(inference: Inference, settings: Settings) -> None:
    reply = topics.reply("tests")
    edge = kafka.admin(settings)
    declare.create(edge, [(settings.topic_prefix + reply.name, reply)], 1)
    handle(inference, [asked("r1", (("reply-topic", b"reply.tests"), ("correlation-id", b"c-1")))])
    wait_until(lambda: len(values_of(settings, reply)) == 1)
    answer = tails.last_messages(settings, settings.topic_prefix + reply.name)[0]
    assert dict(answer.headers)["correlation-id"] == b"c-1"
    assert json.loads(answer.value or b"")["request_id"] == "r1"


def test_a_reply_topic_that_does_not_exist_holds_nobody_up(
    inference: Inference, settings: Settings
) -> None:
    headers = (("reply-topic", b"reply.gone"), ("correlation-id", b"c"))
    handle(inference, [asked("r1", headers), asked("r2")])
    assert {a["request_id"] for a in values_of(settings, topics.PREDICTION)} == {"r1", "r2"}


REPLY = (("reply-topic", b"reply.tests"), ("correlation-id", b"c-1"))


def replies(inference: Inference, settings: Settings, *raws: Raw) -> list[dict[str, Any]]:
    """What comes back on a reply topic, each with its type."""
    reply = topics.reply("tests")
    declare.create(kafka.admin(settings), [(settings.topic_prefix + reply.name, reply)], 1)
    handle(inference, raws)
    while inference.later:
        inference._explain(*inference.later.popleft())
    assert inference.publisher.flush(30) == 0
    found = read_all(settings, reply)
    return [
        json.loads(raw.value or b"") | {"type": dict(raw.headers)["ce_type"].decode()}
        for raw in found
    ]


def test_a_forecast_is_for_its_asker_only(
    inference: Inference, models: Models, settings: Settings, files: dict[str, bytes]
) -> None:
    announce(settings, files, 1)
    wait_until(lambda: serves(models, 1))
    cells = (
        Candidate(topic="topic-2", difficulty="hard"),
        Candidate(topic="?", difficulty="easy"),
    )
    some, every = replies(
        inference,
        settings,
        asked("r1", REPLY, purpose="forecast", candidates=cells),
        asked("r2", REPLY, purpose="forecast"),
    )
    assert (some["type"], some["request_id"]) == ("retrace.forecast", "r1")
    assert [(c["topic"], c["source"]) for c in some["cells"]] == [
        ("topic-2", "lstm"),
        ("?", "lnirt"),
    ]
    assert len(every["cells"]) == 12
    assert every["model_version"] == 1
    assert values_of(settings, topics.PREDICTION) == []


def test_why_is_told_and_before_a_model_refused(
    inference: Inference, models: Models, settings: Settings, files: dict[str, bytes]
) -> None:
    (none,) = replies(inference, settings, asked("r1", REPLY, purpose="why"))
    assert (none["type"], none["reason"]) == (
        "retrace.refusal",
        "no model yet: nothing moved the default",
    )
    announce(settings, files, 1)
    wait_until(lambda: serves(models, 1))
    values = [json.dumps(task(f"w{n}", user_id="user-1")) for n in range(3)]
    done = [TaskCompleted.model_validate_json(value) for value in values]
    Store(inference.reads.engine).record(
        [Publication(each, Place(0, n)) for n, each in enumerate(done)], None
    )
    later = datetime.now(UTC) + timedelta(minutes=4)
    told = replies(inference, settings, asked("r2", REPLY, purpose="why", started_at=later))[-1]
    assert told["type"] == "retrace.why"
    assert sum(effect["kind"] == "completion" for effect in told["effects"]) == 3
    assert told["history_length"] == 3
    lacking = asked("r3", REPLY, purpose="why", started_at=later, after="4@9")
    handle(inference, [lacking], at_once=True)
    told = replies(inference, settings)[-1]
    assert told["reason"].startswith("without 4@9, not recorded yet; trained on")


def test_who_cannot_be_answered_is_told_why(inference: Inference, settings: Settings) -> None:
    bad = Raw("prediction-request", 2, 9, b"k", b'{"request_id": 7}', REPLY)
    (refused,) = replies(inference, settings, bad)
    assert (refused["type"], refused["request_id"]) == ("retrace.refusal", "c-1")
    assert refused["reason"].startswith("not answered: request_id: ")
    assert len(values_of(settings, topics.DEAD_LETTERS)) == 1


def test_too_many_explanations_are_refused_not_kept(
    inference: Inference, settings: Settings
) -> None:
    raws = [asked(f"r{n}", REPLY, purpose="forecast") for n in range(MOST_LATER + 3)]
    kinds = Counter(reply["type"] for reply in replies(inference, settings, *raws))
    assert kinds == {"retrace.refusal": 3, "retrace.forecast": MOST_LATER}


def test_bad_requests_are_dead_letters_and_the_rest_is_answered(
    inference: Inference, settings: Settings
) -> None:
    bad = Raw("prediction-request", 2, 9, b"k", b"{}", ())
    handle(inference, [bad, asked("r1")])
    assert [a["request_id"] for a in values_of(settings, topics.PREDICTION)] == ["r1"]
    assert values_of(settings, topics.DEAD_LETTERS) == [{}]


def test_a_request_waits_for_a_completion_that_it_must_know(
    inference: Inference, models: Models, settings: Settings, files: dict[str, bytes]
) -> None:
    announce(settings, files, 1)
    wait_until(lambda: serves(models, 1))
    store = Store(inference.reads.engine)
    done = TaskCompleted.model_validate_json(json.dumps(task("done", user_id="user-1")))
    topic_id = declare.topic_id(kafka.admin(settings), settings.topic_prefix + "task-completed")
    later = datetime.now(UTC) + timedelta(minutes=4)
    handle(inference, [asked("r1", after="4@0", started_at=later), asked("r2")])
    assert [a["request_id"] for a in values_of(settings, topics.PREDICTION)] == ["r2"]
    assert first_of(inference.waiting.held) == {0: 0}
    store.record([Publication(done, Place(4, 0))], Stands(topic_id, "t", {4: 0}, {4: 1}))
    handle(inference, [])
    told = {a["request_id"]: a for a in values_of(settings, topics.PREDICTION)}
    assert (told["r1"]["history_length"], told["r2"]["history_length"]) == (1, 0)
    handle(inference, [asked("r3", after="4@1")], at_once=True)
    told = {a["request_id"]: a for a in values_of(settings, topics.PREDICTION)}
    assert told["r3"]["reason"].startswith("without 4@1, not recorded yet; trained on")


def test_without_the_store_every_request_is_still_answered(
    settings: Settings, patience: Patience, models: Models, files: dict[str, bytes]
) -> None:
    announce(settings, files, 1)
    wait_until(lambda: serves(models, 1))
    nowhere = "postgresql://u:p@127.0.0.1:1/none"
    away = Inference(
        settings.model_copy(update={"database_url": SecretStr(nowhere)}), patience, models
    )
    handle(away, [asked("r1"), asked("r2")])
    answers = values_of(settings, topics.PREDICTION)
    assert {a["reason"] for a in answers} == {"store unavailable"}
    assert patience.health.snapshot()["dependencies"]["store"]["ok"] is False


def test_connections_that_were_cut_meanwhile_are_not_noticed(
    inference: Inference, models: Models, settings: Settings, files: dict[str, bytes]
) -> None:
    announce(settings, files, 1)
    wait_until(lambda: serves(models, 1))
    handle(inference, [asked("r1")])
    other = database.connect(settings.database_url.get_secret_value(), "tests")
    cut = text(
        """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'retrace-inference'"""
    )
    with other.connect() as connection:
        assert connection.execute(cut).scalars().all() != []
    handle(inference, [asked("r2")])
    told = values_of(settings, topics.PREDICTION)
    assert all(answer["reason"].startswith("trained on") for answer in told)
    assert len(told) == 2
    other.dispose()


def test_expired_requests_get_the_cheap_default(inference: Inference, settings: Settings) -> None:
    handle(inference, [asked("r1", expires_at=datetime(2020, 1, 1, tzinfo=UTC))])
    (answer,) = values_of(settings, topics.PREDICTION)
    assert answer["reason"] == "expired before it was read"


def test_a_held_learner_is_caught_up_with_before_he_asks(
    inference: Inference, models: Models, settings: Settings, files: dict[str, bytes]
) -> None:
    store = Store(database.connect(settings.database_url.get_secret_value(), "tests"))
    store.prepare(5)
    completed(store, ["user-1", "user-2"], 0)
    announce(settings, files, 1)
    wait_until(lambda: serves(models, 1))
    handle(inference, [asked("before")])
    learners = models.current.predictor._learners
    assert learners is not None
    with running(inference):
        wait_until(lambda: inference.reads._seen == 2)
        completed(store, ["user-1", "user-2"], 2)
        wait_until(lambda: learners.last("user-1") == 3)
    assert learners.users() == ["user-1"]
    assert models.current.predictor._beside is not None
    store.engine.dispose()


def test_learning_ahead_gives_way_to_requests_new_ones_and_those_put_off(
    inference: Inference, monkeypatch: pytest.MonkeyPatch
) -> None:
    come, went = list[Raw](), list[int]()
    monkeypatch.setattr(inference.consumption, "take", lambda *_: come)
    monkeypatch.setattr(kafka, "raw", lambda message: message)
    monkeypatch.setattr(inference.ahead, "go_on", lambda _: went.append(1))
    inference._committed = (time.monotonic() + 60, {})
    inference.ahead._users.append("user-1")

    def turn(raws: list[Raw]) -> tuple[int, float]:
        come[:] = raws
        inference._turn(Quiet())  # type: ignore[arg-type]
        inference.keeping.settle()
        return len(went), inference._wait()

    assert turn([asked("r1")]) == (0, 0.0)
    number, wait = turn([asked("r2", after="0@5")])
    assert (number, len(inference.waiting.held)) == (0, 1)
    assert wait > 0
    assert turn([])[0] == 0
    wait_until(lambda: turn([])[0] == 1)
    assert not inference.waiting.held


@contextmanager
def running(inference: Inference) -> Iterator[None]:
    """Its loop, in a thread."""
    thread = threading.Thread(target=inference.run)
    thread.start()
    try:
        yield
    finally:
        inference.patience.stop.set()
        thread.join(30)


def completed(store: Store, users: Sequence[str], first: int) -> None:
    """A completion of each, recorded; the log's offsets, and the hours, go on from ``first``."""
    at = (NOW - timedelta(hours=9 - first)).isoformat()
    done = [task(f"t{first + n}", user_id=user, completed_at=at) for n, user in enumerate(users)]
    events = [TaskCompleted.model_validate_json(json.dumps(each)) for each in done]
    store.record([Publication(e, Place(0, first + n)) for n, e in enumerate(events)], None)


def test_a_running_worker_drops_who_is_forgotten_with_its_next_batch(
    inference: Inference, models: Models, settings: Settings, files: dict[str, bytes]
) -> None:
    store = Store(database.connect(settings.database_url.get_secret_value(), "tests"))
    store.prepare(5)
    user, past = "user-1", NOW - timedelta(hours=1)
    done = [task(f"h{n}", user_id=user, completed_at=past.isoformat()) for n in range(4)]
    events = [TaskCompleted.model_validate_json(json.dumps(each)) for each in done]
    store.record([Publication(each, Place(0, n)) for n, each in enumerate(events)], None)
    announce(settings, files, 1)
    wait_until(lambda: serves(models, 1))
    handle(inference, [asked("before", user_id=user)])
    predictor = models.current.predictor
    assert predictor.learners_held == 1

    salt = "0b" * 32
    values = {"learner": seal(salt, LEARNER, user), "salt": salt, "forgotten_at": NOW}
    forgetting.add(store.engine, [LearnerForgotten.model_validate(values)])
    handle(inference, [asked("after", user_id=user), asked("stranger", user_id="nobody")])
    assert predictor.learners_held == 0
    answers = {a["request_id"]: a for a in values_of(settings, topics.PREDICTION)}
    before, after, stranger = (answers[name] for name in ("before", "after", "stranger"))
    assert (before["history_length"], after["history_length"]) == (4, 0)
    assert after["reason"].startswith("forgotten learner, trained on")
    assert after["p_correct"] == pytest.approx(stranger["p_correct"])
    assert after["expected_seconds"] == pytest.approx(stranger["expected_seconds"])
    assert before["p_correct"] != pytest.approx(after["p_correct"])

    raw = asked("why", user_id=user, purpose="why")
    request = PredictionRequest.model_validate_json(raw.value or b"")
    reply = inference.explanations.of(Asked(request, raw), "", models.current, NOW)
    assert isinstance(reply, Refusal)
    assert reply.reason.startswith("forgotten learner")
    store.engine.dispose()
