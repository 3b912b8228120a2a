"""The events as they are against the last release, and the comparison against changes of a kind."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas import asyncapi, topics
from tests.unit import compatibility
from tests.unit.compatibility import GONE, MISSING, NARROWER, NEEDED, OTHER, WIDER

ROOT = Path(__file__).parents[2]
OTHERS_WRITE = {topic.name for topic in topics.ALL if topic.writer in ("producers", "askers")}
ADVICE = """\
{changes} breaking changes since {version}:
{listed}
If it was not meant: keep the old field and its limits, and make new fields optional.
If it was: raise the version in pyproject.toml, say what breaks in the README's changelog, and put
the new release in place of the old one: `retrace schemas export DIR`, then
DIR/asyncapi.json -> tests/released/asyncapi-<version>.json"""

Document = dict[str, Any]


def release() -> Path:
    """The last release's document; only this one is kept, older ones are in the history."""
    (path,) = (ROOT / "tests" / "released").glob("asyncapi-*.json")
    return path


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def test_nothing_breaks_who_relies_on_the_last_release() -> None:
    released = json.loads(release().read_text())
    broken = compatibility.breaking(released, asyncapi.document("now"), OTHERS_WRITE)
    listed = "\n".join(f"  - {change}" for change in broken)
    version = released["info"]["version"]
    assert not broken, ADVICE.format(changes=len(broken), version=version, listed=listed)


def test_the_release_is_named_by_its_version_and_in_the_changelog() -> None:
    version = json.loads(release().read_text())["info"]["version"]
    assert release().name == f"asyncapi-{version}.json"
    assert f"**{version}**" in (ROOT / "README.md").read_text().split("## Changelog")[1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert numbers(version) <= numbers(project["version"])


@pytest.fixture(scope="module")
def document() -> Document:
    return json.loads(json.dumps(asyncapi.document("1.0.0")))


def field(document: Document, event: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][event]["properties"][name]
    return found


def add(event: str, name: str, *, required: bool = False) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        schema = document["components"]["schemas"][event]
        schema["properties"][name] = {"type": "string"}
        schema["required"] += [name] if required else []

    return change


def drop(event: str, name: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        schema = document["components"]["schemas"][event]
        del schema["properties"][name]
        schema["required"] = [each for each in schema["required"] if each != name]

    return change


def put(event: str, name: str, **keywords: Any) -> Callable[[Document], None]:
    return lambda document: field(document, event, name).update(keywords)


def free(event: str, name: str) -> Callable[[Document], None]:
    """May be missing from now on."""
    return lambda document: document["components"]["schemas"][event]["required"].remove(name)


def never_null(event: str, name: str) -> Callable[[Document], None]:
    return lambda document: field(document, event, name)["anyOf"].pop()


def may_be_null(event: str, name: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        schema = field(document, event, name)
        kept = {key: schema.pop(key) for key in ("type", "minimum", "maximum") if key in schema}
        schema["anyOf"] = [kept, {"type": "null"}]

    return change


def topic(name: str, **kafka: Any) -> Callable[[Document], None]:
    return lambda document: document["channels"][name]["bindings"]["kafka"].update(kafka)


def message(name: str, change: Callable[[Any], Any]) -> Callable[[Document], None]:
    return lambda document: change(document["components"]["messages"][name])


def gone_channel(document: Document) -> None:
    del document["channels"]["prediction"]


def gone_message(document: Document) -> None:
    del document["channels"]["reply"]["messages"]["reply-why"]


def new_topic(document: Document) -> None:
    document["channels"]["praise"] = copy.deepcopy(document["channels"]["prediction"])


def reworded(document: Document) -> None:
    for schema in document["components"]["schemas"].values():
        schema["description"] = "in other words"
        schema.pop("examples", None)
        for each in schema["properties"].values():
            each["description"] = "in other words"


SOURCES = ["lstm", "lnirt", "default", "oracle"]
PURPOSES = ["practice", "forecast", "why", "praise"]
FITTING: dict[str, Callable[[Document], None]] = {
    "nothing": lambda document: None,
    "an optional field, written by others": add("TaskCompleted", "mood"),
    "an optional field, written by us": add("Prediction", "mood"),
    "an optional field of a part": add("ForecastCell", "mood"),
    "a topic": new_topic,
    "words and examples": reworded,
    "a longer id in what others write": put("TaskCompleted", "user_id", maxLength=256),
    "more time in what others write": put("TaskCompleted", "actual_time_seconds", maximum=1e6),
    "another choice in what others write": put("PredictionRequest", "purpose", enum=PURPOSES),
    "a field that others may leave out": free("TaskCompleted", "topic"),
    "a larger broker limit": topic("prediction", topicConfiguration={
        "cleanup.policy": ["delete"], "retention.ms": 30 * 86_400_000, "max.message.bytes": 9,
    }),
}  # fmt: skip
BREAKING: dict[str, tuple[Callable[[Document], None], str, str]] = {
    "field gone": (drop("Prediction", "p_correct"), "prediction.p_correct", GONE),
    "optional field gone": (drop("TaskCompleted", "timed_out"), "task-completed.timed_out", GONE),
    "field of a part gone": (
        drop("ForecastCell", "source"), "reply-forecast.cells[].source", GONE),
    "field of an item gone": (drop("OffsetRange", "end"), "train-request.data.offsets[].end", GONE),
    "new and required": (
        add("TaskCompleted", "mood", required=True), "task-completed.mood", NEEDED),
    "new and required in ours, which the log lacks": (
        add("Prediction", "mood", required=True), "prediction.mood", NEEDED),
    "shorter id": (
        put("TaskCompleted", "user_id", maxLength=64), "task-completed.user_id", NARROWER),
    "less time": (
        put("TaskCompleted", "actual_time_seconds", maximum=600),
        "task-completed.actual_time_seconds", NARROWER),
    "open vocabulary closed": (
        put("TaskCompleted", "difficulty", enum=["easy", "hard"]),
        "task-completed.difficulty", NARROWER),
    "other pattern": (
        put("ModelUpdated", "sha256", pattern="^[0-9A-F]{64}$"), "model-updated.sha256", NARROWER),
    "fewer items": (
        put("Completions", "items", maxItems=10), "completions.items", NARROWER),
    "no null any more": (
        never_null("TaskCompleted", "timed_out"), "task-completed.timed_out", NARROWER),
    "choice gone": (
        put("PredictionRequest", "purpose", enum=["practice"]),
        "prediction-request.purpose", NARROWER),
    "number as text": (
        put("Prediction", "p_correct", type="string"), "prediction.p_correct", WIDER),
    "new choice in what others read": (
        put("Prediction", "source", enum=SOURCES), "prediction.source", WIDER),
    "wider limits in what others read": (
        put("Prediction", "p_correct", minimum=0, maximum=1), "prediction.p_correct", WIDER),
    "null in what others read": (
        may_be_null("Prediction", "history_length"), "prediction.history_length", WIDER),
    "may be missing in what others read": (
        free("Prediction", "history_length"), "prediction.history_length", MISSING),
    "other default": (
        put("PredictionRequest", "purpose", default="why"),
        "prediction-request.purpose: the default", OTHER),
    "channel gone": (gone_channel, "prediction", GONE),
    "message gone": (gone_message, "reply-why", GONE),
    "other partitions": (topic("prediction", partitions=12), "prediction: its topic", OTHER),
    "other key": (
        message("prediction", lambda m: m["bindings"]["kafka"].update(key={"type": "integer"})),
        "prediction: the key", OTHER),
    "other ce_type": (
        message("prediction", lambda m: m["headers"]["properties"]["ce_type"].update(const="x")),
        "prediction header.ce_type", NARROWER),
    "other correlation": (
        message("reply", lambda m: m.pop("correlationId")), "reply: correlationId", OTHER),
    "other content": (
        message("dead-letters", lambda m: m.update(contentType="text/plain")),
        "dead-letters: contentType", OTHER),
}  # fmt: skip


@pytest.mark.parametrize("name", FITTING)
def test_what_is_added_breaks_nobody(document: Document, name: str) -> None:
    changed = copy.deepcopy(document)
    FITTING[name](changed)
    assert compatibility.breaking(document, changed, OTHERS_WRITE) == []


@pytest.mark.parametrize("name", BREAKING)
def test_what_breaks_others_is_named(document: Document, name: str) -> None:
    change, where, what = BREAKING[name]
    changed = copy.deepcopy(document)
    change(changed)
    found = compatibility.breaking(document, changed, OTHERS_WRITE)
    assert (where, what) in {(each.where, each.what) for each in found}
    # A reply may be a prediction, too.
    assert {each.where.replace("reply.", "prediction.") for each in found} == {where}


def test_a_change_says_before_and_after(document: Document) -> None:
    changed = copy.deepcopy(document)
    put("Prediction", "p_correct", maximum=1)(changed)
    told = [str(each) for each in compatibility.breaking(document, changed, OTHERS_WRITE)]
    assert told == [
        f"{of}.p_correct {WIDER} ({{'maximum': 0.99}} -> {{'maximum': 1}})"
        for of in ("prediction", "reply")
    ]
