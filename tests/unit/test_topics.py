"""The topics as the contract lists them, and who they say writes and reads them."""

from __future__ import annotations

import re
from pathlib import Path

from schemas import events, topics

DAY = 86_400_000
ROOT = Path(__file__).parents[2]
FOLDERS = {"operators": "ops"}


def test_topics_of_the_contract() -> None:
    found = {
        t.name: (t.key, t.partitions, t.config()["retention.ms"], t.config()["cleanup.policy"])
        for t in topics.ALL
    }
    assert found == {
        "task-completed": ("user_id", 6, "-1", "delete"),
        "completions": (None, 1, str(7 * DAY), "delete"),
        "train-request": (None, 1, str(30 * DAY), "delete"),
        "training-progress": ("request_id", 1, str(7 * DAY), "delete"),
        "model-updated": ("model", 1, "-1", "compact"),
        "prediction-request": ("user_id", 6, str(7 * DAY), "delete"),
        "prediction": ("user_id", 6, str(30 * DAY), "delete"),
        "prediction-score": (None, 1, str(30 * DAY), "delete"),
        "dead-letters": (None, 6, str(30 * DAY), "delete"),
        "letter-redriven": (None, 1, str(30 * DAY), "delete"),
        "learner-forgotten": ("learner", 1, "-1", "compact"),
    }
    reply = topics.reply("gateway")
    assert (reply.name, reply.partitions, reply.kept_seconds) == ("reply.gateway", 1, 3600)


def test_only_topics_of_several_partitions_are_spread() -> None:
    found = {t.name: t.spread(24).partitions for t in topics.ALL}
    several = {"task-completed", "prediction-request", "prediction", "dead-letters"}
    assert {name for name, partitions in found.items() if partitions == 24} == several
    assert {found[name] for name in found if name not in several} == {1}
    assert topics.TASK_COMPLETED.spread(1).partitions == 1


def test_dead_letters_take_64_kib_more_than_any_source() -> None:
    sources = [int(t.config()["max.message.bytes"]) for t in topics.ALL if t.event is not None]
    dead = int(topics.DEAD_LETTERS.config()["max.message.bytes"])
    assert dead == max(sources) + 65_536


def test_every_event_has_a_topic_and_every_key_is_a_field() -> None:
    assert {t.event for t in topics.ALL if t.event} == set(events.ALL)
    for topic in topics.ALL:
        if topic.event is not None and topic.key is not None:
            assert topic.key in topic.event.model_fields


def _code(service: str) -> str:
    folder = ROOT / FOLDERS.get(service, service)
    return "\n".join(path.read_text() for path in folder.rglob("*.py"))


def test_who_sends_and_reads_a_topic_names_it() -> None:
    """Both ways for senders: what a folder encodes for a topic is what the topic says. Operators
    run what the gateway has of feed and letters, too."""
    services = ("streams", "training", "inference", "gateway", "operators")
    code = {service: _code(service) for service in services}
    encoded = {s: set(re.findall(r"encode\w*\(\s*topics\.([A-Z_]+)", code[s])) for s in services}
    code["operators"] += code["gateway"]
    for topic in topics.ALL:
        name = topic.name.replace("-", "_").upper()
        for service in {*topic.sent_by, *topic.read_by}:
            word = f"topics.{name}"
            buries = topic is topics.DEAD_LETTERS and "Burial(" in code[service]
            assert word in code[service] or buries, (service, name)
        assert {s for s in services if name in encoded[s]} <= set(topic.sent_by), name
