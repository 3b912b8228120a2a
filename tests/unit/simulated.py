"""Learners with known ability, and one small training that several tests share."""

from functools import cache

import numpy as np

from schemas.history import History
from training.fit import Fitted, Fitter, Order

DIFFICULTIES = ("easy", "medium", "hard")


def history(learners: int, rows: int, seed: int = 0, topics: int = 4) -> History:
    random = np.random.default_rng(seed)
    user = random.integers(0, learners, rows)
    topic, difficulty = random.integers(0, topics, rows), random.integers(0, 3, rows)
    ability, speed = random.normal(0, 1.5, learners), random.normal(0, 0.4, learners)
    p = 1 / (1 + np.exp(1.2 * (difficulty - 1) - ability[user]))
    seconds = np.exp(3 + 0.4 * difficulty + speed[user] + random.normal(0, 0.3, rows))
    started_at = 1.7e9 + np.cumsum(random.exponential(30, rows))
    return History(
        numbers=np.arange(1, rows + 1),
        users=np.array([f"user-{u}" for u in user], dtype=object),
        topics=np.array([f"topic-{t}" for t in topic], dtype=object),
        difficulties=np.array([DIFFICULTIES[d] for d in difficulty], dtype=object),
        started_at=started_at,
        completed_at=started_at + seconds,
        is_correct=random.random(rows) < p,
        seconds=seconds,
        timed_out=np.zeros(rows, dtype=np.bool_),
    )


def only(past: History, rows: np.ndarray) -> History:
    return History(**{name: column[rows] for name, column in vars(past).items()})


@cache
def fitter() -> Fitter:
    return Fitter()


@cache
def fitted() -> Fitted:
    return Fitter().fit(history(40, 1200), Order(seed=1))
