"""E-step of log-normal response time IRT: what all rows of each learner say of ability and speed.

Given ability θ the log times leave speed ζ normal, so only θ needs quadrature: adaptive
Gauss-Hermite (Naylor and Smith 1982), whose centre and scale take one Newton step a call. A timed-
out task has a right-censored log time; its likelihood enters to second order around the last ζ.

n rows, L learners, C cells, Q nodes. Person moments are [5, L]: θ, ζ, Vθθ, Vθζ, Vζζ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ROOT_TWO_PI = float(np.sqrt(2 * np.pi))
# Φ(-30) is 5e-198: still a normal number, and no likelihood worth telling apart lies beyond.
FARTHEST = 30.0

_NODES, _WEIGHTS = (column[:, None] for column in np.polynomial.hermite_e.hermegauss(3))
_LOG_WEIGHTS = np.log(_WEIGHTS) + 0.5 * _NODES**2
_SHARES = (_WEIGHTS / _WEIGHTS.sum()).ravel()


@dataclass(frozen=True)
class Rows:
    """Rows sorted by learner. learner: [n] in 0..L-1; first, count: [L]; cell: [n] in 0..C-1.

    sign: 1 right, -1 wrong; censored: indices of the timed-out rows; of_cell: [C] rows of each.
    """

    learner: Ints
    first: Ints
    count: Ints
    cell: Ints
    sign: Floats
    log_seconds: Floats
    censored: Ints
    of_cell: Floats

    def per_learner(self, *values: Floats) -> Floats:
        """k arrays of [n] to sums [k, L]."""
        return np.add.reduceat(np.stack(values), self.first, axis=1)

    def per_cell(self, *values: Floats) -> Floats:
        """k arrays of [n] to sums [k, C]."""
        return np.stack([np.bincount(self.cell, v, len(self.of_cell)) for v in values])


@dataclass
class State:
    """What EM improves. x: [4, C] a, b, φ, λ; sigma2: [C]; covariance: [2, 2] of (θ, ζ).

    centre, scale: [L] of the quadrature over θ; zeta: [L] last mean of ζ. effects: the cells' prior
    as a population's mean, topics' and difficulties' effects, each [4, T or 1, D or 1]; variance:
    [3, 4, 1, 1] of topics, difficulties and single cells.
    """

    x: Floats
    sigma2: Floats
    covariance: Floats
    centre: Floats
    scale: Floats
    zeta: Floats
    effects: tuple[Floats, Floats, Floats]
    variance: Floats


@dataclass(frozen=True)
class Ability:
    """theta, weight: [Q, L] nodes and posterior shares; score, information: [Q, n] of a θ − b."""

    theta: Floats
    weight: Floats
    score: Floats
    information: Floats


@dataclass(frozen=True)
class Expected:
    """person: [5, L]; log_seconds: [n] completed where censored; seen: [n] the time's weight."""

    person: Floats
    ability: Ability
    log_seconds: Floats
    seen: Floats


def gather(
    learner: Ints, cell: Ints, cells: int, correct: Bools, log_seconds: Floats, timed_out: Bools
) -> Rows:
    _, index = np.unique(learner, return_inverse=True)
    order = np.argsort(index, kind="stable")
    count = np.bincount(index).astype(np.int64)
    return Rows(
        learner=index[order],
        first=np.cumsum(count) - count,
        count=count,
        cell=cell[order],
        sign=np.where(correct, 1.0, -1.0)[order],
        log_seconds=log_seconds[order].astype(np.float64),
        censored=np.flatnonzero(timed_out[order]),
        of_cell=np.bincount(cell, minlength=cells).astype(np.float64),
    )


def probit(z: Floats) -> tuple[Floats, Floats, Floats]:
    """Φ, and first and negative second derivative of log Φ, at z ≥ -30."""
    p = ndtr(z)
    slope = z * z
    slope *= -0.5
    np.exp(slope, out=slope)
    slope /= ROOT_TWO_PI * p
    return p, slope, slope * (slope + z)


def expect(rows: Rows, s: State) -> Expected:
    """Posterior of all persons; moves the quadrature of ``s`` to it."""
    phi, lam, sigma2 = s.x[2, rows.cell], s.x[3, rows.cell], s.sigma2[rows.cell]
    log_seconds, seen = _times(rows, s)
    old = s.zeta[rows.learner]
    curvature = seen * phi * phi / sigma2
    pull = curvature * old - phi * (log_seconds - lam + phi * old) / sigma2
    precision, linear = rows.per_learner(curvature, pull)
    prior = np.linalg.inv(s.covariance)
    rest = 1 / (prior[1, 1] + precision)
    slope = -prior[0, 1] * rest
    ability = _ability(rows, s, slope * linear, prior[0, 0] + prior[0, 1] * slope)
    theta = (ability.weight * ability.theta).sum(axis=0)
    v = (ability.weight * (ability.theta - theta) ** 2).sum(axis=0)
    s.zeta = rest * linear + slope * theta
    log_seconds = log_seconds - phi * (1 - seen) * (s.zeta[rows.learner] - old)
    person = np.stack([theta, s.zeta, v, slope * v, rest + slope * slope * v])
    return Expected(person, ability, log_seconds, seen)


def _times(rows: Rows, s: State) -> tuple[Floats, Floats]:
    """[n] log times expected at the current ζ; [n] how much of ζ each tells, 1 if not censored."""
    log_seconds, seen = rows.log_seconds, np.ones(len(rows.cell))
    if len(rows.censored):
        cell, bound = rows.cell[rows.censored], log_seconds[rows.censored]
        mean = s.x[3, cell] - s.x[2, cell] * s.zeta[rows.learner[rows.censored]]
        sigma = np.sqrt(s.sigma2[cell])
        _, ratio, share = probit(np.maximum((mean - bound) / sigma, -FARTHEST))
        log_seconds = log_seconds.copy()
        log_seconds[rows.censored] = np.maximum(mean + sigma * ratio, bound)
        seen[rows.censored] = np.clip(share, 0, 1)
    return log_seconds, seen


def _ability(rows: Rows, s: State, linear: Floats, precision: Floats) -> Ability:
    """Posterior of θ under the prior exp(linear θ − precision θ² / 2), [L] each."""
    theta = s.centre + s.scale * _NODES
    a = s.x[0, rows.cell]
    z = np.repeat(theta, rows.count, axis=1)
    z *= a * rows.sign
    z -= s.x[1, rows.cell] * rows.sign
    p, score, information = probit(np.maximum(z, -FARTHEST, out=z))
    score *= rows.sign
    log_weight = rows.per_learner(*np.log(p, out=p)) + _LOG_WEIGHTS
    log_weight += (linear - 0.5 * precision * theta) * theta
    weight = np.exp(log_weight - log_weight.max(axis=0))
    pull, told = rows.per_learner(_SHARES @ score * a, _SHARES @ information * a * a)
    variance = 1 / (precision + told)
    s.centre = s.centre + np.clip(variance * (pull + linear - precision * s.centre), -2, 2)
    s.scale = np.sqrt(variance)
    return Ability(theta, weight / weight.sum(axis=0), score, information)
