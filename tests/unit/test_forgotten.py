"""Who is forgotten, and what is left of their completions; no server."""

from __future__ import annotations

import hmac
import json

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import LearnerForgotten, TaskCompleted
from streams.forgotten import LEARNER, NOBODY, TASK, Forgotten, claim_of, pads, seal, seal_task
from streams.numbering import Place, Publication, claim
from tests.running import task

SALTS = ("0b" * 32, "9f" * 32)


def entry(salt: str, user: str) -> LearnerForgotten:
    values = {"learner": seal(salt, LEARNER, user), "salt": salt}
    return LearnerForgotten.model_validate_json(
        json.dumps({**values, "forgotten_at": "2026-03-01T12:00:00Z"})
    )


def published(task_id: str, **more: object) -> Publication:
    return Publication(
        TaskCompleted.model_validate_json(json.dumps(task(task_id, **more))), Place(0, 0)
    )


@given(st.text(max_size=130), st.binary(min_size=32, max_size=32))
def test_a_seal_is_hmac_and_a_learners_is_not_a_tasks(text: str, key: bytes) -> None:
    text = text.encode("utf-8", "ignore").decode()
    found = seal(key.hex(), TASK, text)
    assert found == hmac.digest(key, b"task/" + text.encode(), "sha256").hex()
    assert found != seal(key.hex(), LEARNER, text)
    assert [len(pad) for pad in pads(key.hex())] == [64, 64]


def test_the_list_holds_who_is_on_it_whatever_the_salt() -> None:
    foxes = Forgotten.of([entry(SALTS[1], "🦊" * 128)])
    both = Forgotten.of([entry(SALTS[0], "ada")]).and_of(foxes)
    assert [name in both for name in ("ada", "🦊" * 128, "Ada", "", "bob")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert both.salt_of("ada") == SALTS[0]
    assert not Forgotten()
    assert "ada" not in Forgotten()


def test_nobodys_completion_keeps_time_and_place_alone() -> None:
    forgotten = Forgotten.of([entry(SALTS[0], "ada"), entry(SALTS[1], "eve")])
    batch = [published("ada/1", user_id="ada", timed_out=True), published("b/1", user_id="bob")]
    (hers, his), also = forgotten.without(batch)
    assert his == batch[1]
    assert (hers.place, hers.task.completed_at) == (batch[0].place, batch[0].task.completed_at)
    assert hers.task.start() == hers.task.completed_at
    assert hers.task.task_id == seal_task(SALTS[0], "ada/1")
    assert "ada" not in repr(hers)
    assert hers.task.user_id == NOBODY
    assert also == {
        "ada/1": hers.task.task_id,
        seal_task(SALTS[1], "ada/1"): hers.task.task_id,
        **{seal_task(salt, "b/1"): "b/1" for salt in SALTS},
    }
    assert claim_of(claim(batch[0].task), forgotten) == claim(hers.task)
    assert claim_of(claim(his.task), forgotten) == claim(his.task)
