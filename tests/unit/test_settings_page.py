"""What the settings page says: before an action, after it, and of each setting."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from gateway import sentences
from gateway.headers import policy
from gateway.in_force import Row, rows
from gateway.letters import ALREADY, Group, Place, Plan
from gateway.pages.audit_list import cells
from gateway.pages.controls import NONE_YET, number, standing
from gateway.pages.frame import Viewer
from gateway.pages.settings_list import meaning, text_of
from schemas.settings import Settings
from training.revisions import Revision

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WHO = Viewer(ZoneInfo("Europe/Berlin"), "auto", False)


def revision(version: int, cause: str = "publish") -> Revision:
    return Revision(9, version, cause, AT)


def test_what_will_serve_is_said_before_it_does() -> None:
    first, waits = sentences.holding(3, revision(4))
    assert first == "Version 3 serves at once instead of version 4, and is held."
    assert "until it is released" in waits
    assert sentences.holding(4, revision(4))[0].startswith("Version 4 serves already.")
    assert sentences.holding(1, None)[0] == "Version 1 serves from now on, and is held."
    rejected = SimpleNamespace(version=3, state="rejected", reason="worse by 0.03")
    assert sentences.promotion(rejected, revision(4))[0] == "The gate rejected it: worse by 0.03."
    assert "serves instead of version 4: 5, as of now." in sentences.release(5, 4)[0]
    assert sentences.release(4, 4)[0].startswith("Version 4 goes on serving, ")
    assert "held" in sentences.training(12_000, revision(4, "promote"))[1]
    assert "12 000 recorded completions" in sentences.training(12_000, None)[0]


def test_letters_are_counted_before_they_go_and_names_are_escaped() -> None:
    plan = Plan({"task-\ncompleted": Group(3, 90, [Place(0, 1)])}, {ALREADY: Group(1, 9)})
    going = sentences.redrive(plan, "invalid")
    assert going[0] == (
        "3 letters of class invalid will go back to task-\\ncompleted, byte for byte."
    )
    assert going[1].startswith("1 letter left out: sent back before")
    assert going[2] == sentences.AGAIN
    assert sentences.redrive(Plan(), "")[0] == "No letter without a class can be sent back."
    assert sentences.redriven(plan)[0] == "3 letters sent back to task-\\ncompleted."


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("12", 12), (" v7 ", 7), ("", None), ("0", None), ("-1", None), ("1.5", None),
        ("²", None), ("٣", None), ("9" * 5000, None), ("2147483648", None), ("v", None),
        ("1000000000999", None),
    ],
)  # fmt: skip
def test_a_version_is_a_number(text: str, version: int | None) -> None:
    assert number(text) == version


def test_how_it_stands_and_what_was_done_are_in_the_viewers_time() -> None:
    assert standing(None, WHO) == NONE_YET
    assert standing(revision(4, "rollback"), WHO) == (
        "Version 4 serves since 01 Mar 13:00:00. It is held: later ones wait."
    )
    line = SimpleNamespace(
        at=AT, who="key 1a2b3c4d", address="127.0.0.1", action="promote", subject="version 3",
        outcome="failed", detail="Version 3 was never written.",
    )  # fmt: skip
    assert cells(line, WHO) == (
        "01 Mar 13:00:00", "key 1a2b3c4d", "127.0.0.1", "promote, version 3",
        "✗ failed: Version 3 was never written.",
    )  # fmt: skip


def test_a_search_looks_through_names_values_meanings_and_sources() -> None:
    row = Row("RETRACE_TRAIN_EVERY", "5", "default")
    assert "train-request" in meaning(row)
    for words in ("retrace_train", "5", "default", "completions"):
        assert words in text_of(row)
    assert all(meaning(each) for each in rows(Settings(), Settings()))


def test_no_content_policy_lets_others_in() -> None:
    for path in ("/dashboard/", "/docs", "/redoc", "/status", "/", "/nowhere"):
        found = policy(path, "localhost:4008")
        assert "frame-ancestors 'none'" in found, path
        assert "*" not in found, path
        assert "http:" not in found
        assert ("'unsafe-eval'" in found) == path.startswith("/dashboard"), path
    assert "ws://localhost:4008 wss://localhost:4008" in policy("/dashboard/", "localhost:4008")
    assert "evil" not in policy("/dashboard/", "evil; script-src *")
