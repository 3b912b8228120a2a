"""Completions as columns: the form in which the store hands them to training and serving."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class History:
    """n recorded completions in the store's order (ascending number), as columns of length n.

    ``numbers`` int64; ``users``, ``topics``, ``difficulties`` object arrays of str;
    ``started_at``, ``completed_at`` float64, Unix seconds; ``is_correct`` bool;
    ``seconds`` float64, the response time; ``timed_out`` bool.
    """

    numbers: NDArray[np.int64]
    users: NDArray[np.object_]
    topics: NDArray[np.object_]
    difficulties: NDArray[np.object_]
    started_at: NDArray[np.float64]
    completed_at: NDArray[np.float64]
    is_correct: NDArray[np.bool_]
    seconds: NDArray[np.float64]
    timed_out: NDArray[np.bool_]

    def __len__(self) -> int:
        return int(self.numbers.shape[0])
