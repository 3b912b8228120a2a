"""The inference service's Prometheus metrics, in base units."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

PREDICTIONS = Counter("retrace_predictions_total", "Predictions told.", ["source", "reason", "arm"])
EXPLANATIONS = Counter("retrace_explanations_total", "Forecasts and explanations told.", ["kind"])
LEARNERS = Gauge("retrace_learners_held", "Learners whose states are in memory.")
PUT_OFF = Gauge("retrace_requests_put_off", "Requests that wait for a completion to be recorded.")
REVISION = Gauge("retrace_serving_revision", "The revision that serves; 0 before any.")
VERSION = Gauge("retrace_serving_version", "The version that serves; 0 before any.")
TRAINED_AT = Gauge(
    "retrace_serving_trained_timestamp_seconds", "When the version that serves was trained."
)
SWAPS = Counter("retrace_swaps_total", "Versions that began to serve.")
MODEL_PROBLEM = Gauge(
    "retrace_model_problem", "1 while the newest version cannot be loaded, and an older one serves."
)
