"""The gateway's Prometheus metrics, in base units, and the middleware that measures calls."""

from __future__ import annotations

import time

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CALL_SECONDS = Histogram(
    "http_server_request_duration_seconds", "Seconds that a call takes.",
    ["http_request_method", "http_route", "http_response_status_code"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10),
)  # fmt: skip
ISSUED = Counter(
    "retrace_tasks_issued_total", "Tasks, and whether a prediction came in time.",
    ["source", "reason"],
)  # fmt: skip
METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})


class Measured:
    """ASGI middleware around all others; named as OpenTelemetry names calls, by route."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            method = scope["method"] if scope["method"] in METHODS else "_OTHER"
            route = getattr(scope.get("route"), "path", "")
            seconds = time.perf_counter() - began
            CALL_SECONDS.labels(method, route, str(status)).observe(seconds)
