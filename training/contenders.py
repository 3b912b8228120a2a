"""What `retrace evaluate` can evaluate: a name, and how to make a new contender.

A factory imports what it needs when it is called, so that a baseline needs no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable

from schemas.errors import UsageError
from training.evaluate import Contender

Factory = Callable[[int, str], Contender]


def _constant(seed: int, arch: str) -> Contender:
    from training.baselines import Constant

    return Constant()


def _topic_difficulty(seed: int, arch: str) -> Contender:
    from training.baselines import CellMean

    return CellMean()


def _best_lr(seed: int, arch: str) -> Contender:
    from training.baselines import BestLR

    return BestLR()


def _product(seed: int, arch: str) -> Contender:
    from training import ours

    return ours.product(seed, arch)  # type: ignore[arg-type]


def _lstm(seed: int, arch: str) -> Contender:
    from training import ours

    return ours.networks(seed, arch)  # type: ignore[arg-type]


def _prior(seed: int, arch: str) -> Contender:
    from training import ours

    return ours.PriorAlone()


def _lnirt(seed: int, arch: str) -> Contender:
    from training import ours

    return ours.LnirtAlone()


def _seed_lstm(seed: int, arch: str) -> Contender:
    """The networks of the system that Retrace replaces."""
    from training import ours

    return ours.networks(seed, "reference")


FACTORIES: dict[str, Factory] = {
    "product": _product,
    "lstm": _lstm,
    "prior": _prior,
    "lnirt": _lnirt,
    "seed-lstm": _seed_lstm,
    "best-lr": _best_lr,
    "topic-difficulty": _topic_difficulty,
    "constant": _constant,
}


def maker(model: str, seed: int, arch: str) -> Callable[[], Contender]:
    """A function that makes fresh contenders of this name. Raises UsageError for an unknown one."""
    if model not in FACTORIES:
        raise UsageError(f"There is no model {model!r}. There are: {', '.join(FACTORIES)}.")
    return lambda: FACTORIES[model](seed, arch)
