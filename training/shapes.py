"""What decides the networks' shapes: their inputs, sizes and states. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from training.sequences import Encoder

Arch = Literal["residual", "reference"]
MODELS = ("correctness", "time")
UNITS = (64, 32)
STATES = {"h1": UNITS[0], "c1": UNITS[0], "h2": UNITS[1], "c2": UNITS[1]}
SMALLEST_LOG_SIGMA = -3.0
WORDS = ("user", "topic", "difficulty")
# Every name's own row in the wide part, and the cell's.
WIDE = (*WORDS, "cell")


@dataclass(frozen=True)
class Sizes:
    """How many names are known; tables have room to spare, so a new name seldom changes shapes."""

    users: int
    topics: int
    difficulties: int

    @classmethod
    def of(cls, encoder: Encoder) -> Sizes:
        return cls(len(encoder.users), len(encoder.topics), len(encoder.difficulties))

    @property
    def rows(self) -> tuple[int, int, int]:
        """Rows of the tables of users, topics and difficulties. Row 0 is the unknown name."""
        return (
            power_of_two(self.users + self.users // 4 + 1, 64),
            power_of_two(self.topics + 1, 16),
            power_of_two(self.difficulties + 1, 8),
        )


@dataclass(frozen=True)
class Shape:
    """What decides a network's shapes: two networks of one shape can exchange weights."""

    name: str
    arch: Arch
    users: int
    topics: int
    difficulties: int

    @property
    def embeddings(self) -> Mapping[str, tuple[int, int]]:
        """Rows and columns of each embedding table."""
        rows = (self.users, self.topics, self.difficulties)
        if self.arch == "reference":
            return dict(zip(WORDS, zip(rows, (16, 16, 4), strict=True), strict=True))
        return dict(zip(WORDS, zip(rows, (8, 8, 4), strict=True), strict=True)) | {
            "previous": (2 * self.topics + 1, 8),
            "previous_difficulty": (self.difficulties + 1, 4),
        }

    @property
    def outputs(self) -> int:
        """A logit, or log seconds and log sigma."""
        return 1 if self.name == "correctness" else 2


def power_of_two(n: int, least: int) -> int:
    """The smallest power of two that is at least ``n`` and at least ``least``, itself one."""
    return max(least, 1 << max(0, n - 1).bit_length())


def inputs_of(arch: Arch) -> dict[str, str]:
    """The inputs' names and types; all are [B, T], ``features`` [B, T, FEATURES]."""
    words = dict.fromkeys(WORDS, "int32")
    if arch == "reference":
        return words | {"time": "float32"}
    return words | {"previous": "int32", "previous_difficulty": "int32", "features": "float32"}
