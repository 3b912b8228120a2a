"""Everything that is fitted to some rows of a history but the networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.history import History
from training import lnirt, prior
from training.features import Tasks
from training.lnirt import Lnirt
from training.metrics import TopicDifficulty, take
from training.prior import Prior
from training.sequences import Encoder, Inputs, replay

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

FIRST_BLOCK, GROWTH, MOST_BLOCKWISE = 20, 1.5, 5000


@dataclass(frozen=True)
class Stage:
    """LNIRT, prior and topic × difficulty means; ``inputs`` are those of all rows of ``history``,
    whichever of them it was fitted to."""

    history: History
    encoder: Encoder
    tasks: Tasks
    lnirt: Lnirt
    inputs: Inputs
    prior: Prior
    means: TopicDifficulty

    @classmethod
    def of(
        cls,
        history: History,
        encoder: Encoder,
        rows: Bools,
        before: Stage | None = None,
        past: Recorded | None = None,
    ) -> Stage:
        """Fitted to these rows, begun from an earlier stage. The prior learns from their features
        as they were recorded, where they were, else as LNIRT sees them now."""
        tasks, shape = encoder.tasks(history), encoder.sizes[1:]
        some = _some(tasks, rows)
        known = before.lnirt if before and before.encoder.sizes[1:] == shape else None
        model = lnirt.fit(
            some.learner, some.topic, some.difficulty, shape,
            some.correct, some.log_seconds, some.timed_out, start=known,
        )  # fmt: skip
        inputs = replay(tasks, encoder, model)
        features = inputs.columns["features"][rows]
        if past is not None:
            features = past.features_of(history.numbers[rows], features)
        fitted = prior.fit(
            features, some.user, some.topic, some.difficulty,
            some.correct, some.log_seconds, encoder.sizes, start=before.prior if before else None,
        )  # fmt: skip
        means = TopicDifficulty.of(take(history, rows))
        return cls(history, encoder, tasks, model, inputs, fitted, means)

    def on(self, history: History) -> Stage:
        """The same for another history, with nothing fitted again."""
        tasks = self.encoder.tasks(history)
        inputs = replay(tasks, self.encoder, self.lnirt)
        return Stage(history, self.encoder, tasks, self.lnirt, inputs, self.prior, self.means)

    def said(self) -> dict[str, Said]:
        """What the prior says of every row: logits and log seconds."""
        user, features = self.tasks.user, self.inputs.columns["features"]
        words = (user, self.tasks.topic, self.tasks.difficulty)
        both = {"correctness": self.prior.correctness, "time": self.prior.time}
        return {n: Said(model(features, *words), model.user[user]) for n, model in both.items()}

    def told(self, rows: Bools) -> Recorded:
        """What this stage says of some rows, to be kept before they are learned."""
        said = {name: column.map(lambda c: c[rows]) for name, column in self.said().items()}
        features = self.inputs.columns["features"][rows]
        return Recorded(self.history.numbers[rows], features, said)


@dataclass(frozen=True)
class Said:
    """What the prior says of n rows, and ``own``: the part of it that comes from who the learner
    is."""

    prior: Floats
    own: Floats

    def map(self, change: Callable[[Floats], Floats]) -> Said:
        return Said(change(self.prior), change(self.own))

    def join(self, other: Said, how: Callable[[Floats, Floats], Floats]) -> Said:
        return Said(how(self.prior, other.prior), how(self.own, other.own))


@dataclass(frozen=True)
class Recorded:
    """By ascending number, a row's features and what the prior said of it before it was learned.

    A parameter that a row's own outcome has shaped tells the outcome: with few rows, a prior that
    learned from features as LNIRT sees them afterwards would trust them too much.
    """

    numbers: Ints
    features: Singles
    said: Mapping[str, Said]

    def then(self, later: Recorded) -> Recorded:
        """With later numbers."""

        def chained(a: Floats, b: Floats) -> Floats:
            return np.concatenate([a, b])

        said = {name: self.said[name].join(later.said[name], chained) for name in self.said}
        return Recorded(
            np.concatenate([self.numbers, later.numbers]),
            np.concatenate([self.features, later.features]),
            said,
        )

    def features_of(self, numbers: Ints, otherwise: Singles) -> Singles:
        """The features of these numbers, or what is given for a number that isn't known."""
        at, known = self._places(numbers)
        return np.where(known[:, None], self.features[at], otherwise)

    def of(self, otherwise: Recorded) -> Recorded:
        """For the numbers of ``otherwise``, which tells what isn't known here."""
        at, known = self._places(otherwise.numbers)

        def recalled(mine: Floats, other: Floats) -> Floats:
            return np.where(known, mine[at], other)

        said = {n: self.said[n].join(column, recalled) for n, column in otherwise.said.items()}
        features = self.features_of(otherwise.numbers, otherwise.features)
        return Recorded(otherwise.numbers, features, said)

    def _places(self, numbers: Ints) -> tuple[Ints, Bools]:
        at = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
        return at, self.numbers[at] == numbers


def recorded(history: History, encoder: Encoder) -> Recorded | None:
    """Every row as if it had been recorded while the history grew: block by block, each told by a
    stage of the rows before it. None beyond ``MOST_BLOCKWISE`` rows, where one hardly moves its
    own features: what a stage of all of them tells is as good."""
    n = len(history)
    if n > MOST_BLOCKWISE:
        return None
    found, stage = None, None
    for start, stop in _blocks(n):
        sub, new = take(history, np.arange(stop)), np.arange(stop) >= start
        rows = np.arange(stop) < max(start, 1)
        stage = Stage.of(sub, encoder, rows, stage, found)
        found = found.then(stage.told(new)) if found else stage.told(new)
    return found


def _blocks(n: int) -> Iterator[tuple[int, int]]:
    start = 0
    while start < n:
        stop = min(n, max(FIRST_BLOCK, int(start * GROWTH)))
        yield start, stop
        start = stop


def _some(tasks: Tasks, rows: Bools) -> Tasks:
    return Tasks(**{name: column[rows] for name, column in vars(tasks).items()})
