"""What is trained, superseded or announced again."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import TrainRequest
from training.requests import plan

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def request(name: str, completions: int = 0) -> TrainRequest:
    trigger = name.split("-")[0]
    if trigger == "count":
        completions = int(name.split("-")[1])
    return TrainRequest.model_validate(
        {
            "request_id": name,
            "trigger": trigger,
            "completions": completions,
            "requested_at": NOW,
        }
    )


def test_the_newest_count_request_wins_in_any_order() -> None:
    made = plan([request("count-10"), request("count-20"), request("count-15")], (), 0)
    assert [r.request_id for r in made.train] == ["count-20"]
    assert {r.request_id for r in made.superseded} == {"count-10", "count-15"}
    assert made.by == "count-20"


def test_manual_and_replay_requests_are_each_served_and_supersede_nothing() -> None:
    waiting = [request("count-10"), request("manual-a", 99), request("replay-b", 99)]
    made = plan(waiting, (), 0)
    assert [r.request_id for r in made.train] == ["count-10", "manual-a", "replay-b"]
    assert made.superseded == ()


def test_what_has_ended_is_only_announced_again() -> None:
    made = plan([request("count-10"), request("count-5")], {"count-10": 1}, 10)
    assert [r.request_id for r in made.again] == ["count-10"]
    assert [r.request_id for r in made.superseded] == ["count-5"]
    assert made.by == "count-10"
    assert made.train == ()


def test_a_failed_request_supersedes_nothing() -> None:
    made = plan([request("count-5")], {"count-10"}, 0)
    assert [r.request_id for r in made.train] == ["count-5"]


@given(
    st.lists(st.sampled_from(["count-5", "count-10", "count-15", "manual-a", "replay-b"])),
    st.sets(st.sampled_from(["count-5", "count-10", "manual-a"])),
)
def test_every_request_is_handled_exactly_once(names: list[str], ended: set[str]) -> None:
    made = plan([request(name) for name in names], ended, 0)
    handled = [
        *(r.request_id for r in made.again),
        *(r.request_id for r in made.superseded),
        *(r.request_id for r in made.train),
    ]
    assert sorted(handled) == sorted(set(names))
    assert sum(r.trigger == "count" for r in made.train) <= 1
