"""What `retrace bench predict` makes of its figures. No timings of this machine."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from benchmarks import freshness, predict, predict_table
from benchmarks.predict_prefill import length_of, name_of


def latency(p50: float, p95: float, p99: float) -> dict[str, Any]:
    return {"samples": 10, "p50": p50, "p95": p95, "p99": p99, "max": p99}


def report(**more: Any) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "rates": [{
            "rate": 200, "own": latency(4, 8, 12), "practising": latency(5, 9, 20),
            "echo": latency(2, 4, 8), "load": 0.1,
        }],
        "training": {
            "rate": 200.0, "idle": latency(4, 8, 12), "own": latency(6, 9, 30), "trainings": 3,
            "seconds": [1.0], "versions": 2,
        },
        "saturated": {"requests": 100, "per_second": 1500.0},
        "first_seconds": 2.0,
    } | more  # fmt: skip
    return {
        **figures,
        "machine": {"cpu": "c", "cores": 2, "memory_gib": 4.0},
        "asked": {"learners": 5000, "longest": 1000},
        "keras": {"ms": 100.0, "per_second": 10.0},
        "peak_mib": {"inference": 200.0},
        "ratio": predict.ratios(figures) | {"keras": 150.0},
    }


def test_ratios_are_ours_over_the_echo_s_and_training_over_idle() -> None:
    assert predict.ratios(report()) == {
        "echo_p50_at_200": 2.0,
        "echo_p99_at_200": 1.5,
        "practising_p50_at_200": 2.5,
        "practising_p99_at_200": 2.5,
        "training_p50": 1.5,
        "training_p99": 2.5,
    }
    assert "training_p50" not in predict.ratios(report(training=None))


def test_the_table_has_every_figure() -> None:
    page = io.StringIO()
    console = Console(file=page, width=120)
    console.print(predict_table.view(report()))
    for word in (
        "200",
        "4.0",
        "12.0",
        "2.00",
        "1.50",
        "after a completion",
        "20.0",
        "2.50",
        "3 trainings",
        "2 new versions",
        "150 times",
    ):
        assert word in page.getvalue()
    told = page.getvalue()
    console.print(predict_table.view(report(training=None)))
    assert "trainings" not in page.getvalue().removeprefix(told)


def test_histories_have_every_length() -> None:
    assert {length_of(learner, 100) for learner in range(1, 102)} == set(range(101))
    assert name_of(7) == "learner-000007"


def test_freshness_is_told_in_sentences() -> None:
    told = freshness.sentences(
        {
            "asked": {"completions": 700},
            "ms": {"samples": 20, "p50": 3210.0, "p95": 4500.0, "p99": 5000.0, "max": 5100.0},
            "peer": {"seconds": 64.2},
            "ratio": {"peer_training": 20.0},
        }
    )
    assert "At 700 completions" in told
    assert "p50 3.21 s, p95 4.50 s, most 5.10 s, of 20" in told
    assert "64 s" in told
    assert "20 times as long" in told
