"""The rebuilds' figures on a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.numerals import grouped

COLUMNS = (
    "rows", "learned", "cold, s", "warm, s", "least – most", "CPU, s", "export, s", "peak MiB",
    "load",
)  # fmt: skip


def view(report: dict[str, Any]) -> RenderableType:
    """Sizes, the peer, the machine."""
    peer, ratio = report["peer"], report["ratio"]
    parts: list[RenderableType] = [_sizes(report["sizes"]), *_anew(report["sizes"]), ""]
    parts.append(
        f"peer: {peer['peer']}, {grouped(peer['rows'])} rows: {peer['seconds']:.0f} s for "
        f"{peer['whole_epochs']} epochs of both networks, of which "
        f"{len(peer['epoch_seconds']['time'])} were run"
    )
    if ratio["peer_over_warm"] is not None:
        parts.append(
            f"a warm rebuild is {ratio['peer_over_warm']:.0f} times as fast, "
            f"a cold one {ratio['peer_over_cold']:.0f} times"
        )
    return Group(*parts, Text(_machine(report["machine"], report["sizes"][0]), style="dim"))


def _sizes(sizes: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for size in sizes:
        warm = size["warm_seconds"]
        table.add_row(
            grouped(size["rows"]), grouped(size["learned"]), f"{size['cold_seconds']:.2f}",
            f"{warm['median']:.2f}", f"{warm['min']:.2f} – {warm['max']:.2f}",
            f"{warm['cpu']:.2f}", f"{size['warm_parts']['export']:.2f}",
            grouped(round(size["peak_mib"])), f"{size['load']:.1f}",
        )  # fmt: skip
    return table


def _anew(sizes: list[dict[str, Any]]) -> list[str]:
    """Which warm rebuilds were none: new names had outgrown the networks' tables."""
    return [
        f"{grouped(size['rows'])}: {size['warm_from_nothing']} of {len(size['warm'])} requests "
        "after the first were trained from nothing too"
        for size in sizes
        if size["warm_from_nothing"]
    ]


def _machine(machine: dict[str, Any], size: dict[str, Any]) -> str:
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Python "
        f"{machine['python']}, TensorFlow {machine['tensorflow']}; history in {size['history']}, "
        f"imports {size['import_seconds']:.1f} s beside"
    )
