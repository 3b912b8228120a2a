"""Publishes the live accuracy: what ``scores`` found, onto ``prediction-score`` and the metrics."""

from __future__ import annotations

import time

from sqlalchemy import Engine
from sqlalchemy.exc import ProgrammingError

from schemas import codec, topics
from schemas.events import PredictionScore
from schemas.settings import Settings
from streams import database, kafka, metrics
from streams.patience import Patience
from streams.scores import Scores

PRUNE_SECONDS = 3600.0


class Scoring:
    """A timer's work."""

    def __init__(self, settings: Settings, engine: Engine, patience: Patience) -> None:
        self.settings, self.patience = settings, patience
        self.scores = Scores(engine, settings.score_window_seconds)
        self.publisher = kafka.Publisher(settings)
        self._prune_at = 0.0

    def turn(self) -> list[PredictionScore]:
        """Score what changed, and publish it."""
        try:
            found = self.patience.call("store", database.is_away, self.scores.score)
            if time.monotonic() >= self._prune_at:
                self._prune_at = time.monotonic() + PRUNE_SECONDS
                self.patience.call("store", database.is_away, self.scores.prune)
        except ProgrammingError as error:
            if not database.is_emptied(error):
                raise
            return []  # recording makes the tables again
        prefix = self.settings.topic_prefix
        messages = [
            codec.encode(topics.PREDICTION_SCORE, each, "streams", prefix=prefix) for each in found
        ]
        if messages:
            self.patience.call("kafka", kafka.is_away, self.publisher.publish, messages)
            _gauge(found)
        return found


def _gauge(found: list[PredictionScore]) -> None:
    """Of the newest window only: versions come by the thousand, and each would stay a series."""
    for gauge in (metrics.LIVE_ROWS, metrics.LIVE_LOG_LOSS, metrics.LIVE_MAE):
        gauge.clear()
    newest = max(score.window_start for score in found)
    for score in found:
        if score.window_start == newest:
            of = (str(score.version or ""), score.source, score.arm)
            metrics.LIVE_ROWS.labels(*of).set(score.rows)
            metrics.LIVE_LOG_LOSS.labels(*of).set(score.log_loss or 0.0)
            metrics.LIVE_MAE.labels(*of).set(score.mae_seconds or 0.0)
