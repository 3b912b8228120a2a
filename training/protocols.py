"""The protocols of `retrace evaluate`: what may be learned and seen when, and what is to predict.

Each makes a plan of blocks, lazily. What a block lets a contender learn was completed before the
block's first task began. Pure: imports numpy, the schemas and the metrics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from schemas.errors import UsageError
from schemas.history import History
from training.metrics import Ints, take

FOLDS = 5
SMALL_REFIT = 5
SMALL_START = 50


@dataclass(frozen=True)
class Block:
    """One refit and the predictions up to the next: ``rows`` are positions in ``seen``.

    ``fresh``: a new contender begins. Without rows, it is learned only.
    """

    fresh: bool
    learned: History
    seen: History
    rows: Ints


@dataclass(frozen=True)
class Plan:
    """Blocks to go through, which predict so many ``rows`` in all."""

    rows: int
    blocks: Iterator[Block]


def user_disjoint(data: History, seed: int) -> Plan:
    """Five folds by learner. Raises UsageError for fewer than five learners."""
    names = np.unique(data.users.astype(str))
    if len(names) < FOLDS:
        raise UsageError(f"{FOLDS} folds by learner need {FOLDS} learners; there are {len(names)}.")
    folds = np.array_split(np.random.default_rng(seed).permutation(names), FOLDS)
    return Plan(len(data), (_fold(data, held_out) for held_out in folds))


def _fold(data: History, held_out: NDArray[np.str_]) -> Block:
    inside = np.isin(data.users.astype(str), held_out)
    return Block(True, take(data, ~inside), take(data, inside), np.arange(inside.sum()))


def prequential(data: History, every: int) -> Plan:
    """One global order of starts, a refit at every so many; the first block is not scored.

    Raises UsageError where nothing comes after the first block.
    """
    if len(data) <= every:
        raise UsageError(f"{len(data)} rows end within the first {every}, which are not scored.")
    order = np.argsort(data.started_at, kind="stable")
    starts = range(every, len(data), every)
    blocks = (_block(data, order, start, start + every) for start in starts)
    return Plan(len(data) - every, blocks)


def _block(data: History, order: Ints, start: int, stop: int) -> Block:
    now = data.started_at[order[start]]
    past, seen = np.sort(order[:start]), np.sort(order[:stop])
    usable = past[data.completed_at[past] <= now]
    rows = np.searchsorted(seen, order[start:stop])
    return Block(start == stop - start, take(data, usable), take(data, seen), rows)


def small(data: History, seed: int, learners: int, streams: int) -> Plan:
    """Streams of a few learners each, refitted at every fifth event, predicted once fifty events
    are behind. Raises UsageError for too few learners, or where no stream is that long."""
    names = np.unique(data.users.astype(str))
    if len(names) < learners:
        raise UsageError(f"{learners} learners are to be drawn; there are {len(names)}.")
    drawn = [_stream(data, names, learners, [seed, at]) for at in range(streams)]
    rows = sum(max(0, len(stream) - SMALL_START) for stream in drawn)
    if not rows:
        raise UsageError(f"No stream is longer than the {SMALL_START} events it begins with.")
    return Plan(rows, (block for stream in drawn for block in _refits(take(data, stream))))


def _stream(data: History, names: NDArray[np.str_], learners: int, seed: list[int]) -> Ints:
    """Positions of the drawn learners' rows, merged at random, each learner's in its own order."""
    generator = np.random.default_rng(seed)
    drawn = generator.choice(names, learners, replace=False)
    own = [np.flatnonzero(data.users == name) for name in drawn]
    turns = generator.permutation(np.repeat(np.arange(learners), [len(rows) for rows in own]))
    stream = np.empty(len(turns), dtype=np.int64)
    for learner, rows in enumerate(own):
        stream[turns == learner] = rows
    return stream


def _refits(stream: History) -> Iterator[Block]:
    stream = replace(stream, numbers=np.arange(1, len(stream) + 1))
    for start in range(SMALL_REFIT, len(stream), SMALL_REFIT):
        stop = min(start + SMALL_REFIT, len(stream))
        rows = np.arange(start, stop)
        usable, seen = _usable(stream, rows), take(stream, np.arange(stop))
        yield Block(start == SMALL_REFIT, usable, seen, rows[rows >= SMALL_START])


def _usable(stream: History, rows: Ints) -> History:
    """The rows before these, without those that their learner had not completed by then: clocks
    differ between learners, so that only a learner's own times can be compared."""
    first: dict[str, float] = {}
    for user, start in zip(stream.users[rows], stream.started_at[rows], strict=True):
        first[user] = min(start, first.get(user, np.inf))
    past = take(stream, np.arange(rows[0]))
    limits = np.array([first.get(user, np.inf) for user in past.users])
    return take(past, past.completed_at <= limits)
