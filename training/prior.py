"""The prior, the wide part: logistic regression for correctness, ridge for log seconds.

Both are Bayesian linear models with one fixed Gaussian prior, so that one rule holds from one row
to all of them: a standardised feature's weight has variance 1/160, less in a scope that few rows
differ in and more in the cells', one-hots of topic, difficulty and topic × difficulty 1/5 (ridge:
in units of the noise variance), whatever the number of rows. A learner's own intercept is a random
effect fitted afterwards on what the rest leaves over, so that it can't take anything from the
weights that serve a learner not met before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from training.features import CROSSES, GENERAL, SCOPED, SCOPES

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

FEATURE_PENALTY = 160.0
# A scope that few differ in tells little about a weight: learners are few, cells are many.
SCOPE_PENALTY = {"learner": 640.0, "topic": 320.0, "difficulty": 640.0, "cell": 20.0}
PENALTIES = np.append(
    np.repeat([SCOPE_PENALTY[scope] for scope in SCOPES], SCOPED),
    np.full(GENERAL + CROSSES, FEATURE_PENALTY),
)
NAME_PENALTY = 5.0
MOST_NAMES = 256
LIMIT = 5.0
USUAL_SIGMA = 0.5
SIGMA_ROWS = 5.0
NEWTON_STEPS = 3
FAR = 10.0


@dataclass(frozen=True)
class Linear:
    """A linear predictor on raw features [F]; the scaling is folded into its weights.

    ``topic`` [topics + 1], ``difficulty`` [difficulties + 1], ``cell`` [topics + 1,
    difficulties + 1], ``user`` [users + 1]: what a name adds; index 0, an unknown name, adds 0.
    A feature is first held within ``low`` … ``high`` [F], five standard deviations around its mean.
    """

    low: Floats
    high: Floats
    weights: Floats
    bias: float
    topic: Floats
    difficulty: Floats
    cell: Floats
    user: Floats

    def __call__(self, features: Floats, user: Ints, topic: Ints, difficulty: Ints) -> Floats:
        """[n, F], [n], [n], [n] to [n]."""
        names = self.topic[topic] + self.difficulty[difficulty] + self.cell[topic, difficulty]
        held = np.clip(features, self.low, self.high)
        return held @ self.weights + self.bias + names + self.user[user]


@dataclass(frozen=True)
class Prior:
    """``correctness`` gives logits, ``time`` means of log seconds, ``sigma`` their sd."""

    correctness: Linear
    time: Linear
    sigma: float


@dataclass(frozen=True)
class _Design:
    """Columns scaled so that a penalty of one on each is the rule above: [n, F + names]."""

    matrix: Floats
    low: Floats
    high: Floats
    scale: Floats
    names: Ints
    sizes: tuple[int, int, int]

    @classmethod
    def of(
        cls,
        features: Floats,
        topic: Ints,
        difficulty: Ints,
        sizes: tuple[int, int, int],
        penalties: Floats,
    ) -> _Design:
        mean, sd = (f(features, axis=0, dtype=np.float64) for f in (np.mean, np.std))
        # Features are single precision: less than this is rounding.
        varies = sd > 1e-6 * (1 + np.abs(mean))
        low, high = mean - LIMIT * sd * varies, mean + LIMIT * sd * varies
        scale = varies / (np.where(varies, sd, 1.0) * np.sqrt(penalties))
        codes = _codes(topic, difficulty, sizes)
        names = _frequent(codes, sizes[1] + sizes[2] + sizes[1] * sizes[2])
        matrix = np.empty((len(features), len(scale) + len(names)))
        matrix[:, : len(scale)] = (np.clip(features, low, high) - mean) * scale
        matrix[:, len(scale) :] = _one_hot(codes, names) / np.sqrt(NAME_PENALTY)
        return cls(matrix, low, high, scale, names, sizes)

    def coefficients(self, linear: Linear) -> tuple[Floats, Floats]:
        """The inverse of ``linear``, [1, F + names] and [1]."""
        tables = (linear.topic, linear.difficulty, linear.cell.ravel())
        names = np.concatenate(tables)[self.names] * np.sqrt(NAME_PENALTY)
        weights = np.divide(
            linear.weights, self.scale, out=np.zeros_like(self.scale), where=self.scale > 0
        )
        intercept = linear.bias + linear.weights @ (self.low + self.high) / 2
        return np.concatenate([weights, names])[None], np.array([intercept])

    def linear(self, coefficients: Floats, intercept: float, user: Floats) -> Linear:
        """Fitted coefficients back on raw features and names."""
        _, topics, difficulties = self.sizes
        weights = coefficients[: len(self.scale)] * self.scale
        table = np.zeros(topics + difficulties + topics * difficulties)
        table[self.names] = coefficients[len(self.scale) :] / np.sqrt(NAME_PENALTY)
        topic, difficulty, cell = np.split(table, [topics, topics + difficulties])
        bias = intercept - float(weights @ (self.low + self.high)) / 2
        cells = cell.reshape(topics, difficulties)
        return Linear(self.low, self.high, weights, bias, topic, difficulty, cells, user)


def _codes(topic: Ints, difficulty: Ints, sizes: tuple[int, int, int]) -> Ints:
    """A row's topic, difficulty and cell in one numbering, -1 where a name is unknown: [n, 3]."""
    _, topics, difficulties = sizes
    known = np.column_stack([topic > 0, difficulty > 0, (topic > 0) & (difficulty > 0)])
    cell = topics + difficulties + topic * difficulties + difficulty
    return np.where(known, np.column_stack([topic, topics + difficulty, cell]), -1)


def _frequent(codes: Ints, size: int) -> Ints:
    """The names seen most often, at most ``MOST_NAMES``."""
    counts = np.bincount(codes[codes >= 0], minlength=size)
    order = np.argsort(-counts, kind="stable")[:MOST_NAMES]
    return np.sort(order[counts[order] > 0])


def _one_hot(codes: Ints, names: Ints) -> Floats:
    column = np.full(codes.max(initial=0) + 2, -1)
    column[names] = np.arange(len(names))
    hot = np.zeros((len(codes), len(names) + 1))
    hot[np.arange(len(codes))[:, None], column[codes]] = 1.0
    return hot[:, :-1]


def fit(
    features: Floats,
    user: Ints,
    topic: Ints,
    difficulty: Ints,
    correct: Bools,
    log_seconds: Floats,
    sizes: tuple[int, int, int],
    penalties: Floats = PENALTIES,
    start: Prior | None = None,
) -> Prior:
    """Fit both parts. ``features`` [n, F], ``penalties`` [F], the others [n], n from 1; ``sizes``
    are the numbers of users, topics and difficulties, each with the unknown one. From ``start``, a
    fit to nearly the same rows, it takes fewer steps."""
    design = _Design.of(features, topic, difficulty, sizes, penalties)
    time, sigma = _time(design, user, log_seconds)
    known = start.correctness if start and start.correctness.cell.shape == sizes[1:] else None
    return Prior(_correctness(design, user, correct, known), time, sigma)


def _correctness(design: _Design, user: Ints, correct: Bools, start: Linear | None) -> Linear:
    """One right and one wrong answer on an average task are added (Laplace's succession)."""
    rows = np.vstack([design.matrix, np.zeros((2, design.matrix.shape[1]))])
    model = LogisticRegression(C=1.0, solver="newton-cholesky", warm_start=start is not None)
    if start is not None:
        model.coef_, model.intercept_ = design.coefficients(start)
        # Where names or scales have changed much, nothing is the better start.
        model.warm_start = float(np.abs(rows @ model.coef_[0]).max()) < FAR
    model.fit(rows, np.append(correct, [True, False]))
    coefficients, intercept = model.coef_[0], float(model.intercept_[0])
    logit = design.matrix @ coefficients + intercept
    return design.linear(coefficients, intercept, _abilities(logit, user, correct, design.sizes[0]))


def _abilities(logit: Floats, user: Ints, correct: Bools, users: int) -> Floats:
    """Each learner's intercept beside the logit, by Newton's method: [users + 1]."""
    ability, penalty = np.zeros(users), _learner_penalty(user)
    for _ in range(NEWTON_STEPS):
        p = expit(logit + ability[user])
        slope = np.bincount(user, correct - p, users) - penalty * ability
        ability += slope / (np.bincount(user, p * (1 - p), users) + penalty)
    ability[0] = 0.0
    return ability


def _time(design: _Design, user: Ints, log_seconds: Floats) -> tuple[Linear, float]:
    """The ridge, and σ with the degrees of freedom that it has used up."""
    mean, centre = design.matrix.mean(axis=0), float(log_seconds.mean())
    gram = design.matrix.T @ design.matrix - len(user) * np.outer(mean, mean)
    power, axes = np.linalg.eigh(gram)
    power = np.maximum(power, 0.0)
    moment = design.matrix.T @ (log_seconds - centre)
    coefficients = axes @ ((axes.T @ moment) / (power + 1))
    intercept = centre - float(mean @ coefficients)
    rest, users = log_seconds - design.matrix @ coefficients - intercept, design.sizes[0]
    speed = np.bincount(user, rest, users) / (
        np.bincount(user, minlength=users) + _learner_penalty(user)
    )
    speed[0] = 0.0
    left = max(len(user) - (power / (power + 1)).sum(), 0.0)
    squares = ((rest - speed[user]) ** 2).sum() + SIGMA_ROWS * USUAL_SIGMA**2
    return design.linear(coefficients, intercept, speed), float(
        np.sqrt(squares / (left + SIGMA_ROWS))
    )


def _learner_penalty(user: Ints) -> float:
    """As many as there are learners: the more of them the weights have been fitted on, the less of
    what they leave over is a learner's own."""
    return float(len(np.unique(user)))
