"""What `retrace status` and GET /status show: each part by itself, so one that is away hides
nothing but itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
import fsspec
import httpx
from sqlalchemy import Engine, text

from gateway import windowed
from gateway.kept import Kept
from gateway.tasks import Tasks
from schemas import codec, topics
from schemas.settings import Settings, masked
from streams import count, declare, scores, tails
from streams.group_lags import GroupLags
from streams.patience import first_line
from training.revisions import Revisions

SERVICES = ("streams", "trainer", "inference", "gateway")
GROUPS = {
    "retrace-record": topics.TASK_COMPLETED,
    "retrace-count": topics.COMPLETIONS,
    "retrace-trainer": topics.TRAIN_REQUEST,
    "retrace-inference": topics.PREDICTION_REQUEST,
    "retrace-predictions": topics.PREDICTION,
}
SCORES = 20
SILENT_SECONDS = 5.0
SILENT = {"error": f"no answer within {SILENT_SECONDS:.0f} s"}
_REQUESTS = text(
    "SELECT state, count(*) AS requests FROM train_requests WHERE trigger = 'count' GROUP BY state"
)
_LAST = text(
    """SELECT request_id, state, reason, version, completions, received_at, ended_at
    FROM train_requests WHERE ended_at IS NOT NULL AND state <> 'superseded'
    ORDER BY ended_at DESC LIMIT 1"""
)


def gather(settings: Settings, engine: Engine, lags: GroupLags) -> dict[str, Any]:
    """The whole status; a part that cannot be read is ``{"error": …}``."""
    return _dated(at_once(parts(settings, engine, lags)))


def at_once(work: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """What comes of each, side by side."""
    with ThreadPoolExecutor(max(len(work), 1)) as pool:
        futures = {name: pool.submit(each) for name, each in work.items()}
        return {name: future.result() for name, future in futures.items()}


class Status:
    """The whole status in time, for all who ask: each part is read by one of them at a time."""

    def __init__(
        self, work: Mapping[str, Callable[[], Any]], seconds: float = SILENT_SECONDS
    ) -> None:
        self.seconds, limiter = seconds, anyio.CapacityLimiter(max(len(work), 1))
        self._parts = {name: Kept(each, 0.0, limiter) for name, each in work.items()}

    async def told(self) -> dict[str, Any]:
        """As ``gather``; what takes longer goes on, and nobody waits for it."""
        reading = {name: asyncio.ensure_future(kept.get()) for name, kept in self._parts.items()}
        await asyncio.wait(reading.values(), timeout=self.seconds)
        late = [each for each in reading.values() if not each.done()]
        found = {n: dict(SILENT) if each in late else each.result() for n, each in reading.items()}
        for each in late:
            each.cancel()
        return _dated(found)


def _dated(found: dict[str, Any]) -> dict[str, Any]:
    return {"at": codec.rfc3339(datetime.now(UTC)), **found}


def parts(settings: Settings, engine: Engine, lags: GroupLags) -> dict[str, Callable[[], Any]]:
    """How each part of the status is read. These block; none raises."""
    found: dict[str, Callable[[], Any]] = {
        "counter": lambda: _counter(settings, engine),
        "windows": lambda: _windows(settings),
        "train_requests": lambda: _requests(engine),
        "last_training": lambda: _last_training(engine),
        "serving": lambda: _serving(settings, engine),
        "accuracy": lambda: scores.newest(engine, SCORES),
        "model_files": lambda: _files(settings),
        "lag": lambda: lags.of(GROUPS),
        "dead_letters": lambda: lags.size(topics.DEAD_LETTERS, next(iter(GROUPS))),
        "services": lambda: _services(settings),
    }
    return {name: partial(tried, part) for name, part in found.items()}


def tried(part: Callable[[], Any]) -> Any:
    """The part, or ``{"error": …}``."""
    try:
        return part()
    except Exception as error:
        return {"error": first_line(error)}


def _counter(settings: Settings, engine: Engine) -> dict[str, Any]:
    return Tasks(engine, settings.train_every).counter()


def _windows(settings: Settings) -> dict[str, Any]:
    """The windowed global counter, as the Faust table's changelog has it."""
    name = settings.topic_prefix + declare.COUNTER_CHANGELOG
    tail = tails.last_messages(settings, name)
    return windowed.told(tail[-1].value or b"" if tail else b"", count.rule(settings))


def _requests(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {row.state: row.requests for row in connection.execute(_REQUESTS)}


def _last_training(engine: Engine) -> dict[str, Any] | None:
    with engine.connect() as connection:
        row = connection.execute(_LAST).one_or_none()
    if row is None:
        return None
    values = row._asdict()
    times = {name: codec.rfc3339(values[name]) for name in ("received_at", "ended_at")}
    return {**values, **times}


def _serving(settings: Settings, engine: Engine) -> dict[str, Any] | None:
    revisions = Revisions(engine, settings.model_store_url())
    serving, current = revisions.serving(), revisions.current()
    if serving is None or current is None:
        return None
    held_since = codec.rfc3339(current.at) if current.holds else None
    return {**serving.model_dump(mode="json"), "held_since": held_since}


def _files(settings: Settings) -> dict[str, Any]:
    fs, root = fsspec.core.url_to_fs(settings.model_store_url())
    found = fs.find(root, detail=True) if fs.exists(root) else {}
    manifests = [name for name in found if name.endswith("/manifest.json")]
    size = sum(int(info["size"]) for info in found.values())
    return {"store": masked(settings.model_store_url()), "versions": len(manifests), "bytes": size}


def addresses(settings: Settings) -> dict[str, str]:
    """Where each service's health is served."""
    if settings.health_hosts:
        pairs = (part.strip().split("=", 1) for part in settings.health_hosts.split(","))
        return {pair[0]: pair[-1] for pair in pairs}
    host = settings.host if settings.host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
    return {name: f"http://{host}:{getattr(settings, f'{name}_port')}" for name in SERVICES}


def _services(settings: Settings) -> dict[str, Any]:
    asked = {name: partial(_health, url) for name, url in addresses(settings).items()}
    return at_once(asked)


def _health(url: str) -> dict[str, Any]:
    try:
        return dict(httpx.get(f"{url}/readyz", timeout=2.0, trust_env=False).json())
    except (httpx.HTTPError, ValueError) as error:
        return {"ready": False, "error": first_line(error) or "does not answer"}
