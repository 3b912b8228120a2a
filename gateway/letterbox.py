"""The dead letters as they stand when it is opened, read from Kafka in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from confluent_kafka import KafkaException

from gateway import letters
from gateway.letters import Filter, Letter, Place, Sent
from schemas import codec, topics
from schemas.codec import Raw
from schemas.errors import RetraceError, Unreachable
from schemas.events import LetterRedriven
from schemas.settings import Settings
from streams import declare, kafka, stretch
from streams.counting import Intervals
from streams.stretch import Care, Span

Advance = Callable[[int], None]
BATCH = 1000


def silent(_read: int) -> None:
    """Nobody watches the progress."""


class Letterbox:
    """Letters that come later, such as those of messages that fail again, are not in it.

    ``sent`` says which of them were sent back; ``advance`` is told how many were read.
    Raises ``Unreachable`` while no broker answers.
    """

    def __init__(self, settings: Settings, advance: Advance = silent) -> None:
        self.settings, self.advance, self._read = settings, advance, 0
        self.name = settings.topic_prefix + topics.DEAD_LETTERS.name
        self.spans = stretch.spans(settings, self.name)
        self.topic_id = _topic_id(settings, self.name)
        self.sent: Sent = sent_back(settings, self.topic_id)

    def look_again(self) -> None:
        """Which of the letters were sent back meanwhile."""
        self.sent = sent_back(self.settings, self.topic_id)

    def matching(
        self, wanted: Filter, spans: Sequence[Span], care: Care | None = None
    ) -> Iterator[tuple[Letter, Raw]]:
        """The letters of these spans that a filter takes; those of a partition in their order."""
        for raw in stretch.read(self.settings, spans, care):
            self._read += 1
            if self._read % BATCH == 0:
                self.advance(self._read)
            letter = letters.read(raw, self.sent)
            if wanted.takes(letter):
                yield letter, raw

    def from_time(self, since: datetime | None) -> list[Span]:
        """The spans from a time on: no letter is published before its message has failed."""
        if since is None:
            return self.spans
        begin = {s.partition: s.first for s in stretch.spans(self.settings, self.name, since)}
        return [Span(s.topic, s.partition, begin[s.partition], s.end) for s in self.spans]

    def at(self, places: Sequence[Place]) -> Iterator[tuple[Letter, Raw]]:
        """The letters at these places. Raises ``RetraceError`` where there is none."""
        for place in places:
            yield self._one(place)

    def _one(self, place: Place) -> tuple[Letter, Raw]:
        for span in self.spans:
            if span.partition == place.partition and span.first <= place.offset < span.end:
                only = Span(self.name, place.partition, place.offset, place.offset + 1)
                for raw in stretch.read(self.settings, [only]):
                    return letters.read(raw, self.sent), raw
        raise RetraceError(f"There is no letter at {place}. {self._held(place.partition)}")

    def _held(self, partition: int) -> str:
        for span in self.spans:
            if span.partition == partition:
                held = f"{span.first} to {span.end - 1}" if len(span) else "none"
                return f"Offsets in partition {partition}: {held}."
        return f"Partitions: 0 to {len(self.spans) - 1}."


def redrives(settings: Settings, topic_id: str) -> Iterator[LetterRedriven]:
    """What was sent back from this incarnation of the dead-letter topic, the oldest first."""
    name = settings.topic_prefix + topics.LETTER_REDRIVEN.name
    if name not in declare.partitions(kafka.admin(settings)):
        return
    limit, now = topics.LETTER_REDRIVEN.max_bytes, datetime.now(UTC)
    for raw in stretch.read(settings, stretch.spans(settings, name)):
        event = codec.decode(LetterRedriven, limit, raw, now)
        if isinstance(event, LetterRedriven) and event.topic_id == topic_id:
            yield event


def sent_back(settings: Settings, topic_id: str) -> Sent:
    """The places of all that was sent back, by partition."""
    found: dict[int, Intervals] = {}
    events = redrives(settings, topic_id)
    while batch := [Place.parse(event.letter) for event in islice(events, BATCH)]:
        for partition in {place.partition for place in batch}:
            offsets = [place.offset for place in batch if place.partition == partition]
            found[partition] = found.get(partition, Intervals()).add(offsets)
    return found


def _topic_id(settings: Settings, name: str) -> str:
    try:
        return declare.topic_id(kafka.admin(settings), name)
    except KafkaException as error:
        raise Unreachable(f"Kafka does not answer: {error.args[0].str()}") from None
