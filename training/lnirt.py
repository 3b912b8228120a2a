"""Log-normal response time item response theory (LNIRT), fitted to long sparse rows by EM.

P(Y = 1) = Φ(a θ − b) and log T = λ − φ ζ + ε, ε ~ N(0, σ²), for a learner's ability θ and speed ζ
(van der Linden 2007; Klein Entink, Fox and van der Linden 2009). An item is a cell of topic ×
difficulty. Times are natural logarithms of seconds, and no number here assumes their scale beyond
a first guess of a minute that a handful of rows overrules.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from training import lnirt_cells
from training.lnirt_persons import Bools, Floats, Ints, Rows, State, expect, gather

DRIFT = 0.03
TABLES = ("a", "b", "phi", "lam", "sigma")


@dataclass(frozen=True, eq=False)
class Lnirt:
    """a, b, phi, lam, sigma: [topics + 1, difficulties + 1], row and column 0 for unseen names.

    covariance: [2, 2] of (θ, ζ) over learners, whose means are zero. drift: the share of it that
    a learner's uncertainty regains with every task, as people learn.
    """

    a: Floats
    b: Floats
    phi: Floats
    lam: Floats
    sigma: Floats
    covariance: Floats
    drift: float = DRIFT

    @cached_property
    def cells(self) -> Floats:
        """[topics + 1, difficulties + 1, 5]: a, b, φ, λ, σ side by side for one gather."""
        return np.stack([getattr(self, name) for name in TABLES], axis=-1)

    @cached_property
    def regained(self) -> Floats:
        """[5, 1]: what the drift of one task adds to θ, ζ, Vθθ, Vθζ, Vζζ."""
        added = np.zeros((5, 1))
        added[2:, 0] = self.drift * self.covariance[[0, 0, 1], [0, 1, 1]]
        return added

    def to_dict(self) -> dict[str, Any]:
        """Numbers and nested lists only."""
        arrays = {name: getattr(self, name).tolist() for name in (*TABLES, "covariance")}
        return arrays | {"drift": self.drift}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Lnirt:
        """Raises KeyError for what is missing and ValueError for what no model can be."""
        try:
            arrays = {n: np.array(data[n], dtype=np.float64) for n in (*TABLES, "covariance")}
            model = cls(**arrays, drift=float(data["drift"]))
        except TypeError as error:
            raise ValueError(f"LNIRT parameters need to be numbers: {error}") from error
        _check(model)
        return model


def _check(model: Lnirt) -> None:
    tables = [getattr(model, name) for name in TABLES]
    if model.a.ndim != 2 or not model.a.size or any(t.shape != model.a.shape for t in tables):
        raise ValueError("LNIRT tables need one shape of topics × difficulties")
    if model.covariance.shape != (2, 2):
        raise ValueError("LNIRT covariance needs to be 2 × 2")
    if not all(np.isfinite(t).all() for t in (*tables, model.covariance, model.drift)):
        raise ValueError("LNIRT parameters need to be finite")
    positive = (model.a, model.phi, model.sigma, np.linalg.eigvalsh(model.covariance))
    if any((t <= 0).any() for t in positive) or model.drift < 0:
        raise ValueError("LNIRT slopes, sigma and covariance need to be positive")
    if model.covariance[0, 1] != model.covariance[1, 0]:
        raise ValueError("LNIRT covariance needs to be symmetric")


def fit(
    learner: Ints,
    topic: Ints,
    difficulty: Ints,
    shape: tuple[int, int],
    correct: Bools,
    log_seconds: Floats,
    timed_out: Bools,
    *,
    iterations: int = 15,
    start: Lnirt | None = None,
    identified: bool = False,
) -> Lnirt:
    """n rows in any order; topic in 0..shape[0]-1 and difficulty in 0..shape[1]-1, 0 unseen.

    timed_out: log_seconds is only a lower bound. start: an earlier fit of the same shape.
    identified: Πa = Πφ = 1 over the cells with rows and sample means of θ and ζ of 0, as R's LNIRT.
    """
    cell = np.ravel_multi_index((topic, difficulty), shape)
    rows = gather(learner, cell, shape[0] * shape[1], correct, log_seconds, timed_out)
    s = _begin(rows, shape, start)
    weight = np.minimum(rows.of_cell, 1) if identified else rows.of_cell
    learners = len(rows.count) + (0.0 if identified else lnirt_cells.PRIOR_LEARNERS)
    for _ in range(iterations if len(cell) else 0):
        e = expect(rows, s)
        lnirt_cells.maximise(rows, s, e, shape)
        lnirt_cells.rescale(s, e.person, weight, learners)
    a, b, phi, lam = s.x.reshape(4, *shape)
    return Lnirt(a, b, phi, lam, np.sqrt(s.sigma2).reshape(shape), s.covariance)


def posterior(
    model: Lnirt,
    learner: Ints,
    topic: Ints,
    difficulty: Ints,
    correct: Bools,
    log_seconds: Floats,
    timed_out: Bools,
) -> Floats:
    """[L, 5]: θ, ζ, Vθθ, Vθζ, Vζζ given all rows of each learner (no drift), as np.unique sorts."""
    topics, difficulties = model.a.shape
    cell = np.ravel_multi_index((topic, difficulty), (topics, difficulties))
    rows = gather(learner, cell, model.a.size, correct, log_seconds, timed_out)
    if not len(cell):
        return np.zeros((0, 5))
    s = _begin(rows, (topics, difficulties), model)
    for _ in range(8):
        e = expect(rows, s)
    return e.person.T


def _begin(rows: Rows, shape: tuple[int, int], start: Lnirt | None) -> State:
    learners = len(rows.count)
    x, sigma2, covariance = _guess(rows)
    if start is not None and start.a.shape == shape:
        x = np.stack([t.ravel() for t in (start.a, start.b, start.phi, start.lam)])
        sigma2, covariance = start.sigma.ravel() ** 2, start.covariance
    none = np.zeros((4, 1, 1))
    s = State(
        x=x,
        sigma2=sigma2,
        covariance=covariance,
        centre=np.zeros(learners),
        scale=np.full(learners, np.sqrt(covariance[0, 0])),
        zeta=np.zeros(learners),
        effects=(x.mean(axis=1)[:, None, None], none, none),
        variance=np.stack([lnirt_cells.PRIOR_VARIANCE] * 3),
    )
    for _ in range(2 if learners else 0):
        expect(rows, s)
    return s


def _guess(rows: Rows) -> tuple[Floats, Floats, Floats]:
    """x, σ² and covariance from the overall share of right answers and mean time."""
    n, cells = len(rows.cell), len(rows.of_cell)
    x = np.repeat(lnirt_cells.POPULATION_MEAN[:, :, 0], cells, axis=1)
    x[1] = -rows.sign.sum() / (n + lnirt_cells.PRIOR_ROWS)
    x[3] += (rows.log_seconds - x[3, 0]).sum() / (n + lnirt_cells.PRIOR_SIGMA2)
    return x, np.full(cells, lnirt_cells.PRIOR_SIGMA2), lnirt_cells.PRIOR_COVARIANCE
