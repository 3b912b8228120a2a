"""Held learners are caught up with before they ask; nobody else is learned."""

from __future__ import annotations

import pytest
from test_learners import ROW, START, Store, artifact, as_history, assert_alike, plain

from inference.ahead import Ahead
from inference.learners import FEW, Ask
from inference.predictor import PORTION, Predictor

MANY = [f"user-{n}" for n in range(PORTION + 3)]


def asks(users: list[str]) -> list[Ask]:
    return [Ask(user, "topic-1", "easy", START + 1e6) for user in users]


def shelf_of(users: list[str], each: int) -> Store:
    """A completion of each, then the next of each."""
    (_, topic, difficulty), _, *rest = ROW
    turns = [(turn, user) for turn in range(each) for user in users]
    return Store(as_history([((u, topic, difficulty), 60 * turn, *rest) for turn, u in turns]))


def test_the_next_ask_finds_nothing_newer() -> None:
    shelf, predictor = shelf_of(["user-3", "user-4"], 2), Predictor(artifact())
    shelf.upto = 2
    predictor.answer(asks(["user-3"]), shelf.read)
    shelf.upto = 4
    active = Ahead(lambda: ["user-4", "user-3"], shelf.read)
    active.go_on(predictor)
    assert active.goes_on
    active.go_on(predictor)
    assert not active.goes_on
    assert (predictor.holds("user-3"), predictor.holds("user-4")) == (True, False)

    newer: list[int] = []

    def watched(after: dict[str, int]) -> object:
        found = shelf.read(after)
        newer.append(len(found[1]))  # type: ignore[index]
        return found

    (answer,) = predictor.answer(asks(["user-3"]), watched)  # type: ignore[arg-type]
    assert newer == [0]
    assert answer.history_length == 2
    assert_alike(answer, plain().predict(asks(["user-3"]), [shelf.of("user-3")])[0])


def test_some_at_a_time_so_that_a_request_does_not_wait_long() -> None:
    shelf, predictor = shelf_of(MANY, 2), Predictor(artifact())
    shelf.upto = len(MANY)
    predictor.answer(asks(MANY), shelf.read)
    shelf.upto = 2 * len(MANY)
    reads: list[int] = []

    def watched(after: dict[str, int]) -> object:
        reads.append(len(after))
        return shelf.read(after)

    active = Ahead(lambda: MANY, watched)  # type: ignore[arg-type]
    active.go_on(predictor)
    while active.goes_on:
        active.go_on(predictor)
    assert reads == [PORTION, 3]


def test_who_was_active_is_not_asked_all_the_time_nor_where_nobody_is_held() -> None:
    shelf, predictor, calls = shelf_of(["user-3"], 2), Predictor(artifact()), list[int]()
    shelf.upto = 1

    def active() -> list[str]:
        calls.append(1)
        return []

    nobody = Ahead(active, shelf.read)
    assert nobody.is_due
    nobody.go_on(predictor)
    assert (calls, nobody.is_due) == ([], False)
    predictor.answer(asks(["user-3"]), shelf.read)
    somebody = Ahead(active, shelf.read)
    somebody.go_on(predictor)
    assert (calls, somebody.is_due) == ([1], False)


def test_a_version_that_came_meanwhile_learns_only_of_whom_it_holds() -> None:
    shelf, old, new = shelf_of(["user-3", "user-4"], 2), *(Predictor(artifact()) for _ in "12")
    shelf.upto = 2
    old.answer(asks(["user-3", "user-4"]), shelf.read)
    new.answer(asks(["user-4"]), shelf.read)
    shelf.upto = 4
    active = Ahead(lambda: ["user-3", "user-4"], shelf.read)
    active.go_on(old)
    active.go_on(new)
    assert (new.holds("user-3"), new.holds("user-4")) == (False, True)
    shelf.away = True
    (answer,) = new.answer(asks(["user-4"]), shelf.read)
    assert answer.history_length == 2


@pytest.mark.parametrize("why", ["overlap", "many", "generation", "away"])
def test_what_would_take_long_or_can_t_be_told_is_left_for_the_next_ask(why: str) -> None:
    """Those held stay as they are, in the order of who goes first."""
    shelf = shelf_of(["user-3", "user-4"], FEW + 3)
    if why == "overlap":
        shelf.rows.started_at[2] -= 3600
    predictor = Predictor(artifact(), learners=2)
    shelf.upto = 2
    for user in ("user-3", "user-4"):
        predictor.answer(asks([user]), shelf.read)
    shelf.upto = 4 + 2 * FEW if why == "many" else 3
    shelf.generation = 2 if why == "generation" else 1
    reads: list[int] = []

    def watched(after: dict[str, int]) -> object:
        reads.append(len(after))
        return None if why == "away" else shelf.read(after)

    predictor.learn_of(["user-3"], watched)  # type: ignore[arg-type]
    learners = predictor._learners
    assert learners is not None
    assert reads == [1]
    assert learners.users() == ["user-3", "user-4"]
    assert (learners.last("user-3"), learners.completions("user-3")) == (1, 1)
    (answer,) = predictor.answer(asks(["user-3"]), shelf.read)
    assert_alike(answer, plain().predict(asks(["user-3"]), [shelf.of("user-3")])[0])


def test_without_the_store_nothing_is_learned_and_nothing_breaks() -> None:
    shelf, predictor = shelf_of(["user-3"], 2), Predictor(artifact())
    shelf.upto = 1
    predictor.answer(asks(["user-3"]), shelf.read)
    shelf.upto, shelf.away = 2, True
    active = Ahead(lambda: ["user-3"], shelf.read)
    active.go_on(predictor)
    active.go_on(predictor)
    assert not active.goes_on
    shelf.away = False
    assert predictor.answer(asks(["user-3"]), shelf.read)[0].history_length == 2
