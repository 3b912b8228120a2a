"""PURE: a batch of ``task-completed`` before and after its transaction: decoded, and told of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from schemas import codec, events, topics
from schemas.codec import Bad, Raw
from streams.numbering import Outcome, Place, Publication


@dataclass
class Sorted:
    """A batch after decoding: publications beside bad messages."""

    publications: list[Publication] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)


def sort(raws: Sequence[Raw], now: datetime) -> Sorted:
    """Decode a batch; what cannot be decoded stands beside what can."""
    batch = Sorted()
    limit = topics.TASK_COMPLETED.max_bytes
    for raw in raws:
        task = codec.decode(events.TaskCompleted, limit, raw, now)
        if isinstance(task, Bad):
            batch.bad.append(task)
        else:
            batch.publications.append(Publication(task, Place(raw.partition, raw.offset)))
    return batch


def contradictions(outcome: Outcome, raws: Sequence[Raw]) -> list[Bad]:
    """Conflicts and refused rows of an outcome as bad messages."""
    by_place = {Place(raw.partition, raw.offset): raw for raw in raws}
    conflicts = [
        Bad(
            by_place[publication.place],
            "record",
            "conflict",
            "another publication of this task_id, with other values, was recorded first",
        )
        for publication in outcome.numbered.conflicts
    ]
    refused = [
        Bad(by_place[publication.place], "record", "refused", f"the store refused it: {reason}")
        for publication, reason in outcome.refused
    ]
    return conflicts + refused


def announcement(outcome: Outcome) -> events.Completions | None:
    """The numbers of a batch, those of a redelivery included; None where it has none."""
    fresh = [(number, p.task.completed_at) for number, p in outcome.numbered.fresh]
    again = [(recorded.number, recorded.completed_at) for recorded in outcome.numbered.again]
    numbers = sorted(fresh + again)
    if not numbers:
        return None
    items = tuple({"number": number, "completed_at": at} for number, at in numbers)
    said = {"generation": outcome.generation, "items": items}
    return events.Completions.model_validate(said)
