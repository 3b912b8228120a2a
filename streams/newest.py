"""The newest message of a one-partition topic, looked at now and then.

Through a consumer that follows other topics too; what comes between two looks is never fetched.
"""

from __future__ import annotations

import time

from confluent_kafka import Consumer, TopicPartition

from schemas.codec import Raw
from streams import tails


class Newest:
    """Assign ``place()`` to begin; then ``take`` what comes, and ``look`` often.

    ``value`` is None until the newest has come, and empty where the topic is.
    """

    def __init__(self, reader: Consumer, name: str, seconds: float) -> None:
        self.reader, self.name, self.seconds = reader, name, seconds
        self.value: bytes | None = None
        self._offset = -1
        self._looked = time.monotonic()

    def place(self) -> TopicPartition:
        """Just before the newest, or where the first will be."""
        low, high = tails.bounds(self.reader, TopicPartition(self.name, 0))
        if high <= low and self.value is None:
            self.value = b""
        return TopicPartition(self.name, 0, max(low, high - 1))

    def take(self, message: Raw) -> bool:
        """Whether it is of this topic; the next will not come before it is looked for."""
        if message.topic != self.name:
            return False
        self.value, self._offset = message.value or b"", message.offset
        self.reader.pause([TopicPartition(self.name, 0)])
        return True

    def look(self) -> None:
        """Where it is time and there is a newer one, let it come."""
        if time.monotonic() - self._looked < self.seconds:
            return
        self._looked = time.monotonic()
        place = self.place()
        if place.offset > self._offset >= 0:
            self.reader.seek(place)
            self.reader.resume([place])
