"""PURE: simulated learners whose ability and speed are known.

Rasch-like: the log-odds of a right answer are ability minus difficulty, and ability grows with the
logarithm of the practice in a topic. Times are log-normal around speed and time intensity. A
learner is the same in every run; the seed only draws the tasks and the answers.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

TOPICS = ("fractions", "percentages", "equations", "geometry", "probability", "functions")
DIFFICULTIES = {"easy": -1.2, "medium": 0.0, "hard": 1.2}
LEARNERS_SEED = 7_203
GROWTH = 0.35
LOG_SECONDS = 3.0
SECONDS_PER_DIFFICULTY = 0.3
SPREAD = 0.35


@dataclass(frozen=True)
class Learner:
    """``ability`` per topic in logits; ``speed`` in log seconds, higher is faster."""

    name: str
    ability: tuple[float, ...]
    speed: float


@dataclass(frozen=True)
class Attempt:
    """One task as it will be answered."""

    learner: str
    topic: str
    difficulty: str
    is_correct: bool
    seconds: float


def learner(index: int, digits: int = 2) -> Learner:
    """The learner of this index from 0, always the same one."""
    random = np.random.default_rng((LEARNERS_SEED, index))
    ability = random.normal(0, 1.0) + random.normal(0, 0.6, len(TOPICS))
    name = f"learner-{index + 1:0{digits}d}"
    return Learner(name, tuple(map(float, ability)), float(random.normal(0, 0.35)))


class Classroom:
    """Learners and how much they have practised. ``seed`` None draws afresh each time."""

    def __init__(self, learners: int, seed: int | None) -> None:
        self.learners = [learner(index) for index in range(learners)]
        self.practised: Counter[tuple[str, str]] = Counter()
        self.random = np.random.default_rng(seed)

    def attempt(self) -> Attempt:
        """The next task of a learner chosen at random, and the practice that it is."""
        who = self.learners[int(self.random.integers(len(self.learners)))]
        topic = int(self.random.integers(len(TOPICS)))
        difficulty = list(DIFFICULTIES)[int(self.random.integers(len(DIFFICULTIES)))]
        practised = self.practised[who.name, TOPICS[topic]]
        self.practised[who.name, TOPICS[topic]] += 1
        hardness = DIFFICULTIES[difficulty]
        correct = self.random.random() < p_correct(who.ability[topic], hardness, practised)
        seconds = _seconds(who.speed, topic, hardness, float(self.random.normal(0, SPREAD)))
        return Attempt(who.name, TOPICS[topic], difficulty, bool(correct), seconds)


def p_correct(ability: float, difficulty: float, practised: int) -> float:
    """The probability of a right answer after ``practised`` tasks of the topic."""
    grown = ability + GROWTH * math.log1p(practised)
    return 1 / (1 + math.exp(difficulty - grown))


def _seconds(speed: float, topic: int, difficulty: float, noise: float) -> float:
    intensity = LOG_SECONDS + 0.15 * topic + SECONDS_PER_DIFFICULTY * difficulty
    return round(min(max(math.exp(intensity - speed + noise), 1.0), 600.0), 3)
