"""Growth and soak: what is measured becomes what is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import growth_plot, growth_table, soak_plot, soak_table
from benchmarks.growth import spread
from benchmarks.predict_prefill import length_of
from benchmarks.soak import of

FACTS = {"cpu": "one", "cores": 2, "memory_gib": 24.0}


def size(completions: int) -> dict[str, Any]:
    latency = {"p50": 2.0, "p95": 4.0, "p99": 8.25, "max": 9.0}
    return {
        "completions": completions, "learners": 100, "bytes_per_completion": 231.4,
        "trainings": {"cold_seconds": 21.04, "warm_seconds": 1.5, "warm_cpu_seconds": 4.0},
        "predictions": {
            "warm": latency, "cold": latency, "cpu_ms": 1.25, "saturated_per_second": 5500,
        },
        "peak_mib": {"trainer": 1040.2, "inference": 171.0},
    }  # fmt: skip


def printed(view: Any) -> str:
    console = Console(width=200)
    with console.capture() as said:
        console.print(view)
    return said.get()


@pytest.mark.parametrize(
    ("wanted", "most", "learners"),
    [(10_000, 100_000, 1000), (10_000_000, 100_000, 100_000), (5, 100, 1)],
)
def test_a_size_is_spread_over_learners(wanted: int, most: int, learners: int) -> None:
    some, longest = spread(wanted, most)
    total = sum(length_of(learner, longest) for learner in range(1, some + 1))
    assert some == learners
    assert total == pytest.approx(wanted, rel=0.05) or some == 1


def test_growth_is_told_a_line_a_size(tmp_path: Path) -> None:
    report = {"machine": FACTS, "sizes": [size(10_000), size(1_000_000)]}
    words = printed(growth_table.view(report))
    assert "1 000 000" in words
    assert "8.2" in words
    growth_plot.draw(tmp_path / "growth.svg", report)
    assert (tmp_path / "growth.svg").read_text().count("<svg") == 1


def test_a_leak_is_a_slope_of_the_second_half() -> None:
    at = [60.0 * turn for turn in range(61)]
    filling = [min(150.0, 100 + 5.0 * turn) for turn in range(61)]
    leaking = [100 + turn / 10 for turn in range(61)]
    assert of(at, filling) == {"half": 150.0, "end": 150.0, "peak": 150.0, "mib_per_hour": 0.0}
    assert of(at, leaking)["mib_per_hour"] == pytest.approx(6.0)


def test_a_soak_is_told_a_line_a_service(tmp_path: Path) -> None:
    at, mib = [0.0, 60.0, 120.0], [100.0, 110.0, 110.0]
    report = {
        "services": {"streams": of(at, mib)}, "seconds": at, "mib": {"streams": mib},
        "completed": 1200, "failed": 0,
    }  # fmt: skip
    words = printed(soak_table.view(report))
    assert "streams" in words
    assert "1 200 tasks practised in 2 min, 0 calls failed" in words
    soak_plot.draw(tmp_path / "soak.svg", report)
    assert (tmp_path / "soak.svg").read_text().count("<svg") == 1
