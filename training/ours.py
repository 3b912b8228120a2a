"""Retrace's own models as contenders of an evaluation: as served, or a part alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit

from schemas.errors import NotEnoughData
from schemas.history import History
from training import export, lnirt
from training.artifacts import Artifact
from training.evaluate import Predictions
from training.fit import Fitter, Order
from training.metrics import DEFAULT_P, DEFAULT_SECONDS, USUAL_SIGMA, Floats, Ints
from training.sequences import Encoder, replay
from training.served import Opinion, Served
from training.shapes import Arch
from training.stage import Recorded, Stage, recorded


class Versions:
    """Trained, exported and read as the running system does it; ``view`` takes p, mu and sigma
    from what the version says."""

    def __init__(
        self, seed: int, arch: Arch, view: Callable[[Opinion], tuple[Floats, Floats, Floats]]
    ) -> None:
        self._order, self._view = Order(seed, arch), view
        self._fitter = Fitter()
        self._served: Served | None = None

    def learn(self, history: History) -> None:
        try:
            fitted = self._fitter.fit(history, self._order)
        except NotEnoughData:
            return
        files = export.serving_files(fitted)
        self._served = Served(Artifact("evaluated", files, fitted.metadata()))

    def predict(self, history: History, rows: Ints) -> Predictions:
        if self._served is None:
            return _default(len(rows))
        return Predictions(*self._view(self._served.predict(history, rows)))


class PriorAlone:
    """The wide part, without networks or mixture."""

    def __init__(self) -> None:
        self._past: Recorded | None = None
        self._stage: Stage | None = None

    def learn(self, history: History) -> None:
        encoder = Encoder.of(history, self._stage.encoder if self._stage else None)
        every = np.ones(len(history), dtype=np.bool_)
        if self._past is None or self._stage is None:
            self._past = recorded(history, encoder)
        else:
            new = history.numbers > self._past.numbers[-1]
            self._past = self._past.then(self._stage.on(history).told(new))
        self._stage = Stage.of(history, encoder, every, self._stage, self._past)
        self._past = self._past or self._stage.told(every)

    def predict(self, history: History, rows: Ints) -> Predictions:
        assert self._stage is not None
        said = self._stage.on(history).said()
        sigma = np.full(len(rows), self._stage.prior.sigma)
        logit, mu = said["correctness"].prior[rows], said["time"].prior[rows]
        return Predictions(expit(logit), mu, sigma)


class LnirtAlone:
    """The fallback."""

    def learn(self, history: History) -> None:
        self._encoder = Encoder.of(history)
        tasks = self._encoder.tasks(history)
        self._model = lnirt.fit(
            tasks.learner, tasks.topic, tasks.difficulty, self._encoder.sizes[1:],
            tasks.correct, tasks.log_seconds, tasks.timed_out,
        )  # fmt: skip

    def predict(self, history: History, rows: Ints) -> Predictions:
        said = replay(self._encoder.tasks(history), self._encoder, self._model)
        return Predictions(said.p[rows], said.mu[rows], said.sigma[rows])


def product(seed: int, arch: Arch) -> Versions:
    return Versions(seed, arch, lambda said: (said.p, said.mu, said.sigma))


def networks(seed: int, arch: Arch) -> Versions:
    """The two networks alone, prior included; nothing for what they don't know."""
    return Versions(seed, arch, _alone)


def _alone(said: Opinion) -> tuple[Floats, Floats, Floats]:
    p, mu, sigma = said.alone.T
    return p, mu, sigma


def _default(rows: int) -> Predictions:
    values = (DEFAULT_P, np.log(DEFAULT_SECONDS), USUAL_SIGMA)
    return Predictions(*(np.full(rows, value) for value in values))
