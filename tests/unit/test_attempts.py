"""How often a sign-in may fail."""

from __future__ import annotations

from gateway.attempts import EACH, SECONDS, TOGETHER, Attempts


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_address_waits_until_its_oldest_attempt_is_a_minute_old() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(EACH):
        assert attempts.take("192.0.2.1") == 0
        clock.now += 1
    assert attempts.take("192.0.2.1") == SECONDS - EACH
    assert attempts.take("192.0.2.2") == 0
    clock.now = SECONDS
    assert attempts.take("192.0.2.1") == 0
    assert attempts.take("192.0.2.1") > 0


def test_what_was_right_does_not_count() -> None:
    attempts = Attempts(Clock())
    for _ in range(3 * EACH):
        assert attempts.take("192.0.2.1") == 0
        attempts.forgive("192.0.2.1")
    attempts.forgive("192.0.2.1")


def test_many_addresses_together_are_bounded_and_so_is_the_memory() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    waits = [attempts.take(f"192.0.2.{n % 250}.{n}") for n in range(10_000)]
    assert waits[:TOGETHER] == [0.0] * TOGETHER
    assert min(waits[TOGETHER:]) == SECONDS
    assert len(attempts._noted) == TOGETHER


def test_a_network_of_ipv6_is_one_address() -> None:
    attempts = Attempts(Clock())
    assert [attempts.take(f"2001:db8::{n}") for n in range(EACH)] == [0.0] * EACH
    assert attempts.take("2001:db8::ffff") > 0
    assert attempts.take("2001:db8:0:1::1") == 0
    assert attempts.take("unknown") == 0
