"""A version's answers: the networks where they know the task's words, else LNIRT, else the
default, and why.

One ask can't disturb another of the same batch. Never imports TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ArtifactError
from schemas.history import History
from streams import history as store
from training.artifacts import Artifact
from training.metrics import DEFAULT_P, DEFAULT_SECONDS, Z_80, take
from training.served import Opinion, Served

P_RANGE = (0.01, 0.99)
SECONDS_RANGE = (5.0, 600.0)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Ask:
    """Which task a learner starts, and when (Unix seconds)."""

    user_id: str
    topic: str
    difficulty: str
    started_at: float


@dataclass(frozen=True)
class Answer:
    """Times in seconds, low ≤ expected ≤ high, the ends of the 80 % interval; ``history_length``
    counts the completed tasks that the answer is based on."""

    p_correct: float
    expected_seconds: float
    seconds_low: float
    seconds_high: float
    source: str
    reason: str
    history_length: int


def default(reason: str) -> Answer:
    return Answer(DEFAULT_P, DEFAULT_SECONDS, *SECONDS_RANGE, "default", reason, 0)


class Predictor:
    """Answers from one verified version, or, without one, by default."""

    def __init__(self, artifact: Artifact | None, *, threads: int = 1) -> None:
        """Raises ArtifactError where the version's files can't serve."""
        self._served = None if artifact is None else Served(artifact, threads=threads)

    def warm(self) -> None:
        """Answers once; raises ArtifactError where the version can't."""
        if self._served is None:
            return
        words = (self._served.encoder.topics, self._served.encoder.difficulties)
        topic, difficulty = (each.names[0] if len(each) else "" for each in words)
        try:
            (answer,) = self.predict([Ask("", topic, difficulty, 0.0)], [NOTHING])
        except Exception as error:
            line = " ".join(str(error).split())
            raise ArtifactError(f"The version's networks don't run: {line}") from error
        if answer.source == "default":
            raise ArtifactError(f"The version can't answer: {answer.reason}.")

    def predict(self, asks: Sequence[Ask], histories: Sequence[History]) -> list[Answer]:
        """One answer an ask; ``histories`` are each learner's own completions, maybe none."""
        if self._served is None or not asks:
            return [default("no model yet") for _ in asks]
        pasts = [_before(ask, past) for ask, past in zip(asks, histories, strict=True)]
        lengths = np.array([len(past) + 1 for past in pasts])
        rows = np.cumsum(lengths) - 1
        pairs = zip(pasts, map(_task, asks), strict=True)
        joined = _joined([part for pair in pairs for part in pair])
        said = self._served.predict(joined, rows, np.repeat(np.arange(len(asks)), lengths))
        known = [_known(ask, past) for ask, past in zip(asks, pasts, strict=True)]
        return [self._answer(ask, said, at, known[at]) for at, ask in enumerate(asks)]

    def _answer(self, ask: Ask, said: Opinion, at: int, past: int) -> Answer:
        p, mu, sigma = said.p[at], said.mu[at], said.sigma[at]
        if not np.isfinite([p, mu, sigma]).all():
            return default("neither the networks nor LNIRT gave a finite number")
        seconds = np.exp(np.array([mu - Z_80 * sigma, mu, mu + Z_80 * sigma]))
        low, middle, high = (float(s) for s in np.clip(seconds, *SECONDS_RANGE))
        source = "lstm" if said.network[at] else "lnirt"
        reason = self._reason(ask, said, at, past)
        return Answer(float(np.clip(p, *P_RANGE)), middle, low, high, source, reason, past)

    def _reason(self, ask: Ask, said: Opinion, at: int, past: int) -> str:
        assert self._served is not None
        reads = f"reads {past} of this learner's"
        if not said.known_topic[at]:
            return f"unknown topic, {reads}"
        if not said.known_difficulty[at]:
            return f"unknown difficulty, {reads}"
        if not said.network[at]:
            return f"the networks gave no finite number, {reads}"
        trained = f"trained on {self._served.completions} completions"
        if self._served.encoder.users.index(ask.user_id):
            return f"{trained}, {reads}"
        return f"{trained}, learner not seen in training, {reads}"


NOTHING = store.columns([])


def _before(ask: Ask, past: History) -> History:
    """What the learner had started by the time of the ask."""
    return take(past, np.rint(past.started_at * 1000) <= round(ask.started_at * 1000))


def _known(ask: Ask, past: History) -> int:
    """How many of these were completed by the time of the ask."""
    return int((np.rint(past.completed_at * 1000) <= round(ask.started_at * 1000)).sum())


def _task(ask: Ask) -> History:
    """The ask as a row after all others; its outcome and duration never enter."""
    row = (
        2**62, ask.user_id, ask.topic, ask.difficulty, ask.started_at, ask.started_at, False, 1.0,
        False,
    )  # fmt: skip
    return store.columns([row])


def _joined(parts: Sequence[History]) -> History:
    names = History.__dataclass_fields__
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return History(**joined)
