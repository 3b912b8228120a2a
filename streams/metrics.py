"""The streams service's Prometheus metrics, in base units."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

RECORDED = Counter("retrace_completions_recorded_total", "Completions that got a number.")
DUPLICATES = Counter("retrace_completions_duplicate_total", "Repeated publications left out.")
REQUESTED = Counter("retrace_train_requests_total", "Train-requests published by the count.")
HEALED = Counter("retrace_completions_healed_total", "Numbers announced again to fill a gap.")
COUNTED = Gauge("retrace_completions_counted", "Numbers that the windowed counter has seen.")
PREDICTIONS = Counter("retrace_predictions_kept_total", "Predictions written to the store.")
_SCORED = ["version", "source", "arm"]
LIVE_ROWS = Gauge("retrace_live_rows", "Predictions scored in the newest window.", _SCORED)
LIVE_LOG_LOSS = Gauge("retrace_live_log_loss", "Their log loss, nats.", _SCORED)
LIVE_MAE = Gauge("retrace_live_error_seconds", "Their mean absolute error of time.", _SCORED)
