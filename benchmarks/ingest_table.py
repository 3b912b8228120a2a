"""Ingest's figures on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmarks.ingest_timeline import speed
from ops.terminal import grouped

COLUMNS = (
    "stored before", "partitions", "workers", "events", "stored in, s", "counted in, s",
    "steady, events/s", "cores", "CPU, s", "peak MiB",
)  # fmt: skip
LATENCY = (
    "stored before", "partitions", "workers", "events/s", "recorded p50, ms", "p95", "p99",
    "counted p50, ms", "p95", "p99", "most",
)  # fmt: skip
PEERS = (
    "peer", "events", "stored in, s", "steady, events/s", "cores", "CPU, s", "peak MiB", "ours ÷"
)  # fmt: skip


def view(report: Mapping[str, Any]) -> RenderableType:
    """Our rows, their latencies, the peers, the machine."""
    parts: list[RenderableType] = [_rows(report["rows"])]
    if any(row["latency"] for row in report["rows"]):
        parts += ["", _latencies(report["rows"])]
    if report["peers"]:
        parts += ["", _peers(report), *_failures(report["peers"])]
    return Group(*parts, "", Text(_machine(report), style="dim"))


def _rows(rows: list[dict[str, Any]]) -> Table:
    table = _table(COLUMNS)
    for row in rows:
        table.add_row(
            grouped(row["stored"]), str(row["partitions"]), str(row["workers"]),
            grouped(row["events"]), f"{row['seconds']['stored']:.1f}",
            f"{row['seconds']['counted']:.1f}", *_common(row),
        )  # fmt: skip
    return table


def _latencies(rows: list[dict[str, Any]]) -> Table:
    table = _table(LATENCY)
    for row in rows:
        if row["latency"] is not None:
            recorded, counted = (row["latency"][f"{n}_ms"] for n in ("recorded", "counted"))
            table.add_row(
                grouped(row["stored"]), str(row["partitions"]), str(row["workers"]),
                grouped(round(row["latency"]["rate"])),
                *(_number(recorded[name]) for name in ("p50", "p95", "p99")),
                *(_number(counted[name]) for name in ("p50", "p95", "p99", "max")),
            )  # fmt: skip
    return table


def _peers(report: Mapping[str, Any]) -> Table:
    table = _table(PEERS, left=1)
    for own in report["beside"]:
        seconds = f"{own['seconds']['stored']:.1f}"
        table.add_row("Retrace", grouped(own["events"]), seconds, *_common(own), "")
    for peer in report["peers"]:
        if "failed" not in peer:
            ratio = f"{report['ratio'][peer['name']]:.2f}"
            seconds = f"{peer['seconds']['stored']:.1f}"
            table.add_row(peer["peer"], grouped(peer["events"]), seconds, *_common(peer), ratio)
    return table


def _common(figures: Mapping[str, Any]) -> tuple[str, ...]:
    cores = " + ".join(f"{name[0]} {n:.1f}" for name, n in figures["steady_cores"].items())
    peaks = " + ".join(str(round(each)) for each in figures["peak_mib"])
    return grouped(round(speed(figures))), cores, f"{figures['cpu_seconds']:.1f}", peaks


def _failures(peers: list[dict[str, Any]]) -> list[str]:
    return [f"{peer['peer']}: {peer['failed']}" for peer in peers if "failed" in peer]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def _table(names: tuple[str, ...], left: int = 0) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for at, name in enumerate(names):
        table.add_column(name, justify="left" if at < left else "right")
    return table


def _machine(report: Mapping[str, Any]) -> str:
    machine, servers = report["machine"], report["servers"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Python "
        f"{machine['python']}; Kafka {servers['kafka']}, PostgreSQL {servers['postgres']}, on the "
        f"same machine where own; cores: w worker, k Kafka, p PostgreSQL, busy on the mean; "
        f"steady: between 10 % and 90 % of the events"
    )
