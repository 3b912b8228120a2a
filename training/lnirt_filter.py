"""What an LNIRT model knows of each learner after each completed task.

The state of m learners is [m, 5]: means of ability θ and speed ζ, then Vθθ, Vθζ, Vζζ. A time is an
exact Kalman step, a time-out matches the moments of a truncated normal, and an answer those of a
normal times a probit (Rasmussen and Williams 2006, section 3.9): exact for one task.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from training.lnirt import Lnirt
from training.lnirt_persons import FARTHEST, ROOT_TWO_PI, Bools, Floats, Ints


def initial(model: Lnirt, learners: int) -> Floats:
    """[learners, 5]: nothing known yet."""
    state = np.zeros((learners, 5))
    state[:, 2:] = model.covariance[[0, 0, 1], [0, 1, 1]]
    return state


def answer(
    model: Lnirt, state: Floats, topic: Ints, difficulty: Ints
) -> tuple[Floats, Floats, Floats]:
    """P(correct), and mean and standard deviation of the log seconds, [m] each."""
    a, b, phi, lam, sigma = model.cells[topic, difficulty].T
    theta, zeta, v, _, w = state.T
    p = ndtr((a * theta - b) / np.sqrt(1 + a * a * v))
    return p, lam - phi * zeta, np.sqrt(sigma * sigma + phi * phi * w)


def _cut(z: Floats) -> tuple[Floats, Floats]:
    """φ(z) / Φ(z), and the share of its variance that a normal loses when cut at z."""
    z = np.maximum(z, -FARTHEST)
    ratio = np.exp(-0.5 * z * z) / (ROOT_TWO_PI * ndtr(z))
    return ratio, ratio * (ratio + z)


def advance(
    model: Lnirt,
    state: Floats,
    topic: Ints,
    difficulty: Ints,
    correct: Bools,
    log_seconds: Floats,
    timed_out: Bools,
) -> Floats:
    """The state [m, 5] after one more task of each learner."""
    a, b, phi, lam, sigma = model.cells[topic, difficulty].T
    moments = state.T + model.regained
    theta, zeta, _, c, w = moments
    total = sigma * sigma + phi * phi * w
    error, lost = log_seconds - lam + phi * zeta, 1 / total
    if timed_out.any():
        root = np.sqrt(total)
        ratio, cut = _cut(-error / root)
        lost = np.where(timed_out, cut * lost, lost)
        error = np.where(timed_out, np.maximum(root * ratio, error), error)
    _step(moments, -phi * c, -phi * w, error / total, lost)

    v, c = moments[2], moments[3]
    total = 1 + a * a * v
    root = (2.0 * correct - 1.0) / np.sqrt(total)
    ratio, share = _cut((a * theta - b) * root)
    _step(moments, a * v, a * c, ratio * root, share / total)
    return moments.T


def _step(moments: Floats, first: Floats, second: Floats, pull: Floats, lost: Floats) -> None:
    """Moves [5, m] by the covariances of θ and of ζ with what was seen, [m] each."""
    less = first * lost
    moments[0] += first * pull
    moments[1] += second * pull
    moments[2] -= first * less
    moments[3] -= second * less
    moments[4] -= second * second * lost
