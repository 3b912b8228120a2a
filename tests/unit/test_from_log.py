"""Which learners of a long range of the log are learned."""

from __future__ import annotations

import numpy as np

from training.from_log import sampled

RNG = np.random.default_rng(1)


def test_all_where_they_are_not_more() -> None:
    assert sampled(np.array([3, 0, 3]), 3, 1).tolist() == [1, 2, 3]
    assert sampled(np.array([], dtype=np.int64), 10, 1).tolist() == []


def test_whole_learners_and_first_those_who_were_active_last() -> None:
    users = RNG.integers(0, 400, 10_000)
    users[-3:] = [500, 501, 502]
    numbers = sampled(users, 1000, 1)
    assert 800 < len(numbers) <= 1000
    assert (np.diff(numbers) > 0).all()
    assert {9998, 9999, 10_000} <= set(numbers.tolist())
    for user in np.unique(users[numbers - 1]):
        assert (users[numbers - 1] == user).sum() == (users == user).sum()


def test_a_learner_with_more_than_a_quarter_keeps_the_newest() -> None:
    users = np.zeros(5000, dtype=np.int64)
    assert sampled(users, 1000, 1).tolist() == list(range(4751, 5001))


def test_the_same_range_gives_the_same() -> None:
    users = RNG.integers(0, 300, 5000)
    assert np.array_equal(sampled(users, 1000, 1), sampled(users, 1000, 1))
    assert not np.array_equal(sampled(users, 1000, 1), sampled(users, 1000, 2))
