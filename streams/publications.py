"""PURE: which messages of a range of the log are completions, and in which order.

The rule is numbering's (numbering.py), over whole ranges: a task's first publication stands, what
repeats it is a duplicate, what contradicts it a conflict. Which comes first? Within a partition the
lower offset; across partitions the log's time, which within a partition never goes back. So the
order does not depend on how the log is read.

36 bytes a message, whatever it holds, and four times as much while they are settled.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from schemas.events import TaskCompleted
from streams.numbering import claim

Ints = NDArray[np.int64]
_ROW = struct.Struct("<16sqqi")
_COLUMNS = np.dtype([("task", "<u8", 2), ("claim", "<i8"), ("at", "<i8"), ("partition", "<i4")])


@dataclass(frozen=True)
class Settled:
    """``first``: the rows, as they were added, that are completions, in the log's order.

    ``duplicates`` and ``conflicts`` by partition.
    """

    first: Ints
    duplicates: dict[int, int]
    conflicts: dict[int, int]


@dataclass
class Publications:
    """Messages as they are read, each partition in its order. Not for several threads at once."""

    _rows: bytearray = field(default_factory=bytearray)

    def add(self, batch: Iterable[tuple[int, int, TaskCompleted]]) -> None:
        """Partition, the log's time, and what was published."""
        self._rows += b"".join(
            _ROW.pack(_digest(task.task_id), hash(claim(task)), at, partition)
            for partition, at, task in batch
        )

    def settle(self) -> Settled:
        """What they come to."""
        rows = np.frombuffer(self._rows, dtype=_COLUMNS)
        order = np.lexsort((rows["partition"], _never_back(rows["partition"], rows["at"])))
        task = rows["task"][order]
        alike = np.lexsort((task[:, 1], task[:, 0]))  # stable: the first of each stays the first
        leads = np.ones(len(rows), dtype=np.bool_)
        task = task[alike]
        leads[1:] = (task[1:] != task[:-1]).any(axis=1)
        claims = rows["claim"][order][alike]
        agrees = claims == claims[np.flatnonzero(leads)[np.cumsum(leads) - 1]]
        partitions = rows["partition"][order][alike]
        return Settled(
            order[np.sort(alike[leads])].astype(np.int64),
            _by_partition(partitions[~leads & agrees]),
            _by_partition(partitions[~agrees]),
        )


def _never_back(partition: Ints, at: Ints) -> Ints:
    """Each message's time, or that of an earlier one of its partition where that is later."""
    found = at.copy()
    for each in np.unique(partition):
        mine = partition == each
        found[mine] = np.maximum.accumulate(at[mine])
    return found


def _by_partition(partitions: Ints) -> dict[int, int]:
    found, counts = np.unique(partitions, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _digest(task_id: str) -> bytes:
    return blake2b(task_id.encode(), digest_size=16).digest()
