"""`retrace status` for people: each part on a line of its own, what is away said as such."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine, create_engine

from gateway.numerals import ago, dots, grouped, plural
from schemas.errors import ConfigurationError
from schemas.settings import Settings

Part = Any
MIB = 1_048_576
MOST_LINES = 5


def gather(settings: Settings) -> dict[str, Any]:
    """The status object; without a database each of its parts says so."""
    from gateway import status
    from streams import database
    from streams.group_lags import GroupLags

    try:
        engine = database.connect(settings.database_url.get_secret_value(), "cli")
    except ConfigurationError as error:
        engine = refusing(error)
    lags = GroupLags(settings)
    try:
        return status.gather(settings, engine, lags)
    finally:
        lags.close()
        engine.dispose()


def refusing(error: ConfigurationError) -> Engine:
    """An engine whose every connection is this error."""

    def refuse() -> Any:
        raise error

    return create_engine("postgresql+psycopg2://", creator=refuse)


def has_errors(status: Mapping[str, Any]) -> bool:
    """Whether any part, or any service, could not be read."""
    parts = [part for name, part in status.items() if name != "services"]
    services = status.get("services")
    parts += services.values() if isinstance(services, dict) else [services]
    return any(isinstance(part, dict) and "error" in part for part in parts)


def table(status: Mapping[str, Any], now: datetime) -> Table:
    """The whole status as two columns."""
    grid = Table.grid(padding=(0, 3))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    said: set[str] = set()
    for name, words in _PARTS.items():
        part = status.get(name)
        grid.add_row(name.replace("_", " "), _error(part, said) or words(part, now))
    return grid


def _error(part: Part, said: set[str]) -> Text | None:
    """What is wrong with a part; the same reason is said once."""
    if not isinstance(part, dict) or set(part) != {"error"}:
        return None
    if part["error"] in said:
        return Text("– (as above)", style="red")
    said.add(part["error"])
    return Text(str(part["error"]), style="red")


def _counter(part: Part, _now: datetime) -> Text:
    shown = Text(dots(part["since_last_request"], part["every"]), style="green")
    return shown.append(f"   {plural(part['completions'], 'completion')}", style="default")


def _windows(part: Part, _now: datetime) -> str:
    kept = f"{part['kept']} windows of {part['window_seconds']} s kept"
    counts = f"total {grouped(part['total'])} of {grouped(part['counted'])} counted"
    late = f", {grouped(part['late'])} late" if part["late"] else ""
    expired = f", {grouped(part['expired'])} expired" if part["expired"] else ""
    gaps = f", {plural(part['gaps'], 'gap')}" if part["gaps"] else ""
    return f"{counts}, {kept}, {grouped(part['open'])} in open ones{late}{expired}{gaps}"


def _requests(part: Part, _now: datetime) -> str:
    return ", ".join(f"{grouped(count)} {state}" for state, count in sorted(part.items())) or "none"


def _training(part: Part, now: datetime) -> str:
    if part is None:
        return "none yet"
    version = f" as version {part['version']}" if part["version"] else ""
    reason = f": {part['reason']}" if part["reason"] else ""
    return f"{part['request_id']} {part['state']}{version}{reason}, {ago(part['ended_at'], now)}"


def _serving(part: Part, now: datetime) -> str:
    if part is None:
        return "no version yet; predictions are the default"
    ours = part["metrics"].get("log_loss")
    base = (part["metrics"].get("topic_difficulty") or {}).get("log_loss")
    beside = "" if base is None else f" (topic × difficulty {base:.3f})"
    score = "" if ours is None else f", log loss {ours:.3f}{beside}"
    learned = f"learned from {plural(part['completions'], 'completion')}"
    trained = ago(part["trained_at"], now)
    held = ""
    if part["held_since"]:
        held = f", held for {ago(part['held_since'], now).removesuffix(' ago')}"
    return f"version {part['version']}{held}, trained {trained}, {learned}{score}"


def _accuracy(part: Part, _now: datetime) -> str:
    """The newest window, by version, source and arm."""
    if not part:
        return "no prediction compared with what happened yet"
    window = [each for each in part if each["window_start"] == part[0]["window_start"]]
    start = datetime.fromisoformat(part[0]["window_start"]).astimezone()
    lines = [f"since {start:%H:%M}"]
    for each in window[:MOST_LINES]:
        version = f" version {each['version']}" if each["version"] else ""
        arm = ", challenger" if each["arm"] == "challenger" else ""
        lines.append(
            f"{each['source']}{version}{arm}: {plural(each['rows'], 'task')}, log loss "
            f"{each['log_loss']:.3f}, {100 * each['accuracy']:.0f} % right, "
            f"{each['mae_seconds']:.1f} s off"
        )
    return "\n".join(lines)


def _files(part: Part, _now: datetime) -> str:
    size = f"{part['bytes'] / MIB:.1f} MB"
    return f"{plural(part['versions'], 'version')}, {size}, in {part['store']}"


def _lag(part: Part, _now: datetime) -> str:
    return ", ".join(
        f"{group.removeprefix('retrace-')} {'–' if behind is None else grouped(behind)}"
        for group, behind in part.items()
    )


def _letters(part: Part, _now: datetime) -> Text:
    return Text(grouped(part), style="red" if part else "default")


def _services(part: Part, _now: datetime) -> Text:
    lines = [_service(name, state) for name, state in part.items()]
    return Text("\n").join(lines)


def _service(name: str, state: Mapping[str, Any]) -> Text:
    ready = bool(state.get("ready"))
    shown = Text("● " if ready else "○ ", style="green" if ready else "red")
    shown.append(f"{name:<10}", style="default")
    if "error" in state:
        return shown.append(f"does not answer: {state['error']}", style="red")
    away = [
        f"{dependency}: {it['detail']}"
        for dependency, it in state.get("dependencies", {}).items()
        if not it["ok"]
    ]
    return shown.append("ready" if ready else "waits for " + "; ".join(away), style="default")


_PARTS: dict[str, Callable[[Part, datetime], str | Text]] = {
    "counter": _counter,
    "windows": _windows,
    "train_requests": _requests,
    "last_training": _training,
    "serving": _serving,
    "accuracy": _accuracy,
    "model_files": _files,
    "lag": _lag,
    "dead_letters": _letters,
    "services": _services,
}
