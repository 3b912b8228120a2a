"""Predictions beside what happened."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway import analyses
from gateway.analyses import Pair
from gateway.pages import analytics

AT = datetime(2026, 3, 1, tzinfo=UTC)


def pair(p: float, right: bool, source: str = "lstm") -> Pair:
    return Pair(source, "champion", p, right, 20.0, 30.0)


def test_bins_tell_shares_and_wilsons_interval() -> None:
    found = analyses.reliability([pair(0.72, True), pair(0.78, False), pair(1.0, True)])
    assert [(each.rows, each.observed) for each in found] == [(2, 0.5), (1, 1.0)]
    assert found[0].predicted == pytest.approx(0.75)
    assert (found[0].low, found[0].high) == pytest.approx((0.0945, 0.9055), abs=1e-3)
    assert found[1].low == pytest.approx(0.2065, abs=1e-3)
    assert analyses.reliability([]) == []


def test_versions_of_a_window_and_source_are_merged_by_their_rows() -> None:
    def row(rows: int, loss: float | None, source: str = "lstm") -> dict[str, object]:
        return {"window_start": AT, "source": source, "rows": rows, "scores": {"log_loss": loss}}

    found = analyses.merged([row(10, 0.5), row(30, 0.7), row(5, None), row(2, None, "default")])
    assert [(each["source"], each["rows"]) for each in found] == [("default", 2), ("lstm", 45)]
    assert found[0]["log_loss"] is None
    assert found[1]["log_loss"] == pytest.approx(0.65)


def test_series_are_by_source_and_leave_out_what_is_undefined() -> None:
    (scatter,) = analytics.times([pair(0.5, True)])
    assert scatter["data"] == [[20.0, 30.0]]
    rows = [{"at": AT, "source": "lstm", "rows": 3, "log_loss": None}]
    assert analytics.over_time(rows, "log_loss", "line")[0]["data"] == []
    assert analytics.over_time(rows, "rows", "bar")[0]["data"] == [[AT.isoformat(), 3]]
