"""PURE: champion and challenger. A share of the learners is another source's, always the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from inference.told import Answer, default, of_lnirt


@dataclass(frozen=True)
class Challenger:
    """``source`` is lnirt or default; ``share`` of the learners, 0 … 1. In ``shadow`` its answers
    are kept beside the champion's, and nobody sees them."""

    source: str
    share: float
    shadow: bool = False

    @classmethod
    def of(cls, setting: str, *, shadow: bool) -> Challenger | None:
        """From ``source:share``; None where there is none."""
        source, _, share = setting.partition(":")
        return cls(source, float(share), shadow) if source else None

    def has(self, user: str) -> bool:
        """Whether a learner is the challenger's: by a hash, so on every worker alike."""
        digest = hashlib.sha256(f"challenger/{user}".encode()).digest()
        return int.from_bytes(digest[:8]) < self.share * 2**64

    def answer(self, champion: Answer) -> Answer | None:
        """What the challenger says instead; None where it has nothing to say."""
        if self.source == "default":
            return default("the challenger's answer", "challenger")
        return of_lnirt(champion, f"the challenger's answer, reads {champion.history_length}")
