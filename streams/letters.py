"""Dead letters: published whole, byte for byte, so that a bad message never blocks a partition."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from confluent_kafka import KafkaError, KafkaException

from schemas import codec
from schemas.codec import Message
from streams.kafka import Publisher

log = structlog.get_logger("retrace")


def bury(publisher: Publisher, letters: Sequence[Message]) -> None:
    """Publish dead letters and wait for the broker.

    A broker counts compressed bytes: one that its producer compressed better than we do may be
    too large for us. Of such a one the beginning is kept, with its length and SHA-256.
    """
    try:
        publisher.publish(letters)
    except KafkaException as error:
        if not _is_too_large(error):
            raise
        for letter in letters:
            _bury_one(publisher, letter)


def _bury_one(publisher: Publisher, letter: Message) -> None:
    try:
        publisher.publish([letter])
    except KafkaException as error:
        if not _is_too_large(error):
            raise
        log.error("a dead letter is kept in part", bytes=len(letter.value or b""))
        publisher.publish([codec.abridged(letter)])


def _is_too_large(error: KafkaException) -> bool:
    return bool(error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE)
