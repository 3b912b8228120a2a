"""PURE: dead letters as facts, which of them are meant, and what can be sent back where."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, Self

from schemas import codec, topics
from schemas.codec import Raw
from schemas.errors import UsageError
from schemas.events import PLACE
from streams.counting import Intervals

Sent = Mapping[int, Intervals]
MOST_CLASSES, MOST_EXAMPLES = 100, 5
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)

ALREADY = "sent back before; --again sends it once more"
IN_PART = "only its beginning was kept: the broker did not take it whole"
NO_READER = "no service of ours reads the topic that it came from, or it names none"


class Place(NamedTuple):
    """Where a letter is in the dead-letter topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}@{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """From "partition@offset". Raises ``UsageError``."""
        if not re.fullmatch(PLACE, text):
            raise UsageError(f"{text!r} is no place. Write partition@offset as `list` does: 3@17.")
        partition, offset = text.split("@")
        return cls(int(partition), int(offset))


@dataclass(frozen=True)
class Letter:
    """What a dead letter's headers say, and its size in bytes; words from outside, unescaped.

    ``before`` is the letter that it was when it was sent back; ``whole_size`` differs from
    ``size`` where only its beginning was kept.
    """

    place: Place
    topic: str
    source: str
    stage: str
    cause: str
    message: str
    at: datetime | None
    attempts: int
    size: int
    whole_size: str
    before: str | None
    sent_back: bool = False


def read(raw: Raw, sent: Sent) -> Letter:
    """A message of the dead-letter topic; never raises, whoever wrote it."""
    facts = codec.error_facts(raw.headers)
    size = len(raw.value or b"")
    return Letter(
        place=Place(raw.partition, raw.offset),
        topic=facts.get("topic", ""),
        source=f"{facts.get('partition', '?')}@{facts.get('offset', '?')}",
        stage=facts.get("stage", ""),
        cause=facts.get("class", ""),
        message=facts.get("message", ""),
        at=_time(facts.get("at", "")),
        attempts=max(codec.attempts(facts), 1),
        size=size,
        whole_size=facts.get("bytes", str(size)),
        before=facts.get("letter"),
        sent_back=raw.offset in sent.get(raw.partition, Intervals()),
    )


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True)
class Filter:
    """Which letters are meant; what is None does not matter."""

    topics: tuple[str, ...] | None = None
    cause: str | None = None
    message: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    attempts: int | None = None
    is_open: bool = False

    def takes(self, letter: Letter) -> bool:
        """``message`` is a part of the letter's, ``attempts`` at most; ``until`` is not included.

        A letter that does not say when it failed is outside of every range of time.
        """
        return (
            (self.topics is None or letter.topic in self.topics)
            and (self.cause is None or letter.cause == self.cause)
            and (self.message is None or self.message in letter.message)
            and (self.since is None or (letter.at is not None and letter.at >= self.since))
            and (self.until is None or (letter.at is not None and letter.at < self.until))
            and (self.attempts is None or letter.attempts <= self.attempts)
            and not (self.is_open and letter.sent_back)
        )


def order(letter: Letter) -> tuple[datetime, int, int]:
    """Sorts by time; what does not say when it failed is oldest."""
    return (letter.at or BEGINNING, *letter.place)


@dataclass
class Counts:
    """How many letters there are by topic and class; made for a bounded number of classes."""

    letters: Counter[tuple[str, str]] = field(default_factory=Counter)
    sent_back: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, letter: Letter) -> None:
        kind = (letter.topic[:128], letter.cause[:64])
        if kind not in self.letters and len(self.letters) >= MOST_CLASSES:
            kind = ("", "others")
        self.letters[kind] += 1
        self.sent_back[kind] += letter.sent_back


@dataclass
class Group:
    """Letters of one fate: how many, their bytes, and the first few."""

    letters: int = 0
    bytes: int = 0
    first: list[Place] = field(default_factory=list)

    def add(self, letter: Letter) -> None:
        self.letters += 1
        self.bytes += letter.size
        if len(self.first) < MOST_EXAMPLES:
            self.first.append(letter.place)


@dataclass
class Plan:
    """What is sent where, by topic; what is left out, by reason."""

    sent: dict[str, Group] = field(default_factory=dict)
    left_out: dict[str, Group] = field(default_factory=dict)

    @property
    def to_send(self) -> int:
        return sum(group.letters for group in self.sent.values())

    def add(self, letter: Letter, reason: str | None) -> None:
        kind = self.sent if reason is None else self.left_out
        kind.setdefault(letter.topic if reason is None else reason, Group()).add(letter)


def reason_against(letter: Letter, prefix: str, *, again: bool) -> str | None:
    """Why a letter is not sent back to its topic, or None; ``prefix`` is that of our topics."""
    if not any(letter.topic == prefix + topic.name for topic in topics.REDRIVABLE):
        return NO_READER
    if letter.whole_size != str(letter.size):
        return IN_PART
    return ALREADY if letter.sent_back and not again else None
