"""Event-time windows: final after grace, late ones added, expired ones counted, nothing lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from streams.windows import Rule, Windows

START = datetime(2026, 1, 1, tzinfo=UTC)
RULE = Rule(seconds=60, grace=120, kept=600)


def at(*seconds: float) -> list[datetime]:
    return [START + timedelta(seconds=s) for s in seconds]


def test_a_window_holds_its_start_and_not_its_end() -> None:
    windows = Windows().add(at(0, 59.999, 60), RULE)
    assert [count for _, count in windows.counts] == [2, 1]


def test_late_ones_are_added_and_reported() -> None:
    windows = Windows().add(at(0, 200), RULE)
    assert (windows.late, windows.open(RULE)) == (0, 1)
    windows = windows.add(at(30), RULE)
    assert windows.late == 1
    assert windows.late_counts == ((windows.counts[0][0], 1),)
    assert dict(windows.counts)[int(START.timestamp())] == 2


def test_windows_age_out_by_event_time_and_late_comers_expire() -> None:
    windows = Windows().add(at(0, 10, 700), RULE)
    assert (windows.dropped, windows.expired, len(windows.counts)) == (2, 0, 1)
    windows = windows.add(at(20), RULE)
    assert (windows.expired, windows.total) == (1, 4)


def test_the_wall_clock_drops_nothing() -> None:
    old = datetime(1999, 5, 5, tzinfo=UTC)
    assert Windows().add([old], RULE).counts == ((RULE.start(old), 1),)


def test_before_1970_windows_still_begin_before_their_times() -> None:
    old = datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert RULE.start(old) == -60


def test_another_length_keeps_the_total() -> None:
    windows = Windows().add(at(0, 61), RULE).add(at(62), Rule(30, 120, 600))
    assert (windows.seconds, windows.total, windows.dropped) == (30, 3, 2)


@given(
    st.lists(st.floats(-90_000, 90_000, allow_nan=False), max_size=60),
    st.integers(1, 7),
)
def test_closed_open_and_expired_are_all(offsets: list[float], size: int) -> None:
    windows = Windows()
    for first in range(0, len(offsets), size):
        windows = windows.add(at(*offsets[first : first + size]), RULE)
    assert windows.total == len(offsets)
    assert Windows.from_dict(windows.as_dict()) == windows
