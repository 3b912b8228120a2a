"""Histories to fitted versions: the prior, both networks, LNIRT, and scores before learning.

A ``Fitter`` is kept between requests. The first history, and one half as long again as at the last
full training, is trained from nothing: on all but the newest rows, which are predicted, scored, and
then learned too. In between, new rows are predicted by the networks as they stand, scored, and
learned in a few steps; prior and LNIRT are fitted again every time, since that is quick.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import expit
from threadpoolctl import threadpool_limits

from schemas.errors import ModelRejected, NotEnoughData
from schemas.history import History
from training.deep import Deep, Watcher
from training.lnirt import Lnirt
from training.metrics import take
from training.record import FACTS, SERVING, Record
from training.sequences import Encoder
from training.shapes import MODELS, Arch, Shape, Sizes
from training.stage import Recorded, Said, Stage, recorded

LEAST_ROWS = 10
HELD_OUT = 0.2
MOST_HELD_OUT = 2000
GROWTH = 1.5

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Opinion = Callable[[History, Ints], tuple[Floats, Floats, Floats]]
SILENT = Watcher()


@dataclass(frozen=True)
class Order:
    """How to train: a seed fixes everything; ``anew`` forgets what the fitter holds."""

    seed: int
    arch: Arch = "residual"
    epochs: int = 14
    anew: bool = False


@dataclass(frozen=True)
class Fitted:
    """A version: both networks' weights by layer, all else that serving needs, and how it did on
    rows not yet learned. ``upto`` is the highest number it learned, ``users`` how many learners."""

    shapes: Mapping[str, Shape]
    weights: Mapping[str, Mapping[str, list[NDArray[Any]]]]
    encoder: Encoder
    lnirt: Lnirt
    record: Record
    rows: int
    upto: int
    users: int

    def metadata(self) -> dict[str, Any]:
        """What serving and people need to know beside the weights, as JSON."""
        topics, difficulties = len(self.encoder.topics), len(self.encoder.difficulties)
        return {
            "arch": self.shapes["correctness"].arch,
            "encoder": self.encoder.to_dict(),
            "users": self.users,
            "topics": topics,
            "difficulties": difficulties,
            "completions": self.upto,
            "learned_rows": self.rows,
            "lnirt": self.lnirt.to_dict(),
            "mixture": self.record.product()[2].to_dict(),
            "metrics": self.record.metrics(),
        }


@dataclass(frozen=True)
class Chain:
    """Where a fitter goes on from."""

    order: Order
    shapes: Mapping[str, Shape]
    stage: Stage
    past: Recorded
    record: Record
    full_upto: int


class Fitter:
    """Trains both networks, one history at a time.

    ``threads`` bounds linear algebra's pools, and TensorFlow's unless it has started already. One
    is quickest at these sizes.
    """

    def __init__(self, *, threads: int = 1) -> None:
        threadpool_limits(threads)
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        self._deep: dict[str, Deep] = {}
        self._chain: Chain | None = None

    def forget(self) -> None:
        """The next history is trained from nothing: what is held has been found wanting."""
        self._chain = None

    def fit(
        self,
        history: History,
        order: Order,
        watcher: Watcher = SILENT,
        *,
        serving: Opinion | None = None,
        known: Record | None = None,
    ) -> Fitted:
        """A version that has learned every row of ``history``, which ascends in number.

        ``serving`` predicts rows as the serving version does, NaN what it has learned; ``known``
        is that version's record. Raises NotEnoughData below ten rows, ModelRejected where a loss
        or weight is not finite, TrainingStopped where the watcher asks for it.
        """
        if len(history) < LEAST_ROWS:
            raise NotEnoughData(
                f"{len(history)} completions are too few to train on: {LEAST_ROWS} are needed."
            )
        chain, self._chain = self._chain, None
        if chain is not None and _goes_on(chain, history, order):
            chain = self._further(chain, history, watcher, serving)
        else:
            known = (chain.record if chain else known) or Record.empty()
            chain = self._anew(history, order, watcher, serving, known)
        _require_finite(chain)
        self._chain = chain
        return Fitted(
            chain.shapes,
            {name: self._deep[name].weights for name in MODELS},
            chain.stage.encoder,
            chain.stage.lnirt,
            chain.record,
            len(history),
            int(history.numbers[-1]),
            len(set(history.users)),
        )

    def _anew(
        self, history: History, order: Order, watcher: Watcher, serving: Opinion | None,
        known: Record,
    ) -> Chain:  # fmt: skip
        n = len(history)
        everything = np.ones(n, dtype=np.bool_)
        held_out = np.arange(n) >= n - min(round(n * HELD_OUT), MOST_HELD_OUT)
        older = take(history, ~held_out)
        known_names = Encoder.of(older)
        encoder = Encoder.of(history, known_names)
        shapes = _shapes(encoder, order.arch)
        past = recorded(older, known_names)
        stage = Stage.of(history, known_names, ~held_out, None, past)
        past = (past or stage.told(~held_out)).then(stage.told(held_out))
        for name, said in past.said.items():
            self._network(shapes[name]).train(
                stage, said, ~held_out, held_out, order.seed, order.epochs, watcher
            )
        record = self._predicted(stage, past.said, held_out, serving).seen_by_serving(known)
        stage = Stage.of(history, encoder, everything, stage, past)
        for name, said in past.said.items():
            self._deep[name].finish(stage, said, order.seed)
        upto = int(history.numbers[-1])
        return Chain(order, shapes, stage, past, known.of_rows(*_facts(older)).then(record), upto)

    def _further(
        self, chain: Chain, history: History, watcher: Watcher, serving: Opinion | None
    ) -> Chain:
        new = history.numbers > chain.past.numbers[-1]
        touched = np.isin(history.users.astype(str), history.users[new].astype(str))
        before, is_new = chain.stage.on(take(history, touched)), new[touched]
        record = self._predicted(before, before.said(), is_new, serving)
        past = chain.past.then(before.told(is_new))
        encoder, everything = Encoder.of(history, chain.stage.encoder), np.ones(len(history), bool)
        stage = Stage.of(history, encoder, everything, chain.stage, past)
        past = past.of(stage.told(everything))
        for name, said in past.said.items():
            self._deep[name].further(stage, said, new, chain.order.seed, watcher)
        record = chain.record.then(record)
        return Chain(chain.order, chain.shapes, stage, past, record, chain.full_upto)

    def _predicted(
        self, stage: Stage, said: Mapping[str, Said], rows: Bools, serving: Opinion | None
    ) -> Record:
        """What each predictor says of these rows, none of which it has learned. Where the networks
        don't know a name, LNIRT stands in for them, as it does in serving."""
        history = take(stage.history, rows)
        logit, time = (self._deep[n].linear(stage, said[n], rows)[rows] for n in MODELS)
        own = np.column_stack([expit(logit[:, 0]), time])
        lnirt = np.column_stack([stage.inputs.p, stage.inputs.mu, stage.inputs.sigma])[rows]
        known = (stage.tasks.topic[rows] > 0) & (stage.tasks.difficulty[rows] > 0)
        linear = [said[name].prior[rows] for name in MODELS]
        wide = np.column_stack([expit(linear[0]), linear[1], np.full(len(own), stage.prior.sigma)])
        has_prior = self._deep[MODELS[0]].shape.arch == "residual"
        opinions: dict[str, Iterable[Floats]] = {
            "network": np.where(known[:, None], own, lnirt).T,
            "prior": np.where(known[:, None], wide if has_prior else own, lnirt).T,
            "lnirt": lnirt.T,
            "cell": stage.means.at(history),
            "serving": serving(stage.history, np.flatnonzero(rows)) if serving else (),
        }
        return Record.of(
            **dict(zip(FACTS, _facts(history), strict=True)),
            **{
                f"{who}_{what}": column
                for who, columns in opinions.items()
                for what, column in zip(("p", "mu", "sigma"), columns, strict=False)
            },
        )

    def _network(self, shape: Shape) -> Deep:
        held = self._deep.get(shape.name)
        if held is None or held.shape != shape:
            held = self._deep[shape.name] = Deep(shape)
        return held


def _require_finite(chain: Chain) -> None:
    """Raises ModelRejected where the version would say something that is no number."""
    model, predicted = chain.stage.lnirt, chain.record.rows[:, : -len(SERVING)]
    if not np.isfinite(model.cells).all() or not np.isfinite(model.covariance).all():
        raise ModelRejected("a parameter of LNIRT is not finite")
    if not np.isfinite(predicted).all():
        raise ModelRejected("a prediction of the newest rows is not finite")


def _goes_on(chain: Chain, history: History, order: Order) -> bool:
    """Whether a few steps more will do."""
    encoder = Encoder.of(history, chain.stage.encoder)
    return (
        not order.anew
        and replace(order, anew=False) == replace(chain.order, anew=False)
        and history.numbers[-1] < GROWTH * chain.full_upto
        and history.numbers[-1] >= chain.past.numbers[-1]
        and _continues(chain.stage.history, history)
        and _shapes(encoder, order.arch) == chain.shapes
    )


def _facts(history: History) -> tuple[Floats, Floats, Floats]:
    """A record's facts of these rows."""
    numbers, correct = (c.astype(np.float64) for c in (history.numbers, history.is_correct))
    return numbers, correct, np.log(history.seconds)


def _continues(before: History, history: History) -> bool:
    """Whether both are of one store: a rebuilt one numbers anew."""
    _, old, new = np.intersect1d(before.numbers, history.numbers, return_indices=True)
    same = (before.users[old] == history.users[new]) & (before.seconds[old] == history.seconds[new])
    return len(old) > 0 and bool(np.all(same))


def _shapes(encoder: Encoder, arch: Arch) -> dict[str, Shape]:
    rows = Sizes.of(encoder).rows
    return {name: Shape(name, arch, *rows) for name in MODELS}
