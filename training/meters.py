"""The trainer's Prometheus metrics, in base units."""

from __future__ import annotations

from typing import get_args

from prometheus_client import Counter, Gauge, Histogram

from schemas.events import ModelUpdated, Outcome

TRAININGS = Counter("retrace_trainings_total", "Train-requests ended.", ["state"])
TRAINING_SECONDS = Histogram(
    "retrace_training_seconds", "Seconds from a training's start to its end.", ["state"],
    buckets=(0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800),
)  # fmt: skip
LOSS = Gauge(
    "retrace_training_loss", "Loss of the epoch that ended last.", ["model", "rows"]
)  # rows: learned, held-out
RUNNING = Gauge("retrace_training_running", "1 while a training runs.")
REVISION = Gauge("retrace_announced_revision", "The newest revision announced; 0 before any.")
VERSION_LOG_LOSS = Gauge(
    "retrace_version_log_loss",
    "Log loss, nats, of the announced version and its peers on rows it had not learned.",
    ["of"],
)
for _state in get_args(Outcome):  # so that the first of each is an increase, too
    TRAININGS.labels(_state)


def epoch(model: str, loss: float, val_loss: float | None) -> None:
    """Note an epoch's losses."""
    LOSS.labels(model, "learned").set(loss)
    if val_loss is not None:
        LOSS.labels(model, "held-out").set(val_loss)


def announced(updated: ModelUpdated) -> None:
    """Note what is to serve, and how it scored beside its peers."""
    REVISION.set(updated.revision)
    scores = updated.metrics
    peers = {"lnirt": scores.lnirt, "topic-difficulty": scores.topic_difficulty}
    VERSION_LOG_LOSS.clear()
    for name, each in {"version": scores, "serving": scores.serving, **peers}.items():
        if each is not None and each.log_loss is not None:
            VERSION_LOG_LOSS.labels(name).set(each.log_loss)
