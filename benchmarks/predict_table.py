"""Figures of predictions on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from benchmarks.ingest_table import table
from gateway.numerals import grouped

COLUMNS = ("requests/s", "p50, ms", "p95", "p99", "echo p50, ms", "p95", "p99", "p50 ÷", "p99 ÷")
AFTER = "after a completion"


def view(report: Mapping[str, Any]) -> RenderableType:
    """Latencies beside the echo's, while training, throughput, memory."""
    parts: list[RenderableType] = [_rates(report), "", *map(Text, _sentences(report))]
    machine = report["machine"]
    words = (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; Kafka and "
        f"PostgreSQL on the same machine where own"
    )
    return Group(*parts, "", Text(words, style="dim"))


def _rates(report: Mapping[str, Any]) -> RenderableType:
    names = ("p50", "p95", "p99")
    return table(
        COLUMNS,
        [
            (
                label, *(f"{own[name]:.1f}" for name in names),
                *(f"{row['echo'][name]:.1f}" for name in names),
                *(f"{own[name] / row['echo'][name]:.2f}" for name in ("p50", "p99")),
            )
            for row in report["rates"]
            for label, own in ((str(row["rate"]), row["own"]), (AFTER, row["practising"]))
        ],
    )  # fmt: skip


def _sentences(report: Mapping[str, Any]) -> list[str]:
    asked, keras = report["asked"], report["keras"]
    found = [
        f"{grouped(asked['learners'])} learners with up to {asked['longest']} tasks, all asked "
        f"about once from nothing held in {report['first_seconds']:.1f} s.",
        f"{grouped(round(report['saturated']['per_second']))} answers a second when all wait, "
        f"{report['ratio']['keras']:.0f} times as many as Keras over whole histories "
        f"({keras['ms']:.0f} ms each).",
        "Peak " + ", ".join(f"{name} {mib:.0f} MiB" for name, mib in report["peak_mib"].items()),
    ]
    training = report["training"]
    if training is not None:
        found.insert(
            1,
            f"While {training['trainings']} trainings and {training['versions']} new versions "
            f"came, at {training['rate']:.0f}/s: p50 {training['own']['p50']:.1f}, p99 "
            f"{training['own']['p99']:.1f} ms, {report['ratio']['training_p50']:.1f} and "
            f"{report['ratio']['training_p99']:.1f} times idle.",
        )
    return found
