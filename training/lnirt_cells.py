"""M-step of log-normal response time IRT: parameters of all topic × difficulty cells at once.

Each of a, b, φ, λ has a normal prior around a population's mean plus a topic's and a difficulty's
effect, with variances estimated from the data (Klein Entink, Fox and van der Linden 2009, with EM
in place of Gibbs sampling), so that a cell without rows takes the sum of the effects.

n rows, L learners, C = T × D cells. Gradients g are [4, C], information h [2, 3, C]: of (a, b) and
of (φ, λ), each first × first, first × second, second × second.
"""

from __future__ import annotations

import numpy as np

from training.lnirt_persons import Ability, Bools, Expected, Floats, Rows, State

SMALLEST_SIGMA = 0.05
SMALLEST_SLOPE, LARGEST_SLOPE = 0.1, 6.0

# Pseudo-observations: they carry the first completions and vanish beside a few hundred rows.
POPULATION_MEAN = np.array([1.0, 0.0, 1.0, np.log(60.0)])[:, None, None]
POPULATION_PRECISION = np.array([1e6, 1.0, 1e6, 0.1])[:, None, None]
PRIOR_VARIANCE = np.array([0.02, 0.3, 0.02, 0.08])[:, None, None]
PRIOR_EFFECTS = 4.0
PRIOR_COVARIANCE = np.array([[0.3, 0.0], [0.0, 0.08]])
PRIOR_LEARNERS = 4.0
PRIOR_SIGMA2 = 0.25
PRIOR_ROWS = 4.0


def maximise(rows: Rows, s: State, e: Expected, shape: tuple[int, int]) -> None:
    """One step of the cells, of their prior and of the persons' covariance, in ``s``."""
    answers, times = _answers(rows, e.ability), _times(rows, s, e)
    g = np.concatenate([answers[:2], times[:2]])
    h = np.stack([answers[2:5], times[2:5]])
    x = s.x + _newton(s, g, h, _pool(s, g, h, shape))
    x[[0, 2]] = np.clip(x[[0, 2]], SMALLEST_SLOPE, LARGEST_SLOPE)
    first, second = x[2:] - s.x[2:]
    fall = first * (2 * g[2] - h[1, 0] * first - h[1, 1] * second)
    fall += second * (2 * g[3] - h[1, 1] * first - h[1, 2] * second)
    square = np.maximum(times[5] - s.sigma2 * fall, 0)
    s.x, s.sigma2 = x, _residual(square.reshape(shape), rows.of_cell.reshape(shape)).ravel()
    s.covariance = _covariance(e.person)


def rescale(s: State, person: Floats, weight: Floats, learners: float) -> None:
    """Moves the persons' mean, and the cells' mean log a and log φ, to 0 at the same likelihood.

    Parameter expansion (Liu, Rubin and Wu 1998): EM alone creeps along these directions.
    weight: [C] of the cells in the geometric means; learners: by which the persons' sum is divided.
    """
    shift = person[:2].sum(axis=1) / learners
    s.x[1] -= s.x[0] * shift[0]
    s.x[3] -= s.x[2] * shift[1]
    scale = np.exp(np.log(s.x[[0, 2]]) @ weight / weight.sum())
    s.x[[0, 2]] /= scale[:, None]
    s.covariance = s.covariance * np.outer(scale, scale)
    s.centre, s.scale = (s.centre - shift[0]) * scale[0], s.scale * scale[0]
    s.zeta = (s.zeta - shift[1]) * scale[1]


def _answers(rows: Rows, q: Ability) -> Floats:
    """[5, C]: expected gradient and information of the answers in a, b."""
    weight = np.repeat(q.weight, rows.count, axis=1)
    theta = np.repeat(q.theta, rows.count, axis=1)
    score, information = weight * q.score, weight * q.information
    moment = information * theta
    return rows.per_cell(
        (score * theta).sum(axis=0),
        -score.sum(axis=0),
        (moment * theta).sum(axis=0),
        -moment.sum(axis=0),
        information.sum(axis=0),
    )


def _times(rows: Rows, s: State, e: Expected) -> Floats:
    """[6, C]: the same of the completed log times in φ, λ, then their expected squared error."""
    zeta, v = e.person[1][rows.learner], e.person[4][rows.learner]
    phi = s.x[2, rows.cell]
    error = e.log_seconds - s.x[3, rows.cell] + phi * zeta
    felt = phi * e.seen
    square = error**2 + s.sigma2[rows.cell] * (1 - e.seen) + felt * felt * v
    sums = rows.per_cell(-zeta * error - felt * v, error, zeta**2 + v, -zeta, square)
    return np.concatenate([sums[:4] / s.sigma2, [rows.of_cell / s.sigma2], sums[4:]])


def _newton(s: State, g: Floats, h: Floats, centre: Floats) -> Floats:
    """[4, C]: the step to the mode of (φ, λ), and one uphill for (a, b), under the normal prior."""
    variance = s.variance[2, :, 0]
    pull = (g - (s.x - centre) / variance).reshape(2, 2, -1)
    first, second = h[:, 0] + 1 / variance[::2], h[:, 2] + 1 / variance[1::2]
    determinant = first * second - h[:, 1] ** 2
    step = np.empty_like(pull)
    step[:, 0] = (second * pull[:, 0] - h[:, 1] * pull[:, 1]) / determinant
    step[:, 1] = (first * pull[:, 1] - h[:, 1] * pull[:, 0]) / determinant
    # Far from the mode the probit's curvature misleads.
    step[0] = np.clip(step[0], -1, 1)
    return step.reshape(s.x.shape)


def _told(s: State, h: Floats) -> Floats:
    """[4, C]: precision of what the rows say of each parameter, its neighbour integrated out."""
    precision = 1 / s.variance[2].reshape(2, 2, 1)
    known = h[:, [0, 2]] - h[:, [1, 1]] ** 2 / (h[:, [2, 0]] + precision[:, ::-1])
    told: Floats = np.maximum(known, 0).reshape(s.x.shape)
    return told


def _pool(s: State, g: Floats, h: Floats, shape: tuple[int, int]) -> Floats:
    """One sweep over the prior's effects, cells integrated out; returns its means, [4, C]."""
    known = _told(s, h)
    own = s.variance[2]
    linear = (known * s.x + g).reshape(4, *shape)
    known = known.reshape(4, *shape)
    share = 1 / (1 + known * own)
    weight, linear = known * share, linear * share
    mean, topic, difficulty = s.effects
    rest = (linear - weight * (topic + difficulty)).sum(axis=(1, 2), keepdims=True)
    precision = weight.sum(axis=(1, 2), keepdims=True) + POPULATION_PRECISION
    mean = (rest + POPULATION_PRECISION * POPULATION_MEAN) / precision
    topic, of_topics = _effect(linear - weight * (mean + difficulty), weight, s.variance[0], 2)
    difficulty, of_difficulties = _effect(
        linear - weight * (mean + topic), weight, s.variance[1], 1
    )
    centre = mean + topic + difficulty
    of_cells = _variance(own * (linear - weight * centre), own * share, known > 0)
    s.effects = mean, topic, difficulty
    s.variance = np.stack([of_topics, of_difficulties, of_cells])
    flat: Floats = centre.reshape(s.x.shape)
    return flat


def _effect(rest: Floats, weight: Floats, variance: Floats, axis: int) -> tuple[Floats, Floats]:
    """Posterior mean of the effects along the other axis, and their next variance."""
    told = weight.sum(axis=axis, keepdims=True)
    precision = told + 1 / variance
    effect = rest.sum(axis=axis, keepdims=True) / precision
    return effect, _variance(effect, 1 / precision, told > 0)


def _variance(effect: Floats, uncertainty: Floats, seen: Bools) -> Floats:
    """EM update of a variance, [4, 1, 1], held by a few pseudo-effects of the prior variance."""
    square = np.where(seen, effect**2 + uncertainty, 0).sum(axis=(1, 2), keepdims=True)
    number = seen.sum(axis=(1, 2), keepdims=True)
    variance: Floats = (square + PRIOR_EFFECTS * PRIOR_VARIANCE) / (number + PRIOR_EFFECTS)
    return variance


def _residual(square: Floats, count: Floats) -> Floats:
    """σ² [T, D]: squared error by rows, each cell shrunk to its topic, that to the population."""
    whole = (square.sum() + PRIOR_ROWS * PRIOR_SIGMA2) / (count.sum() + PRIOR_ROWS)
    topic = square.sum(axis=1, keepdims=True) + PRIOR_ROWS * whole
    topic = topic / (count.sum(axis=1, keepdims=True) + PRIOR_ROWS)
    sigma2: Floats = (square + PRIOR_ROWS * topic) / (count + PRIOR_ROWS)
    return np.maximum(sigma2, SMALLEST_SIGMA**2)


def _covariance(person: Floats) -> Floats:
    """[2, 2] second moments of (θ, ζ), inverse-Wishart regularised."""
    theta, zeta, v, c, w = person
    cross = theta @ zeta + c.sum()
    moments = np.array([[theta @ theta + v.sum(), cross], [cross, zeta @ zeta + w.sum()]])
    total: Floats = PRIOR_LEARNERS * PRIOR_COVARIANCE + moments
    return total / (PRIOR_LEARNERS + len(theta))
