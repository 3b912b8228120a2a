"""A training's history from a range of the log alone, whatever the store holds.

Exactly the range: what is invalid, repeats or contradicts is left out by numbering's rule, the rest
is numbered 1 … n in the log's order (publications.py). Beyond ``RETRACE_TRAIN_ROWS`` the same share
of learners is taken as of the store (history.py).
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.codec import Bad
from schemas.errors import TrainingFailed
from schemas.events import TaskCompleted, TrainRequest
from schemas.history import History
from schemas.settings import Settings
from streams import history, log
from streams.forgotten import NONE, Forgotten
from streams.patience import Stopped
from streams.publications import Publications

Ints = NDArray[np.int64]
MOST_MESSAGES = 10_000_000  # some two GB while they are put in order
_ROW = struct.Struct("<iiidd?d?")
_COLUMNS = np.dtype(
    [("user", "<i4"), ("topic", "<i4"), ("difficulty", "<i4"), ("started", "<f8"),
     ("completed", "<f8"), ("correct", "?"), ("seconds", "<f8"), ("timed_out", "?")]
)  # fmt: skip


class Columns:
    """Events as rows of 42 bytes; names are held once."""

    def __init__(self) -> None:
        self._names: tuple[dict[str, int], ...] = ({}, {}, {})
        self._rows = bytearray()

    def add(self, batch: Sequence[TaskCompleted]) -> None:
        self._rows += b"".join(self._packed(task) for task in batch)

    def _packed(self, task: TaskCompleted) -> bytes:
        words = (task.user_id, task.topic, task.difficulty)
        codes = [
            held.setdefault(word, len(held)) for held, word in zip(self._names, words, strict=True)
        ]
        return _ROW.pack(
            *codes, task.start().timestamp(), task.completed_at.timestamp(), task.is_correct,
            task.actual_time_seconds, bool(task.timed_out),
        )  # fmt: skip

    def history(self, order: Ints, rows: int, seed: int, forgotten: Forgotten = NONE) -> History:
        """Numbered in this order of the rows as they were added; about ``rows`` of them, none of
        whom is forgotten."""
        every = np.frombuffer(self._rows, dtype=_COLUMNS)
        gone = [code for user, code in self._names[0].items() if user in forgotten]
        order = order[~np.isin(every["user"][order], gone)]
        numbers = sampled(every["user"][order], rows, seed)
        found = every[order[numbers - 1]]
        names = [np.array(list(held), dtype=object) for held in self._names]
        words = [
            each[found[column]]
            for each, column in zip(names, ("user", "topic", "difficulty"), strict=True)
        ]
        facts = ("started", "completed", "correct", "seconds", "timed_out")
        return History(numbers, *words, *(found[name].copy() for name in facts))


def read(
    settings: Settings, request: TrainRequest, stop: threading.Event, forgotten: Forgotten = NONE
) -> History:
    """What a request that names a range of the log learns from: nothing of who is forgotten, which
    the log still has.

    Raises ``Unreachable`` while Kafka is away, ``TrainingFailed`` where the range holds less than
    when it was asked for, ``Stopped`` where the service is asked to stop meanwhile.
    """
    data, columns, publications = request.data, Columns(), Publications()
    spans = data.offsets or log.between(settings, data.since, data.until)
    messages = sum(span.end - span.first for span in spans)
    if messages > MOST_MESSAGES:
        raise TrainingFailed(f"the range has {messages} messages; {MOST_MESSAGES} are the most")
    for batch in log.read(settings, spans, request.requested_at):
        if stop.is_set():
            raise Stopped
        good = [(e.partition, e.at, e.event) for e in batch if not isinstance(e.event, Bad)]
        publications.add(good)
        columns.add([task for _, _, task in good])
    first = publications.settle().first
    if data.offsets is not None and len(first) < request.completions:
        raise TrainingFailed(
            f"the range holds {len(first)} completions, {request.completions} when it was asked for"
        )
    return columns.history(first, settings.train_rows, settings.seed, forgotten)


def sampled(users: Ints, rows: int, seed: int) -> Ints:
    """The numbers, from 1 on and ascending, of about ``rows`` of these: all where they are not
    more; else whole learners, half of the rows from who was active last, the others drawn."""
    upto = len(users)
    if upto <= rows:
        return np.arange(1, upto + 1)
    most = max(1, rows // 4)
    counts = dict(enumerate(np.minimum(np.bincount(users), most).tolist()))
    recent = list(dict.fromkeys(users[: upto - rows // 2 - 1 : -1].tolist()))
    others = list(dict.fromkeys(users[history.drawn(upto, rows // 2, seed) - 1].tolist()))
    chosen = history.within(recent, counts, rows // 2, set())
    spent = sum(counts[user] for user in chosen)
    chosen += history.within(others, counts, rows - spent, set(chosen))
    return _newest(users, chosen, most)


def _newest(users: Ints, chosen: Sequence[int], most: int) -> Ints:
    """The numbers of the ``most`` newest rows of each of these learners."""
    numbers = np.flatnonzero(np.isin(users, chosen))
    by_user = numbers[np.argsort(users[numbers], kind="stable")]
    last = np.searchsorted(users[by_user], users[by_user], side="right")
    return np.sort(by_user[last - np.arange(len(by_user)) <= most]) + 1
