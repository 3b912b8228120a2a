"""One thread and one consumer per gateway that follow topics while somebody looks."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway import feed, windowed
from gateway.board import Board
from schemas import codec, topics
from schemas.codec import Raw
from schemas.settings import Settings
from streams import count, declare, kafka, tails
from streams.newest import Newest
from streams.patience import first_line

IDLE_SECONDS = 60.0
AGAIN_SECONDS = 1.0
WINDOWS_SECONDS = 4.0
# The counter comes from the store: following completions would cost as much as they are many.
FOLLOWED = {
    topics.TRAIN_REQUEST: 1, topics.TRAINING_PROGRESS: 300,
    topics.MODEL_UPDATED: 5, topics.DEAD_LETTERS: 8,
}  # fmt: skip


class Unwatched(threading.Event):
    """Set by itself when nobody has looked for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.looked = seconds, time.monotonic()

    def is_set(self) -> bool:
        return super().is_set() or time.monotonic() - self.looked > self.seconds


@dataclass(frozen=True)
class Seen:
    """``feed``: whether Kafka was reached, or since when and why nothing comes; ``windows``: the
    windowed counter's part of the status, None before it was read."""

    board: Board
    feed: dict[str, Any]
    windows: dict[str, Any] | None


class Follower:
    """Begins with the first look; what happened shortly before it is read back."""

    def __init__(self, settings: Settings, idle_seconds: float = IDLE_SECONDS) -> None:
        self.settings, self.idle_seconds = settings, idle_seconds
        self._lock = threading.Lock()
        self._seen = Seen(Board(settings.train_every), {"reached": False}, None)
        self._told: tuple[bytes | None, dict[str, Any] | None] = (None, None)
        self._thread: threading.Thread | None = None
        self._unwatched = Unwatched(idle_seconds)

    @property
    def runs(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def look(self) -> Seen:
        """What there is to see now; while somebody looks, it is followed."""
        with self._lock:
            self._unwatched.looked = time.monotonic()
            if not self.runs:
                self._unwatched = Unwatched(self.idle_seconds)
                self._thread = threading.Thread(
                    target=self._follow, args=(self._unwatched,), name="follower", daemon=True
                )
                self._thread.start()
            return Seen(self._seen.board.copy(), self._seen.feed, self._seen.windows)

    def stop(self) -> None:
        """Let go of Kafka."""
        self._unwatched.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)

    def _follow(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self._read(stop, Board(self.settings.train_every))
            except Exception as error:
                self._note(first_line(error))
                stop.wait(AGAIN_SECONDS)

    def _read(self, stop: threading.Event, board: Board) -> None:
        places = feed.begin(self.settings, FOLLOWED)
        name = self.settings.topic_prefix + declare.COUNTER_CHANGELOG
        with tails.reading(self.settings) as reader:
            newest = Newest(reader, name, WINDOWS_SECONDS)
            reader.assign([*places, newest.place()])
            while not stop.is_set():
                came = [kafka.raw(message) for message in kafka.drain(reader, 500, 0.25)]
                self._take([raw for raw in came if not newest.take(raw)], newest.value, board)
                newest.look()

    def _take(self, came: Sequence[Raw], state: bytes | None, board: Board) -> None:
        now, prefix = datetime.now(UTC), self.settings.topic_prefix
        happened = [feed.decode(raw, prefix, now) for raw in came]
        if state is not None and state != self._told[0]:
            self._told = (state, windowed.told(state, count.rule(self.settings)))
        with self._lock:
            for each in happened:
                board.apply(each)
            self._seen = Seen(board, {"reached": True}, self._told[1])

    def _note(self, error: str) -> None:
        with self._lock:
            now = codec.rfc3339(datetime.now(UTC))
            since = self._seen.feed.get("since", now)
            away = {"error": error, "since": since}
            self._seen = Seen(self._seen.board, away, away)
