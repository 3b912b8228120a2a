"""What a range of the log holds: counts per partition, and what would be left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.table import Table

from gateway.numerals import grouped
from schemas.codec import Bad
from schemas.events import OffsetRange
from schemas.settings import Settings
from streams import log
from streams.publications import Publications


@dataclass
class Survey:
    """Counts by partition; ``bad`` by partition and class."""

    spans: Sequence[OffsetRange]
    messages: Counter[int] = field(default_factory=Counter)
    bad: Counter[tuple[int, str]] = field(default_factory=Counter)
    duplicates: Counter[int] = field(default_factory=Counter)
    conflicts: Counter[int] = field(default_factory=Counter)
    forgotten: Counter[int] = field(default_factory=Counter)
    completions: int = 0

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        causes: Counter[str] = Counter()
        for (_, cause), count in self.bad.items():
            causes[cause] += count
        return {
            "messages": self.messages.total(),
            "completions": self.completions,
            "skipped": {
                "bad": dict(sorted(causes.items())),
                "duplicates": self.duplicates.total(),
                "conflicts": self.conflicts.total(),
                "forgotten": self.forgotten.total(),
            },
            "partitions": [self._partition(span) for span in self.spans],
        }

    def _partition(self, span: OffsetRange) -> dict[str, int]:
        p = span.partition
        bad = sum(count for (partition, _), count in self.bad.items() if partition == p)
        left_out = bad + self.duplicates[p] + self.conflicts[p] + self.forgotten[p]
        return {
            **span.model_dump(),
            "messages": self.messages[p],
            "completions": self.messages[p] - left_out,
            "bad": bad,
            "duplicates": self.duplicates[p],
            "conflicts": self.conflicts[p],
            "forgotten": self.forgotten[p],
        }


def take(
    settings: Settings,
    spans: Sequence[OffsetRange],
    now: datetime,
    advance: Callable[[int], None] = lambda _done: None,
    forgotten: Container[str] = (),
) -> Survey:
    """Read a range and judge it by numbering's rule; ``advance`` hears how far it is, what is of
    these learners is left out."""
    found, publications = Survey(spans), Publications()
    for batch in log.read(settings, spans, now):
        found.messages.update(entry.partition for entry in batch)
        found.bad.update((e.partition, e.event.cause) for e in batch if isinstance(e.event, Bad))
        good = [(e.partition, e.at, e.event) for e in batch if not isinstance(e.event, Bad)]
        gone = [each for each in good if each[2].user_id in forgotten]
        found.forgotten.update(partition for partition, *_ in gone)
        publications.add(each for each in good if each[2].user_id not in forgotten)
        advance(found.messages.total())
    settled = publications.settle()
    found.completions = len(settled.first)
    found.duplicates.update(settled.duplicates)
    found.conflicts.update(settled.conflicts)
    return found


def table(facts: dict[str, Any]) -> Table:
    """A row a partition, and the sum."""
    names = ("messages", "completions", "bad", "duplicates", "conflicts", "forgotten")
    shown = Table("partition", "offsets", *names, box=None, pad_edge=False, header_style="dim")
    for column in shown.columns[1:]:
        column.justify = "right"
    rows = facts["partitions"]
    for row in rows:
        offsets = f"{row['first']}-{row['end']}"
        shown.add_row(str(row["partition"]), offsets, *(grouped(row[name]) for name in names))
    sums = (grouped(sum(row[name] for row in rows)) for name in names)
    shown.add_row("all", "", *sums, style="bold")
    return shown
