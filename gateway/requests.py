"""Train-requests by hand."""

from __future__ import annotations

import secrets
from datetime import datetime

from sqlalchemy import Engine

from schemas import codec, events, topics
from schemas.settings import Settings
from streams import database, kafka
from streams.store import Store


def request(settings: Settings, now: datetime, engine: Engine | None = None) -> events.TrainRequest:
    """A manual request for everything that the store holds now."""
    url = settings.database_url.get_secret_value()
    _, completions = Store(engine or database.connect(url, "cli")).standing()
    return events.TrainRequest(
        request_id=name("manual", now), trigger="manual", completions=completions, requested_at=now
    )


def name(trigger: str, now: datetime) -> str:
    """A request's id, which nobody else gives."""
    return f"{trigger}-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def publish(settings: Settings, wanted: events.TrainRequest) -> None:
    """Publish a request; it is on the topic when this returns. Somebody waits for it: not long."""
    message = codec.encode(topics.TRAIN_REQUEST, wanted, "operator", prefix=settings.topic_prefix)
    kafka.Publisher(settings, **{"message.timeout.ms": 10_000}).publish([message])
