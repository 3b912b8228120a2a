"""What every consumer does with bad messages: dead letters, a metric and a line of a log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from schemas import codec, topics
from schemas.codec import Bad
from schemas.settings import Settings
from streams import common_metrics as metrics
from streams import kafka
from streams.letters import bury
from streams.patience import Patience

log = structlog.get_logger("retrace")


@dataclass(frozen=True)
class Burial:
    """Publishes by ``publisher``; the broker is waited for."""

    settings: Settings
    publisher: kafka.Publisher
    patience: Patience

    def __call__(self, bad: Sequence[Bad]) -> None:
        """Bury bad messages; they are on the dead-letter topic when this returns."""
        name = self.settings.topic_prefix + topics.DEAD_LETTERS.name
        now = datetime.now(UTC)
        letters = [codec.dead_letter(one, name, now) for one in bad]
        if letters:
            self.patience.call("kafka", kafka.is_away, bury, self.publisher, letters)
        for alike in by_cause(bad).values():
            first = alike[0]
            metrics.DEAD_LETTERS.labels(first.raw.topic, first.cause).inc(len(alike))
            place = f"{first.raw.topic}/{first.raw.partition}@{first.raw.offset}"
            more = {"and_more_like_it": len(alike) - 1} if len(alike) > 1 else {}
            log.warning("dead letter", at=place, cause=first.cause, because=first.message, **more)


def by_cause(bad: Sequence[Bad]) -> dict[str, list[Bad]]:
    """Bad messages of one topic by cause: one line of a log speaks for all that are alike."""
    found: dict[str, list[Bad]] = {}
    for one in bad:
        found.setdefault(one.cause, []).append(one)
    return found
