"""Which requests are put off for a completion that they must know."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from inference.waiting import Asked, Waiting, first_of
from schemas.codec import Raw
from schemas.events import PredictionRequest


def asked(offset: int, after: str | None, until: float | None = None) -> Asked:
    request = PredictionRequest(
        request_id=f"r{offset}", task_id="t", user_id="u", topic="t", difficulty="d",
        started_at=datetime.now(UTC), after=after,
    )  # fmt: skip
    raw = Raw("prediction-request", offset % 2, offset, b"u", b"")
    return Asked(request, raw) if until is None else Asked(request, raw, until)


class Recording:
    def __init__(self, **positions: int) -> None:
        self.positions: dict[int, int] | None = {int(p[1:]): n for p, n in positions.items()}
        self.looks = 0

    def __call__(self) -> dict[int, int] | None:
        self.looks += 1
        return self.positions


def names(found: list[tuple[Asked, str]]) -> list[tuple[int, str]]:
    return [(one.raw.offset, lacks) for one, lacks in found]


def test_who_must_know_nothing_never_waits_or_looks() -> None:
    recording = Recording()
    assert names(Waiting(recording).ready([asked(1, None)])) == [(1, "")]
    assert recording.looks == 0


def test_others_do_not_wait_for_one_that_does() -> None:
    recording = Recording(p3=17)
    waiting = Waiting(recording)
    assert names(waiting.ready([asked(1, "3@17"), asked(2, None), asked(3, "3@16")])) == [
        (2, ""),
        (3, ""),
    ]
    assert first_of(waiting.held) == {1: 1}
    assert names(waiting.ready([asked(4, None)])) == [(4, "")]
    recording.positions = {3: 18}
    assert names(waiting.ready([])) == [(1, "")]
    assert first_of(waiting.held) == {}


def test_a_wait_ends_and_says_what_is_lacking() -> None:
    waiting = Waiting(Recording(p3=17))
    late = time.monotonic() - 1.0
    assert names(waiting.ready([asked(1, "3@17", late)])) == [(1, "3@17")]
    assert names(waiting.ready([asked(2, "0@0", late)])) == [(2, "0@0")]


def test_nobody_waits_for_a_store_that_is_away_or_at_the_end() -> None:
    recording = Recording()
    recording.positions = None
    assert names(Waiting(recording).ready([asked(1, "0@0")])) == [(1, "0@0")]
    assert names(Waiting(Recording()).ready([asked(1, "0@0")], at_once=True)) == [(1, "0@0")]


def test_the_first_held_of_each_partition_is_what_may_be_committed() -> None:
    waiting = Waiting(Recording())
    assert waiting.ready([asked(n, "0@0") for n in (5, 8, 3, 6)]) == []
    assert first_of(waiting.held) == {1: 3, 0: 6}
