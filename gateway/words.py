"""The topics and difficulties that the serving version knows, as its metadata lists them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from schemas.events import Candidate
from training import artifacts
from training.revisions import Revisions

MOST_CANDIDATES = 500  # of one forecast


@dataclass(frozen=True)
class Words:
    """``version`` None: nothing serves yet, and nothing is known."""

    version: int | None = None
    topics: tuple[str, ...] = ()
    difficulties: tuple[str, ...] = ()

    def candidates(self, part: str = "") -> tuple[list[Candidate], int]:
        """The topics with this part in their names with every difficulty, as many as one forecast
        takes, topics whole; and how many there are."""
        topics = [topic for topic in self.topics if part.casefold() in topic.casefold()]
        pairs = [(topic, difficulty) for topic in topics for difficulty in self.difficulties]
        width = max(1, len(self.difficulties))
        kept = pairs[: max(1, MOST_CANDIDATES // width) * width][:MOST_CANDIDATES]
        return [Candidate(topic=t, difficulty=d) for t, d in kept], len(pairs)


def known(engine: Engine, root_url: str) -> Words:
    """Reads registry and model store. Raises ``ArtifactError`` where the version is damaged."""
    serving = Revisions(engine, root_url).serving()
    if serving is None:
        return Words()
    _, metadata = artifacts.inspect(root_url, serving.artifact)
    encoder = metadata.get("encoder", {})
    names = (sorted(encoder.get(kind, ())) for kind in ("topics", "difficulties"))
    return Words(serving.version, *map(tuple, names))
