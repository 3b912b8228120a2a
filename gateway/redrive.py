"""`retrace dead-letters redrive`: letters back to their source topics, acknowledged, resumable.

What was sent is noted on ``letter-redriven`` after each batch, so a run that was stopped is gone on
with by the same command. A batch whose note was lost is sent again: consumers take it for what it
is, a repetition.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from confluent_kafka import KafkaError, KafkaException

from gateway.letterbox import Advance, Letterbox, silent
from gateway.letters import Filter, Letter, Place, Plan, reason_against
from schemas import codec, topics
from schemas.codec import Message, Raw
from schemas.errors import RetraceError
from schemas.events import LetterRedriven
from streams import declare, kafka
from streams.health import Health
from streams.patience import Patience, Stopped
from streams.stretch import Care

MOST_LETTERS, MOST_BYTES = 500, 4 * topics.MIB
REFUSED = "the broker refused it as too large"
Pair = tuple[Letter, Raw]


@dataclass(frozen=True)
class Meant:
    """Which letters are meant: those at ``places``, else those that the filter takes."""

    wanted: Filter = field(default_factory=Filter)
    places: Sequence[Place] = ()
    again: bool = False
    limit: int | None = None


class Redrive:
    """Plans and sends what is meant of a letterbox; both read it, and decide alike."""

    def __init__(self, box: Letterbox, meant: Meant) -> None:
        self.box, self.meant, self.settings = box, meant, box.settings

    def plan(self) -> Plan:
        """What would be sent where, and what is left out and why."""
        plan = Plan()
        for letter, _, reason in self._decided(Care()):
            plan.add(letter, reason)
        return plan

    def send(self, stop: threading.Event, advance: Advance = silent) -> Plan:
        """Send until done or ``stop`` is set, waiting where Kafka is away; what became of each.

        Raises ``Stopped`` between two batches, ``RetraceError`` where Kafka refuses.
        """
        report = Plan()
        sender = Sender(self.box, stop)
        batch: list[Pair] = []
        for letter, raw, reason in self._decided(Care(math.inf, stop)):
            if reason is not None:
                report.add(letter, reason)
                continue
            batch.append((letter, raw))
            if len(batch) >= MOST_LETTERS or sum(one.size for one, _ in batch) >= MOST_BYTES:
                self._finish(sender, batch, report, advance)
        if stop.is_set():
            raise Stopped
        self._finish(sender, batch, report, advance)
        return report

    def _finish(self, sender: Sender, batch: list[Pair], report: Plan, advance: Advance) -> None:
        for letter, reason in sender.send(batch):
            report.add(letter, reason)
        batch.clear()
        advance(report.to_send)

    def _decided(self, care: Care) -> Iterator[tuple[Letter, Raw, str | None]]:
        left = math.inf if self.meant.limit is None else self.meant.limit
        for letter, raw in self._letters(care):
            prefix = self.settings.topic_prefix
            reason = reason_against(letter, prefix, again=self.meant.again)
            if reason is None and left <= 0:
                return
            left -= reason is None
            yield letter, raw, reason

    def _letters(self, care: Care) -> Iterator[Pair]:
        """Always in the same order: partition by partition, so that a limit means the same ones."""
        if self.meant.places:
            yield from self.box.at(self.meant.places)
            return
        wanted = self.meant.wanted
        for span in self.box.from_time(wanted.since):
            yield from self.box.matching(wanted, [span], care)


class Sender:
    """Publishes letters to their source topics, where a producer's message of that key would go."""

    def __init__(self, box: Letterbox, stop: threading.Event) -> None:
        self.box, self.settings, self.stop = box, box.settings, stop
        self.patience = Patience(Health("redrive", ("kafka",)), stop)
        self.publisher = kafka.Publisher(self.settings, **{"linger.ms": 5})
        self.patience.call("kafka", kafka.is_away, declare.declare, self.settings)

    def send(self, batch: Sequence[Pair]) -> list[tuple[Letter, str | None]]:
        """Each letter and why it was not sent, if so; what was sent is noted on return."""
        if not batch:
            return []
        if self.stop.is_set():
            raise Stopped
        sent = self._sent([(letter, codec.redriven(raw, letter.topic)) for letter, raw in batch])
        self._publish([self._note(letter) for letter, reason in sent if reason is None])
        return sent

    def _sent(self, batch: Sequence[tuple[Letter, Message]]) -> list[tuple[Letter, str | None]]:
        """All at once; where one is too large for the broker, one by one."""
        try:
            self._publish([message for _, message in batch])
        except KafkaException as error:
            if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                raise RetraceError(f"Kafka refuses: {error.args[0].str()}") from None
            if len(batch) == 1:
                return [(batch[0][0], REFUSED)]
            return [sent for one in batch for sent in self._sent([one])]
        return [(letter, None) for letter, _ in batch]

    def _publish(self, messages: Sequence[Message]) -> None:
        self.patience.call("kafka", kafka.is_away, self.publisher.publish, messages)

    def _note(self, letter: Letter) -> Message:
        event = LetterRedriven(
            letter=str(letter.place),
            topic_id=self.box.topic_id,
            topic=letter.topic,
            attempts=letter.attempts,
            redriven_at=datetime.now(UTC),
        )
        prefix = self.settings.topic_prefix
        return codec.encode(topics.LETTER_REDRIVEN, event, "operator", prefix=prefix)
