"""A service's health: what it waits for, since when, and whether it still makes progress.

Every service serves ``/healthz`` (alive), ``/readyz`` (each dependency's state) and ``/metrics``
on a small HTTP server of its own thread, so that it answers while the service is busy.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from schemas.errors import MachineError
from streams import common_metrics as metrics

if TYPE_CHECKING:
    from streams.consumption import Consumption

STUCK_AFTER = 120.0
NOT_YET = "not reached yet"
GROUP = "group"  # the dependency that is down while a consumer group refuses


class Health:
    """Thread-safe state of one service. Not ready until every needed dependency is up."""

    def __init__(self, service: str, needs: tuple[str, ...] = ("kafka", "store")) -> None:
        self.service = service
        self._lock = threading.Lock()
        self._states = {name: (False, NOT_YET, now()) for name in needs}
        self._facts: dict[str, Any] = {}
        self._beat: float | None = None
        self.consumptions: list[Consumption] = []
        self.started_at = now()
        for name in needs:
            metrics.UP.labels(name).set(0)
        metrics.STUCK.set_function(lambda: float(self.stuck() is not None))

    def set(self, dependency: str, ok: bool, detail: str = "") -> bool:
        """Note a dependency's state; True where that changed, or is known for the first time."""
        with self._lock:
            before = self._states.get(dependency)
            if before is not None and before[0] == ok and (ok or before[1] == detail):
                return False
            since = before[2] if before is not None and before[0] == ok else now()
            self._states[dependency] = (ok, detail, since)
            metrics.UP.labels(dependency).set(ok)
            return before is None or before[0] != ok or before[1] == NOT_YET

    def note(self, **facts: Any) -> None:
        """Facts for ``status``: serving version, partitions, what runs now."""
        with self._lock:
            self._facts.update(facts)

    def beat(self) -> None:
        """The service's loop turned, or waits knowingly."""
        self._beat = time.monotonic()

    def watch(self, consumption: Consumption) -> Consumption:
        """Judge this service by it, too; ``probe`` looks how much waits."""
        self.consumptions.append(consumption)
        metrics.UP.labels(GROUP).set_function(lambda: float(not self._refusals()))
        return consumption

    def _refusals(self) -> list[tuple[str, str]]:
        """Since when, and why, groups don't let this service's loops in."""
        return [each.refused for each in self.consumptions if each.refused]

    def move(self) -> None:
        """A long piece of work went on."""
        for consumption in self.consumptions:
            consumption.move()

    def stuck(self) -> str | None:
        """What is wrong with a loop that stopped turning or handles nothing, or None."""
        idle = 0.0 if self._beat is None else time.monotonic() - self._beat
        if idle > STUCK_AFTER:
            return f"no progress for {idle:.0f} s"
        still = ", ".join(each.topic for each in self.consumptions if each.stands_still)
        return f"nothing of {still} is handled, though ever more waits" if still else None

    def ready(self) -> bool:
        return all(ok for ok, _, _ in self._needs().values())

    def _needs(self) -> dict[str, tuple[bool, str, str]]:
        """Of each dependency whether it is up, why not, and since when. That a group refuses is no
        state to be set: the same broker answers all other calls."""
        with self._lock:
            states = dict(self._states)
        refusals = self._refusals()
        if refusals:
            since, words = min(refusals)
            states[GROUP] = (False, words, since)
        return states

    def snapshot(self) -> dict[str, Any]:
        """The object served at ``/readyz``."""
        states = self._needs()
        with self._lock:
            facts = dict(self._facts)
        return {
            "service": self.service,
            "ready": all(ok for ok, _, _ in states.values()),
            "started_at": self.started_at,
            "stuck": self.stuck(),
            "dependencies": {
                name: {"ok": ok, "detail": detail, "since": since}
                for name, (ok, detail, since) in states.items()
            },
            **facts,
        }


class Stillness:
    """Whether something that should move has stayed the same for longer than ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._last: object = None
        self._since = 0.0

    def lasts(self, state: object, now: float) -> bool:
        """After another look at ``now``, in seconds; None: nothing has to move."""
        if state is None or state != self._last:
            self._last, self._since = state, now
        return state is not None and now - self._since > self.seconds


def tell_disk(folder: Path) -> None:
    """Let the metrics say how full the disk is that a folder is, or will be, on."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    metrics.DISK_FREE.set_function(lambda: shutil.disk_usage(there).free)
    metrics.DISK_SIZE.set_function(lambda: shutil.disk_usage(there).total)


def serve(health: Health, host: str, port: int) -> ThreadingHTTPServer:
    """Serve a service's health and metrics; port 0 takes any free one.

    Raises ``MachineError`` where the port is taken.
    """
    try:
        server = _Server((host, port), _handler(health))
    except OSError as error:
        name = f"RETRACE_{health.service.upper()}_PORT"
        raise MachineError(
            f"Port {port} on {host} cannot be used ({error.strerror}). "
            f"Stop what uses it, or choose another with {name} (0: any free one)."
        ) from None
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    health.note(port=server.server_address[1])
    return server


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A probe that hung up before its answer is no news."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            status, kind, body = _answer(health, self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes are not news."""

    return Handler


def _answer(health: Health, path: str) -> tuple[int, str, bytes]:
    if path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, generate_latest()
    if path == "/healthz":
        stuck = health.stuck()
        alive = {"alive": stuck is None, "detail": stuck}
        return (503 if stuck else 200), "application/json", json.dumps(alive).encode()
    if path == "/readyz":
        body = json.dumps(health.snapshot(), default=str).encode()
        return (200 if health.ready() else 503), "application/json", body
    return 404, "application/json", b'{"detail": "try /healthz, /readyz or /metrics"}'


def now() -> str:
    """In UTC, to the second, as RFC 3339."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
