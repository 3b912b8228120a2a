"""Ingest's figures on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmarks.ingest_timeline import speed
from gateway.numerals import grouped

COLUMNS = (
    "stored", "partitions", "workers", "events", "stored, s", "counted, s", "events/s", "cores",
    "CPU, s", "peak MiB",
)  # fmt: skip
LATENCY = (
    "stored", "partitions", "workers", "at events/s", "recorded p50, ms", "p95", "p99",
    "counted p50, ms", "p95", "p99", "most",
)  # fmt: skip
PEERS = ("", "events", "stored, s", "events/s", "cores", "CPU, s", "peak MiB", "ours ÷")


def view(report: Mapping[str, Any]) -> RenderableType:
    """Our rows, their latencies, the peers, the machine."""
    parts: list[RenderableType] = [_rows(report["rows"])]
    if any(row["latency"] for row in report["rows"]):
        parts += ["", _latencies(report["rows"])]
    if report["peers"]:
        parts += ["", _peers(report), *_failures(report["peers"])]
    return Group(*parts, "", Text(_machine(report), style="dim"))


def _rows(rows: list[dict[str, Any]]) -> Table:
    return table(
        COLUMNS,
        [
            (
                *_case(row), grouped(row["events"]), f"{row['seconds']['stored']:.1f}",
                f"{row['seconds']['counted']:.1f}", *_common(row),
            )
            for row in rows
        ],
    )  # fmt: skip


def _latencies(rows: list[dict[str, Any]]) -> Table:
    return table(
        LATENCY,
        [
            (
                *_case(row), grouped(round(row["latency"]["rate"])),
                *(_number(row["latency"]["recorded_ms"][name]) for name in ("p50", "p95", "p99")),
                *(_number(row["latency"]["counted_ms"][n]) for n in ("p50", "p95", "p99", "max")),
            )
            for row in rows
            if row["latency"] is not None
        ],
    )  # fmt: skip


def _peers(report: Mapping[str, Any]) -> Table:
    own = [("Retrace", run, "") for run in report["beside"]]
    peers = [
        (peer["peer"], peer, f"{report['ratio'][peer['name']]:.2f}")
        for peer in report["peers"]
        if "failed" not in peer
    ]
    return table(
        PEERS,
        [
            (name, grouped(run["events"]), f"{run['seconds']['stored']:.1f}", *_common(run), ratio)
            for name, run, ratio in own + peers
        ],
        left=1,
    )


def _case(row: Mapping[str, Any]) -> tuple[str, ...]:
    return grouped(row["stored"]), str(row["partitions"]), str(row["workers"])


def _common(figures: Mapping[str, Any]) -> tuple[str, ...]:
    cores = " ".join(f"{name[0]} {n:.1f}" for name, n in figures["steady_cores"].items())
    peaks = " + ".join(str(round(each)) for each in figures["peak_mib"])
    return grouped(round(speed(figures))), cores, f"{figures['cpu_seconds']:.1f}", peaks


def _failures(peers: list[dict[str, Any]]) -> list[str]:
    return [f"{peer['peer']}: {peer['failed']}" for peer in peers if "failed" in peer]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def table(names: Sequence[str], rows: Sequence[Sequence[str]], left: int = 0) -> Table:
    """Never narrower than its figures, which lose their meaning when they are wrapped."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for at, name in enumerate(names):
        width = max(len(cells[at]) for cells in [names, *rows])
        table.add_column(name, justify="left" if at < left else "right", min_width=width)
    for cells in rows:
        table.add_row(*cells)
    return table


def _machine(report: Mapping[str, Any]) -> str:
    machine, servers = report["machine"], report["servers"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Python "
        f"{machine['python']}; Kafka {servers['kafka']}, PostgreSQL {servers['postgres']}, on the "
        f"same machine where own; events/s and busy cores (worker, Kafka, PostgreSQL) between "
        f"10 % and 90 % of the events"
    )
