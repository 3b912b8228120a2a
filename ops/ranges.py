"""PURE: a range of the log as people write it, by offsets."""

from __future__ import annotations

import re
from collections.abc import Sequence

from schemas.errors import UsageError
from schemas.events import OffsetRange

_SPAN = re.compile(r"(\d{1,9})@(\d{1,18})-(\d{1,18})?")


def offsets(written: str, held: Sequence[OffsetRange]) -> tuple[OffsetRange, ...]:
    """``PARTITION@FROM-UNTIL,…`` of what the log holds; without UNTIL to its end.

    Raises UsageError for anything else, a partition named twice, or what the log does not hold.
    """
    by_partition = {span.partition: span for span in held}
    found: dict[int, OffsetRange] = {}
    for part in written.split(","):
        match = _SPAN.fullmatch(part.strip())
        if match is None:
            raise UsageError(f"{part!r} is no range: write PARTITION@FROM-UNTIL, like 0@100-250")
        partition, first = int(match[1]), int(match[2])
        whole = by_partition.get(partition)
        if whole is None or partition in found:
            raise UsageError(f"partition {partition} {'is named twice' if whole else 'is unknown'}")
        end = int(match[3]) if match[3] else whole.end
        if not whole.first <= first <= end <= whole.end:
            raise UsageError(
                f"partition {partition} holds the offsets {whole.first}-{whole.end}, "
                f"not {first}-{end}"
            )
        found[partition] = OffsetRange(partition=partition, first=first, end=end)
    return tuple(found[partition] for partition in sorted(found))


def total(spans: Sequence[OffsetRange]) -> int:
    """How many offsets a range spans."""
    return sum(span.end - span.first for span in spans)
