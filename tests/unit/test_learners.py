"""What is held of learners answers as their whole histories would, however they came."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import fitted, history, only

from inference.beside import Beside
from inference.learners import Ask, Learners
from inference.predictor import NOTHING, Predictor
from inference.told import Answer
from schemas.history import History
from streams import history as store
from training.artifacts import Artifact
from training.export import files
from training.served import Served

START = 1.7e9
USERS = ["user-3", "user-4", "stranger"]
TOPICS, DIFFICULTIES = ["topic-1", "topic-2", "alchemy"], ["easy", "hard", "😀"]


@cache
def artifact() -> Artifact:
    return Artifact("v1", files(fitted()), fitted().metadata())


@cache
def plain() -> Predictor:
    return Predictor(artifact())


@cache
def other_thread() -> Beside:
    return Beside("tests")


class Store:
    """Completions as numbered so far; answers as ``streams.history.newer`` does."""

    def __init__(self, rows: History) -> None:
        self.rows, self.upto, self.generation, self.away = rows, 0, 1, False

    def read(self, after: Mapping[str, int]) -> tuple[int, History] | None:
        if self.away:
            return None
        seen = self.rows.numbers <= self.upto
        wanted = [
            n > after.get(u, 2**62) for u, n in zip(self.rows.users, self.rows.numbers, strict=True)
        ]
        return self.generation, only(self.rows, seen & np.array(wanted, dtype=bool))

    def of(self, user: str) -> History:
        return only(self.rows, (self.rows.users == user) & (self.rows.numbers <= self.upto))


words = st.tuples(st.sampled_from(USERS), st.sampled_from(TOPICS), st.sampled_from(DIFFICULTIES))
# Short gaps and long ones; a second has the learner's other tasks in it, or none.
moments = st.one_of(st.integers(0, 40), st.integers(0, 4000), st.integers(0, 400_000))
rows = st.tuples(
    words,
    moments,
    st.sampled_from([0.0, 0.001, 1.0, 5.0, 60.0]),
    st.booleans(),
    st.floats(0.5, 300.0),
    st.booleans(),
)
asks = st.tuples(words, moments, st.integers(-5, 5))


def as_history(found: list[tuple]) -> History:
    return store.columns(
        [
            (number, user, topic, difficulty, START + at, START + at + took, right, seconds, out)
            for number, ((user, topic, difficulty), at, took, right, seconds, out) in enumerate(
                found, 1
            )
        ]
    )


def assert_alike(found: Answer, wanted: Answer) -> None:
    assert (found.source, found.reason) == (wanted.source, wanted.reason)
    assert found.history_length == wanted.history_length
    assert found.p_correct == pytest.approx(wanted.p_correct, abs=1e-5)
    assert found.expected_seconds == pytest.approx(wanted.expected_seconds, rel=1e-5)
    assert found.seconds_high == pytest.approx(wanted.seconds_high, rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(rows, max_size=24),
    st.lists(st.tuples(st.integers(1, 9), st.lists(asks, min_size=1, max_size=4)), max_size=6),
    st.booleans(),
    st.integers(1, 3),
    st.booleans(),
)
def test_memory_answers_as_the_whole_history_does(
    found: list[tuple], turns: list[tuple], in_order: bool, most: int, beside: bool
) -> None:
    if in_order:
        found.sort(key=lambda row: row[1])
    shelf = Store(as_history(found))
    predictor = Predictor(artifact(), learners=most, beside=other_thread() if beside else None)
    for more, asked in turns:
        shelf.upto += more
        now = [Ask(u, t, d, START + at + ms / 1000.0) for (u, t, d), at, ms in asked]
        whole = plain().predict(now, [shelf.of(ask.user_id) for ask in now])
        for answer, wanted in zip(predictor.answer(now, shelf.read), whole, strict=True):
            assert_alike(answer, wanted)


def learned(most: int = 100) -> Learners:
    return Learners(Served(artifact()), most)


def test_a_completion_costs_one_step_however_long_the_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    past = history(1, 400)
    learners = learned()
    learners.learn(only(past, np.arange(399)))
    steps: list[int] = []
    advance = Served.advance

    def counted(self: Served, inputs: object, rows: np.ndarray, states: object) -> object:
        steps.append(rows.size)
        return advance(self, inputs, rows, states)  # type: ignore[arg-type]

    monkeypatch.setattr(Served, "advance", counted)
    assert learners.learn(only(past, np.array([399]))) == []
    learners.opinion([Ask(past.users[0], "topic-1", "easy", START + 1e9)])
    assert steps == [1]
    assert learners.completions(past.users[0]) == 400


def test_what_is_held_is_bounded_and_its_room_is_used_again() -> None:
    past, learners = history(40, 1200), learned(most=7)
    sizes = []
    for turn in range(6):
        for user in np.unique(past.users.astype(str)).tolist():
            learners.learn(only(past, past.users == user))
            assert len(learners) <= 7
            assert learners.last(user) == past.numbers[past.users == user][-1]
        if turn:
            sizes.append(len(learners._memory.facts))
    assert len(set(sizes)) == 1


def test_who_was_asked_about_last_stays() -> None:
    past, learners = history(4, 80), learned(most=3)
    for user in ("user-0", "user-1", "user-2"):
        learners.learn(only(past, past.users == user))
    learners.opinion([Ask("user-0", "topic-1", "easy", START + 1e9)])
    learners.learn(only(past, past.users == "user-3"))
    assert [learners.last(f"user-{n}") > 0 for n in range(4)] == [True, False, True, True]


def test_a_store_made_anew_is_read_again() -> None:
    predictor = Predictor(artifact())
    first, second = (Store(as_history([row] * n)) for n, row in ((3, ROW), (1, ROW)))
    first.upto = second.upto = 9
    second.generation = 2
    ask = [Ask("user-3", "topic-1", "easy", START + 1e6)]
    assert predictor.answer(ask, first.read)[0].history_length == 3
    (answer,) = predictor.answer(ask, second.read)
    assert_alike(answer, plain().predict(ask, [second.of("user-3")])[0])
    assert answer.history_length == 1


ROW = (("user-3", "topic-1", "easy"), 0, 5.0, True, 5.0, False)


@pytest.mark.parametrize("later", ["newer", "nothing", "another generation", "away"])
def test_what_is_read_beside_counts_as_what_is_read_before(later: str) -> None:
    """Of a held learner: in both orders the same answer, in the store's every state."""
    found, threads = [], list[int]()
    for beside in (None, other_thread()):
        predictor, shelf = Predictor(artifact(), beside=beside), Store(as_history([ROW] * 4))
        shelf.upto = 2
        ask = [Ask("user-3", "topic-1", "easy", START + 1e6)]
        predictor.answer(ask, shelf.read)
        shelf.upto = 4 if later == "newer" else 2
        shelf.generation = 2 if later == "another generation" else 1
        shelf.away = later == "away"

        def watched(after: Mapping[str, int], of: Store = shelf) -> tuple[int, History] | None:
            threads.append(threading.get_ident())
            return of.read(after)

        found += predictor.answer(ask, watched)
    assert threads[0] == threading.get_ident() != threads[len(threads) // 2]
    assert_alike(*found)
    assert found[0].history_length == (4 if later == "newer" else 2)
    assert found[0].reason.startswith("store" if later == "away" else "trained")


def test_an_error_of_reading_is_told_and_the_next_answer_is_right() -> None:
    predictor, shelf = Predictor(artifact(), beside=other_thread()), Store(as_history([ROW] * 4))
    shelf.upto = 2
    ask = [Ask("user-3", "topic-1", "easy", START + 1e6)]
    predictor.answer(ask, shelf.read)

    def broken(_: Mapping[str, int]) -> tuple[int, History] | None:
        raise ValueError("the store's answer makes no sense")

    with pytest.raises(ValueError, match="makes no sense"):
        predictor.answer(ask, broken)
    shelf.upto = 4
    assert predictor.answer(ask, shelf.read)[0].history_length == 4


def test_after_an_error_of_the_networks_no_answer_is_another_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor, shelf = Predictor(artifact(), beside=other_thread()), Store(as_history([ROW] * 4))
    shelf.upto = 2
    ask = [Ask("user-3", "topic-1", "easy", START + 1e6)]
    predictor.answer(ask, shelf.read)
    with monkeypatch.context() as patch:
        patch.setattr(Learners, "opinion", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            predictor.answer(ask, shelf.read)
    shelf.upto = 4
    assert predictor.answer(ask, shelf.read)[0].history_length == 4


def test_without_the_store_held_learners_go_on_as_they_are() -> None:
    predictor, shelf = Predictor(artifact()), Store(as_history([ROW] * 3))
    shelf.upto = 3
    asked = [Ask(user, "topic-1", "easy", START + 1e6) for user in ("user-3", "user-4")]
    before = predictor.answer(asked, shelf.read)
    shelf.away = True
    held, other = predictor.answer(asked, shelf.read)
    assert (held.source, held.p_correct) == ("lstm", before[0].p_correct)
    assert held.reason.startswith("store unavailable, trained on")
    assert (other.source, other.reason) == ("lnirt", "store unavailable")
    assert other.history_length == 0
    assert other.p_correct != 0.5


def test_before_any_completion_the_networks_answer() -> None:
    ask = [Ask("nobody", "topic-1", "easy", START)]
    (answer,) = Predictor(artifact()).answer(ask, lambda _: (0, NOTHING))
    assert_alike(answer, plain().predict(ask, [NOTHING])[0])


def test_a_new_version_takes_over_those_who_were_asked_about_last() -> None:
    old, new, past = Predictor(artifact()), Predictor(artifact()), history(5, 200)
    shelf = Store(past)
    shelf.upto = 200
    asked = [Ask(f"user-{n}", "topic-1", "easy", START + 1e6) for n in range(5)]
    wanted = old.answer(asked, shelf.read)
    new.take_over(old, shelf.read)
    reads: list[Mapping[str, int]] = []

    def watched(after: Mapping[str, int]) -> tuple[int, History] | None:
        reads.append(after)
        return shelf.read(after)

    for found, before in zip(new.answer(asked, watched), wanted, strict=True):
        assert_alike(found, before)
    assert all(min(after.values()) > 0 for after in reads)


def test_there_is_nothing_to_take_over_at_first() -> None:
    new, shelf = Predictor(artifact()), Store(as_history([ROW]))
    new.take_over(Predictor(None), shelf.read)
    shelf.away = True
    new.take_over(plain(), shelf.read)
    assert new.answer([Ask("user-3", "topic-1", "easy", START)], shelf.read)[0].source == "lnirt"
