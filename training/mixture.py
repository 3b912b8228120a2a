"""What is served of several opinions: PURE rules over predictions made before their outcomes.

The probability mixes the network's, the prior's, LNIRT's and a logit average of the first two that
leans on the last by a tenth, each with the weight it has at first times exp(-its discounted
cumulative log loss): Bayes' rule over experts with forgetting (Raftery, Kárný and Ettler 2010).
The median time is the geometric mean of the network's and the prior's. The interval around it is
widened or narrowed until 80 % of the recent times lie inside (adaptive conformal inference, Gibbs
and Candès 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from training.metrics import Z_80

EXPERTS = ("network", "prior", "lnirt", "leaning")
DISCOUNT = 0.999
# A little of LNIRT helps where rows are few; alone it is worse on all data seen so far. Where it is
# not, some dozens of rows say so: a weight of 1/50 costs LNIRT four nats in all.
AT_FIRST = (0.1, 0.1, 0.02, 0.78)
LEANING = (0.45, 0.45, 0.1)
COVERAGE = 0.8
FIRST_STEPS, LEAST_STEP = 10.0, 0.01
WIDTHS = (0.3, 3.0)
CERTAIN = 1e-4

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Mixture:
    """Weights of ``EXPERTS``, which sum to one, and the factor on sigma."""

    weights: tuple[float, ...] = AT_FIRST
    width: float = 1.0

    def p(self, network: Floats, prior: Floats, lnirt: Floats) -> Floats:
        """The mixed probability of a right answer, [n]."""
        return np.asarray(opinions(network, prior, lnirt) @ np.array(self.weights))

    def to_dict(self) -> dict[str, Any]:
        return {"weights": list(self.weights), "width": self.width}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Mixture:
        """Raises ValueError or KeyError where this is no mixture."""
        weights, width = tuple(float(w) for w in data["weights"]), float(data["width"])
        sound = len(weights) == len(EXPERTS) and min(weights) >= 0 and 0 < width < np.inf
        if not sound or not abs(sum(weights) - 1) < 1e-6:
            raise ValueError("the mixture's weights or width are not sound")
        return cls(weights, width)


def opinions(network: Floats, prior: Floats, lnirt: Floats) -> Floats:
    """[n, EXPERTS] probabilities. Where there is no prior (NaN), the network stands for it."""
    each = np.empty((len(network), len(EXPERTS)))
    each[:, 0], each[:, 1], each[:, 2] = network, np.where(np.isnan(prior), network, prior), lnirt
    first = np.clip(each[:, :3], CERTAIN, 1 - CERTAIN, out=each[:, :3])
    each[:, 3] = expit(logit(first) @ np.array(LEANING))
    return each


def middle(network: Floats, prior: Floats) -> Floats:
    """The log of the median time [n], of the network's and the prior's; where there is no prior
    (NaN), the network's."""
    return np.where(np.isnan(prior), network, 0.5 * (network + prior))


def mixed(
    correct: Bools, network: Floats, prior: Floats, lnirt: Floats
) -> tuple[Floats, tuple[float, ...]]:
    """Each row's mixed probability [n] with the weights from the rows before it, and the weights
    after the last row."""
    each = opinions(network, prior, lnirt)
    losses = -np.log(np.where(correct[:, None], each, 1 - each))
    powers = DISCOUNT ** np.arange(len(losses))[:, None]
    total = np.cumsum(losses / powers, axis=0) * powers
    before = np.vstack([np.zeros((1, len(EXPERTS))), DISCOUNT * total]) - np.log(AT_FIRST)
    weights = np.exp(before.min(axis=1, keepdims=True) - before)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.sum(weights[:-1] * each, axis=1), tuple(weights[-1].tolist())


def widths(z: Floats) -> Floats:
    """Factors on sigma: before each of n rows, and after the last, [n + 1]; ``z`` are the errors of
    log seconds over sigma."""
    found, log_width = np.empty(len(z) + 1), 0.0
    for at, size in enumerate(np.abs(z)):
        found[at] = np.exp(log_width)
        outside = size > Z_80 * found[at]
        step = max(1.0 / (FIRST_STEPS + at), LEAST_STEP)
        log_width += step * (float(outside) - (1 - COVERAGE))
        log_width = float(np.clip(log_width, *np.log(WIDTHS)))
    found[-1] = np.exp(log_width)
    return found
