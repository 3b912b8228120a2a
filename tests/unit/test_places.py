"""A gateway's own completions, and where they stand in the log."""

from __future__ import annotations

import asyncio
import threading

from gateway.places import Places


def test_nothing_published_needs_nothing() -> None:
    assert asyncio.run(Places().of("ann")) == (None, True)


def test_the_newest_place_is_told() -> None:
    places = Places()
    for place in ("1@4", "1@7"):
        places.published("ann")
        places.delivered("ann", place)
    assert asyncio.run(places.of("ann")) == ("1@7", True)
    assert asyncio.run(places.of("ben")) == (None, True)


def test_one_under_way_is_awaited() -> None:
    places = Places()
    places.published("ann")

    async def ask() -> tuple[str | None, bool]:
        asked = asyncio.ensure_future(places.of("ann"))
        await asyncio.sleep(0)
        thread = threading.Thread(target=places.delivered, args=("ann", "2@9"))
        thread.start()
        found = await asked
        thread.join()
        return found

    assert asyncio.run(ask()) == ("2@9", True)


def test_one_that_is_never_delivered_is_not_awaited_for_ever() -> None:
    places = Places()
    places.published("ann")
    places.delivered("ann", "2@3")
    places.published("ann")
    assert asyncio.run(places.of("ann")) == ("2@3", False)
    places.delivered("ann", None)
    assert asyncio.run(places.of("ann")) == ("2@3", True)


def test_what_is_known_is_bounded() -> None:
    places = Places(most=2)
    for number, user in enumerate("abc"):
        places.published(user)
        places.delivered(user, f"0@{number}")
    assert [asyncio.run(places.of(user))[0] for user in "abc"] == [None, "0@1", "0@2"]
    places.delivered("a", "0@9")
