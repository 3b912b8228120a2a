"""What becomes of requests: arms, clamped starts, expiry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from pydantic import ValidationError

from inference.answers import Answered, Answers
from inference.challenge import Challenger
from inference.models import Serving
from inference.predictor import NOTHING, Predictor
from inference.waiting import Asked
from schemas.codec import Raw
from schemas.events import ModelMetrics, ModelUpdated, PredictionRequest
from schemas.settings import Settings
from tests.unit.simulated import fitted
from training.artifacts import Artifact
from training.export import files

NOW = datetime.now(UTC)


@cache
def serving() -> Serving:
    metadata = fitted().metadata()
    updated = ModelUpdated(
        model="retrace", revision=7, version=3, request_id="count-5", artifact="v3",
        sha256="0" * 64, trained_at=NOW, metrics=ModelMetrics(rows=0),
        **{n: metadata[n] for n in ("completions", "users", "topics", "difficulties")},
    )  # fmt: skip
    return Serving(Predictor(Artifact("v3", files(fitted()), metadata)), updated)


def request(user: str = "user-1", **more: Any) -> PredictionRequest:
    values = {
        "request_id": f"r-{user}", "task_id": "t", "user_id": user, "topic": "topic-1",
        "difficulty": "easy", "started_at": NOW,
    }  # fmt: skip
    return PredictionRequest.model_validate(values | more)


def answered(*requests: PredictionRequest, challenger: Challenger | None = None) -> list[Answered]:
    answers = Answers(lambda _: (0, NOTHING), challenger)
    ready = [
        (Asked(each, Raw("prediction-request", 0, n, None, None)), "")
        for n, each in enumerate(requests)
    ]
    return answers.of(ready, serving(), NOW)


def test_without_a_challenger_all_is_the_champion_s() -> None:
    (one,) = answered(request())
    assert (one.told.arm, one.told.source, one.told.model_version) == ("champion", "lstm", 3)
    assert one.kept is None


def test_a_challenger_has_its_share_of_the_learners_always_the_same() -> None:
    challenger = Challenger("lnirt", 0.3)
    mine = [n for n in range(2000) if challenger.has(f"user-{n}")]
    assert 500 < len(mine) < 700
    assert mine == [n for n in range(2000) if Challenger("lnirt", 0.3).has(f"user-{n}")]
    wider = Challenger("lnirt", 0.6)
    assert all(wider.has(f"user-{n}") for n in mine)
    assert not Challenger("lnirt", 0.0).has("user-1")
    assert Challenger("lnirt", 1.0).has("user-1")


def test_its_learners_are_told_what_it_says() -> None:
    challenger = Challenger("lnirt", 0.5)
    requests = [request(f"user-{n}") for n in range(40)]
    champions = {one.told.user_id: one.told for one in answered(*requests)}
    for one in answered(*requests, challenger=challenger):
        rival = challenger.has(one.told.user_id)
        assert (one.told.arm, one.told.source) == (
            ("challenger", "lnirt") if rival else ("champion", "lstm")
        )
        assert one.kept is None
        assert (one.told.p_correct == champions[one.told.user_id].p_correct) is not rival


def test_a_shadow_is_kept_and_not_told() -> None:
    (one,) = answered(request(), challenger=Challenger("lnirt", 1.0, shadow=True))
    assert (one.told.arm, one.told.source) == ("champion", "lstm")
    assert one.kept is not None
    assert (one.kept.arm, one.kept.source) == ("challenger", "lnirt")
    assert one.kept.request_id == one.told.request_id


def test_a_challenger_with_nothing_to_say_leaves_it_to_the_champion() -> None:
    expired = request(expires_at=NOW - timedelta(seconds=1))
    (one,) = answered(expired, challenger=Challenger("lnirt", 1.0))
    assert (one.told.arm, one.told.reason) == ("champion", "expired before it was read")


def test_the_default_may_be_the_challenger() -> None:
    (one,) = answered(request(), challenger=Challenger("default", 1.0))
    assert (one.told.arm, one.told.p_correct, one.told.model_version) == ("challenger", 0.5, None)


@pytest.mark.parametrize(
    ("started_at", "remark"),
    [
        (NOW + timedelta(days=400), "started_at taken as five minutes from now; "),
        (datetime(1, 1, 2, tzinfo=UTC), "started_at taken as seven days ago; "),
        (NOW + timedelta(minutes=4), ""),
        (NOW - timedelta(days=6), ""),
    ],
)
def test_a_start_out_of_reach_is_clamped_and_said_so(started_at: datetime, remark: str) -> None:
    (one,) = answered(request(started_at=started_at))
    assert one.told.reason.startswith(remark + "trained on")
    assert one.told.started_at == started_at


@pytest.mark.parametrize("wrong", ["lnirt", "lnirt:2", "lstm:0.1", "lnirt:-1", ":0.1", "lnirt:.5"])
def test_a_challenger_s_setting_is_checked(wrong: str) -> None:
    with pytest.raises(ValidationError, match="challenger"):
        Settings(challenger=wrong)


def test_a_challenger_s_setting_is_read() -> None:
    assert Challenger.of("", shadow=False) is None
    assert Challenger.of("lnirt:0.25", shadow=True) == Challenger("lnirt", 0.25, True)
