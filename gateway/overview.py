"""What the overview shows beside the status: the newest training's epochs, versions, failures.

Read for all viewers at once, and only while somebody looks; a part that cannot be read is told as
``{"error": …}``, and hides nothing but itself.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, select

from gateway import status
from schemas import codec, topics
from schemas.codec import Bad
from schemas.events import TrainingProgress
from schemas.settings import Settings
from schemas.tables import models, train_requests
from streams import tails
from streams.group_lags import GroupLags
from streams.patience import first_line

VERSIONS, FAILURES, MESSAGES = 60, 5, 60
Found = dict[str, Any]


def read(settings: Settings, engine: Engine, lags: GroupLags) -> Found:
    """The status, and ``training``, ``versions`` (oldest first) and ``failures`` (newest first)."""
    parts: dict[str, Callable[[], Any]] = {
        "training": lambda: _training(settings),
        "versions": lambda: _versions(engine),
        "failures": lambda: _failures(engine),
    }
    found = status.gather(settings, engine, lags)
    for name, part in parts.items():
        try:
            found[name] = part()
        except Exception as error:
            found[name] = {"error": first_line(error)}
    return found


def _training(settings: Settings) -> list[TrainingProgress]:
    """What was told of the newest request that began to be trained, oldest first."""
    name = settings.topic_prefix + topics.TRAINING_PROGRESS.name
    limit, now = topics.TRAINING_PROGRESS.max_bytes, datetime.now(UTC)
    heard = [
        event
        for raw in tails.last_messages(settings, name, MESSAGES)
        if not isinstance(event := codec.decode(TrainingProgress, limit, raw, now), Bad)
    ]
    return newest_training(heard)


def newest_training(heard: list[TrainingProgress]) -> list[TrainingProgress]:
    """Of several requests' progress, that of the one which began last."""
    trained = [event for event in heard if event.state in ("started", "epoch")]
    if not trained:
        return []
    name = trained[-1].request_id
    return [event for event in heard if event.request_id == name]


def _versions(engine: Engine) -> list[Found]:
    columns = (models.c.version, models.c.trained_at, models.c.state, models.c.metrics)
    query = select(*columns).order_by(models.c.version.desc()).limit(VERSIONS)
    with engine.connect() as connection:
        return [row._asdict() for row in connection.execute(query)][::-1]


def _failures(engine: Engine) -> list[Found]:
    """Trainings that came to no version; superseded ones are none."""
    table = train_requests.c
    query = (
        select(table.request_id, table.state, table.reason, table.ended_at)
        .where(table.state.in_(("failed", "rejected")))
        .order_by(table.ended_at.desc())
        .limit(FAILURES)
    )
    with engine.connect() as connection:
        return [row._asdict() for row in connection.execute(query)]
