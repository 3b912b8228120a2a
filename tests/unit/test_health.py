"""When a service is taken for one that makes no progress."""

from __future__ import annotations

from streams.health import Stillness


def test_only_what_stays_the_same_for_too_long_stands_still() -> None:
    still = Stillness(30.0)
    assert not still.lasts({"p": 1}, 100.0)
    assert not still.lasts({"p": 1}, 130.0)
    assert still.lasts({"p": 1}, 130.5)
    assert not still.lasts({"p": 2}, 131.0)
    assert not still.lasts(None, 150.0)
    assert not still.lasts({"p": 2}, 170.0)
    assert not still.lasts(None, 300.0)
    assert not still.lasts(None, 400.0)
