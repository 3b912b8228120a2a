"""What the settings page does, on real servers: the command line's verbs, each with its line."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from sqlalchemy import text

from gateway.actions import Actions
from gateway.audit import DONE, FAILED, STARTED, Actor, Audit
from schemas import events, topics
from schemas.errors import RetraceError
from schemas.settings import Settings
from tests.running import opened, prepared, publish, read_all, recording, values_of
from tests.servers import wait_until
from training.gate import UNRIVALLED
from training.registry import Registry

ADA = Actor("key 1a2b3c4d", "192.0.2.1")


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return prepared(kafka, database_url, tmp_path)


@pytest.fixture
def actions(settings: Settings) -> Actions:
    """With versions 1 and 2, of which 2 serves."""
    engine = opened(settings).engine
    _published(settings, 5)
    _published(settings, 10)
    return Actions(settings, engine, threading.Event())


def _published(settings: Settings, number: int) -> None:
    registry = Registry(opened(settings).engine, settings.model_store_url())
    request = events.TrainRequest(
        request_id=f"count-{number}", trigger="count", completions=number,
        requested_at=datetime.now(UTC),
    )  # fmt: skip
    registry.note([request])
    metrics = events.ModelMetrics(rows=100, log_loss=0.5)
    learned = {"users": 3, "topics": 2, "difficulties": 1, "completions": number}
    registry.publish(request, {"a.onnx": b"x" * number}, learned, metrics, UNRIVALLED)


def announced(settings: Settings) -> list[int]:
    return [event["version"] for event in values_of(settings, topics.MODEL_UPDATED)]


def test_versions_change_as_offered_and_everybody_hears(
    settings: Settings, actions: Actions
) -> None:
    offers = (
        (actions.offer_rollback, "instead of version 2", "Version 1 serves now"),
        (actions.offer_release, "serves instead of version 1: 2,", "Version 2 serves now"),
        (lambda: actions.offer_promotion(1), "instead of version 2", "Version 1 serves now"),
    )
    for make, before, after in offers:
        offer = make()
        assert before in offer.words[0]
        done = actions.perform(offer, ADA)
        assert (done.outcome, done.words[: len(after)]) == (DONE, after)
    assert announced(settings) == [1, 2, 1]
    lines = [(line.who, line.address, line.action, line.subject, line.outcome)
             for line in actions.audit.newest(10)]  # fmt: skip
    assert lines == [
        (*vars(ADA).values(), "promote", "version 1", DONE),
        (*vars(ADA).values(), "release", "version 1", DONE),
        (*vars(ADA).values(), "roll back", "to version 1", DONE),
    ]


def test_what_cannot_be_done_says_why_in_the_commands_words(actions: Actions) -> None:
    for make, words in (
        (lambda: actions.offer_promotion(99), "Version 99 was never written."),
        (actions.offer_release, "Nothing is held"),
        (lambda: actions.offer_redrive("invalid"), "No letter of class invalid"),
    ):
        with pytest.raises(RetraceError, match=words) as raised:
            make()
        assert "\n" not in str(raised.value)
    assert actions.audit.newest(10) == []


def test_an_offer_that_the_system_has_passed_is_not_taken(
    settings: Settings, actions: Actions
) -> None:
    offer = actions.offer_rollback()
    _published(settings, 15)
    done = actions.perform(offer, ADA)
    assert (done.outcome, done.words) == (
        FAILED, "Meanwhile this leads to version 2, not 1: look again.",
    )  # fmt: skip
    assert announced(settings) == []
    (line,) = actions.audit.newest(10)
    assert (line.outcome, line.detail) == (FAILED, done.words)


def test_a_training_is_requested_for_all_that_is_recorded(
    settings: Settings, actions: Actions
) -> None:
    with structlog.testing.capture_logs() as logged:
        done = actions.perform(actions.offer_training(), ADA)
    (event,) = values_of(settings, topics.TRAIN_REQUEST)
    assert event["trigger"] == "manual"
    assert event["request_id"] in done.words
    (line,) = [one for one in logged if one["event"] == "operator acted"]
    assert (line["who"], line["address"], line["action"]) == (ADA.who, ADA.address, "train")


def test_letters_go_back_by_class_and_as_many_as_were_counted(
    settings: Settings, actions: Actions
) -> None:
    with recording(settings):
        publish(settings, b"{not json 1", b"{not json 2", b'{"task_id": ""}')
        wait_until(lambda: len(read_all(settings, topics.DEAD_LETTERS)) == 3)
    assert actions.open_letters() == {"not-json": 2, "invalid": 1}
    offer, again = actions.offer_redrive("not-json"), actions.offer_redrive("not-json")
    assert offer.button == "Send 2 letters back"
    assert offer.words[0].startswith("2 letters of class not-json will go back to")
    assert len(read_all(settings, topics.TASK_COMPLETED)) == 3
    assert actions.perform(offer, ADA).words.startswith("2 letters sent back to")
    # What lay open in another window sends nothing twice.
    assert actions.perform(again, ADA).words.startswith("No letter was sent back.")
    assert len(read_all(settings, topics.TASK_COMPLETED)) == 5
    assert actions.open_letters() == {"invalid": 1}


def test_without_kafka_it_fails_with_what_to_do(settings: Settings, actions: Actions) -> None:
    alone = settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:9"})
    away = Actions(alone, actions.engine, threading.Event())
    done = away.perform(away.offer_training(), ADA)
    assert done.outcome == FAILED
    assert "Kafka does not answer" in done.words
    assert actions.audit.newest(1)[0].outcome == FAILED


def test_only_the_newest_lines_are_kept(settings: Settings) -> None:
    audit = Audit(opened(settings).engine, most=3)
    lines = [audit.begin(ADA, "train", f"{n} completions") for n in range(5)]
    audit.end(lines[-1], DONE, "d" * 9000)
    kept = audit.newest(10)
    assert [line.subject for line in kept] == ["4 completions", "3 completions", "2 completions"]
    assert [line.outcome for line in kept] == [DONE, STARTED, STARTED]
    assert len(kept[0].detail) == 500


def test_what_cannot_be_noted_is_not_done(settings: Settings, actions: Actions) -> None:
    offer = actions.offer_rollback()
    with actions.engine.begin() as connection:
        connection.execute(text("ALTER TABLE audit RENAME TO lost"))
    with pytest.raises(Exception, match="audit"):
        actions.perform(offer, ADA)
    assert announced(settings) == []
    current = actions.current()
    assert current is not None
    assert current.version == 2
