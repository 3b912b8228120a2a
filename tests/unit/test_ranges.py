"""Ranges of the log as people write them."""

from __future__ import annotations

import pytest

from ops import ranges
from schemas.errors import UsageError
from schemas.events import OffsetRange

HELD = tuple(OffsetRange(partition=p, first=10, end=20) for p in range(3))


def test_offsets_by_partition() -> None:
    found = ranges.offsets("2@12-, 0@10-15", HELD)
    assert [(s.partition, s.first, s.end) for s in found] == [(0, 10, 15), (2, 12, 20)]
    assert ranges.total(found) == 13


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("5", "is no range"),
        ("0@-5", "is no range"),
        ("0@10-15,", "is no range"),
        ("7@10-15", "partition 7 is unknown"),
        ("0@10-15,0@15-20", "named twice"),
        ("0@9-15", "holds the offsets 10-20, not 9-15"),
        ("0@15-14", "not 15-14"),
        ("0@15-21", "not 15-21"),
    ],
)
def test_other_offsets_are_refused(written: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ranges.offsets(written, HELD)
