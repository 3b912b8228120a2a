"""The streams service's Prometheus metrics, in base units."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RECORDED = Counter("retrace_completions_recorded_total", "Completions that got a number.")
DUPLICATES = Counter("retrace_completions_duplicate_total", "Repeated publications left out.")
DEAD_LETTERS = Counter("retrace_dead_letters_total", "Messages dead-lettered.", ["topic", "cause"])
BATCH = Histogram(
    "retrace_record_batch_messages", "Messages recorded at once.", buckets=(1, 10, 100, 1000, 10000)
)
RECORD_SECONDS = Histogram("retrace_record_seconds", "Seconds a batch waits for the store.")
REQUESTED = Counter("retrace_train_requests_total", "Train-requests published by the count.")
HEALED = Counter("retrace_completions_healed_total", "Numbers announced again to fill a gap.")
COUNTED = Gauge("retrace_completions_counted", "Numbers that the windowed counter has seen.")
PREDICTIONS = Counter("retrace_predictions_kept_total", "Predictions written to the store.")
_OF = ["version", "source", "arm"]
LIVE_ROWS = Gauge("retrace_live_rows", "Predictions scored in the newest window.", _OF)
LIVE_LOG_LOSS = Gauge("retrace_live_log_loss", "Their log loss, nats.", _OF)
LIVE_MAE = Gauge("retrace_live_error_seconds", "Their mean absolute error of time.", _OF)
