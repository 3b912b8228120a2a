"""The inference service's Prometheus metrics, in base units."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

PREDICTIONS = Counter("retrace_predictions_total", "Predictions told.", ["source", "arm"])
EXPLANATIONS = Counter("retrace_explanations_total", "Forecasts and explanations told.", ["kind"])
ANSWER_SECONDS = Histogram(
    "retrace_answer_seconds",
    "Seconds from a batch of requests read to its replies handed over.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0),
)
LEARNERS = Gauge("retrace_learners_held", "Learners whose states are in memory.")
PUT_OFF = Gauge("retrace_requests_put_off", "Requests that wait for a completion to be recorded.")
REVISION = Gauge("retrace_serving_revision", "The revision that serves; 0 before any.")
SWAPS = Counter("retrace_swaps_total", "Versions that began to serve.")
MODEL_PROBLEM = Gauge(
    "retrace_model_problem", "1 while the newest version cannot be loaded, and an older one serves."
)
