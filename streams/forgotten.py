"""PURE: who is forgotten, and what is left of a forgotten learner's completions.

The list holds keyed hashes, not names. A completion of somebody on it is nobody's: it keeps its
place in the log and its time, by which it is numbered, counted and found again, and nothing else.
Its task's id becomes a hash, too: ids that producers make often name the learner.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

from schemas.events import LearnerForgotten, TaskCompleted
from streams.numbering import Publication

NOBODY = ""  # no learner's id: those have a character at least
LEARNER, TASK = "user/", "task/"  # so that one's hash is not the other's
TASK_DIGITS = 32  # of a task's hash: each one recorded is looked for under both of its ids
REMEMBERED = 100_000
_BLOCK = 64  # bytes, of SHA-256
_ERASED = {
    "user_id": NOBODY, "topic": "", "difficulty": "", "is_correct": False,
    "actual_time_seconds": 1.0, "timed_out": False,
}  # fmt: skip


def seal(salt: str, kind: str, text: str) -> str:
    """HMAC-SHA-256 of an id, in hex; ``salt`` in hex, too."""
    begun, outer = (each.copy() for each in _begun(salt, kind))
    begun.update(text.encode())
    outer.update(begun.digest())
    return str(outer.hexdigest())


def seal_task(salt: str, task_id: str) -> str:
    """The id under which a nobody's task is recorded: 128 bits of its hash."""
    return seal(salt, TASK, task_id)[:TASK_DIGITS]


@lru_cache(maxsize=64)
def _begun(salt: str, kind: str) -> tuple[Any, Any]:
    """Both hashes with what comes before an id: a third of what hmac.digest costs each time."""
    inner, outer = pads(salt)
    return sha256(inner + kind.encode()), sha256(outer)


def pads(salt: str) -> tuple[bytes, bytes]:
    """What HMAC (RFC 2104) puts before the inner and the outer message, to hash in SQL."""
    key = bytes.fromhex(salt).ljust(_BLOCK, b"\0")
    return bytes(b ^ 0x36 for b in key), bytes(b ^ 0x5C for b in key)


class Forgotten:
    """Seals of learners by salt. There is one salt but where a store was lost with its list."""

    def __init__(self, seals: Mapping[str, frozenset[str]] | None = None) -> None:
        self.seals = dict(seals or {})
        self._salts: dict[str, str | None] = {}

    @classmethod
    def of(cls, entries: Iterable[LearnerForgotten]) -> Forgotten:
        found: dict[str, set[str]] = {}
        for each in entries:
            found.setdefault(each.salt, set()).add(each.learner)
        return cls({salt: frozenset(seals) for salt, seals in found.items()})

    def __bool__(self) -> bool:
        return bool(self.seals)

    def __contains__(self, user: object) -> bool:
        return isinstance(user, str) and self.salt_of(user) is not None

    def and_of(self, other: Forgotten) -> Forgotten:
        """Who is on either list."""
        salts = {*self.seals, *other.seals}
        none: frozenset[str] = frozenset()
        return Forgotten({s: self.seals.get(s, none) | other.seals.get(s, none) for s in salts})

    def salt_of(self, user: str) -> str | None:
        """The salt under which a learner is on the list; None where he isn't."""
        if not self.seals:
            return None
        if user in (salts := self._salts):
            return salts[user]
        each = (s for s, seals in self.seals.items() if seal(s, LEARNER, user) in seals)
        found = next(each, None)
        if len(salts) >= REMEMBERED:
            salts = self._salts = {}
        salts[user] = found
        return found

    def without(self, batch: Iterable[Publication]) -> tuple[list[Publication], dict[str, str]]:
        """A batch with its forgotten learners' completions as nobody's, and under which other ids
        the same tasks may be recorded: that id to the batch's own."""
        kept: list[Publication] = []
        also: dict[str, str] = {}
        for publication in batch:
            task = publication.task
            salt = self.salt_of(task.user_id)
            if salt is None:
                for each in self.seals:
                    also[seal_task(each, task.task_id)] = task.task_id
                kept.append(publication)
                continue
            made = nobodys(task, salt)
            also[task.task_id] = made.task_id
            also |= {seal_task(s, task.task_id): made.task_id for s in self.seals if s != salt}
            kept.append(publication._replace(task=made))
        return kept, also


NONE = Forgotten()


def nobodys(task: TaskCompleted, salt: str) -> TaskCompleted:
    """What is left of a completion whose learner is forgotten."""
    left = {"task_id": seal_task(salt, task.task_id), "started_at": task.completed_at}
    return task.model_copy(update=_ERASED | left)


NOBODYS_CLAIM = tuple(
    _ERASED[n] for n in ("user_id", "topic", "difficulty", "is_correct", "actual_time_seconds")
)


def claim_of(recorded: tuple[object, ...], forgotten: Forgotten) -> tuple[object, ...]:
    """What a recorded completion claims: nobody's claim nothing, even before they are erased."""
    return NOBODYS_CLAIM if str(recorded[0]) in forgotten else recorded
