"""Sessions: what signs them, how long they live, and what ends them; keys and their names."""

from __future__ import annotations

import hmac
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.keys import Keys, fingerprint
from gateway.sessions import SECRET_FILE, SESSION_SECONDS, Sessions

ONE, TWO = SecretStr("one"), SecretStr("two")


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_session_outlives_a_restart_but_not_a_change_of_the_keys(tmp_path: Path) -> None:
    _, cookie = Sessions(Keys([ONE, TWO]), tmp_path).begin("one")
    again = Sessions(Keys([TWO, ONE]), tmp_path).read(cookie)
    assert again is not None
    assert again.key == fingerprint("one")
    for keys in ([ONE], [TWO], [ONE, TWO, SecretStr("three")], [SecretStr("onetwo")]):
        assert Sessions(Keys(keys), tmp_path).read(cookie) is None


def test_who_knows_the_keys_alone_cannot_make_one(tmp_path: Path) -> None:
    _, cookie = Sessions(Keys([ONE]), tmp_path / "elsewhere").begin("one")
    assert Sessions(Keys([ONE]), tmp_path / "here").read(cookie) is None


def test_the_secret_is_for_its_owner_only(tmp_path: Path) -> None:
    Sessions(Keys([ONE]), tmp_path / "data")
    path = tmp_path / "data" / SECRET_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes()) == 32
    assert [each.name for each in path.parent.iterdir()] == [SECRET_FILE]


def test_where_nothing_can_be_written_sessions_end_with_the_process(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    first, second = (Sessions(Keys([ONE]), tmp_path / "file") for _ in range(2))
    _, cookie = first.begin("one")
    assert first.read(cookie) is not None
    assert second.read(cookie) is None


def test_it_ends_after_twelve_hours(tmp_path: Path) -> None:
    clock = Clock()
    sessions = Sessions(Keys([ONE]), tmp_path, clock)
    session, cookie = sessions.begin("one")
    clock.now += SESSION_SECONDS - 1
    assert sessions.read(cookie) == session
    clock.now += 1
    assert sessions.read(cookie) is None
    assert not sessions.lives(session)


def test_who_signs_out_cannot_come_back_with_the_same_cookie(tmp_path: Path) -> None:
    clock = Clock()
    sessions = Sessions(Keys([ONE]), tmp_path, clock)
    session, cookie = sessions.begin("one")
    other, its_cookie = sessions.begin("one")
    sessions.end(session)
    assert sessions.read(cookie) is None
    assert sessions.read(its_cookie) == other
    assert sessions.ended() == {session.id: session.until}
    clock.now += SESSION_SECONDS - 1
    later, _ = sessions.begin("one")
    clock.now += 1
    sessions.end(later)
    assert list(sessions.ended()) == [later.id]  # what has run out takes no memory


def test_what_ended_elsewhere_is_over_here(tmp_path: Path) -> None:
    here, there = (Sessions(Keys([ONE]), tmp_path) for _ in range(2))
    session, cookie = here.begin("one")
    assert there.read(cookie) == session
    there.learn({session.id: session.until})
    assert there.read(cookie) is None


@pytest.mark.parametrize("cookie", [None, "", "x", "e30.x", "a.b.c", "\udcff", "{}" * 3000])
def test_what_was_not_signed_here_is_none(cookie: str | None, tmp_path: Path) -> None:
    assert Sessions(Keys([ONE]), tmp_path).read(cookie) is None


def test_a_changed_cookie_is_none(tmp_path: Path) -> None:
    sessions = Sessions(Keys([ONE]), tmp_path)
    _, cookie = sessions.begin("one")
    for at in range(0, len(cookie) - 1, 7):  # of the last one two bits mean nothing
        changed = cookie[:at] + ("A" if cookie[at] != "A" else "B") + cookie[at + 1 :]
        assert sessions.read(changed) is None, at


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    really = hmac.compare_digest

    def noting(given: bytes, key: bytes) -> bool:
        compared.append(key)
        return really(given, key)

    monkeypatch.setattr(hmac, "compare_digest", noting)
    keys = Keys([ONE, TWO])
    for given, known in (("one", True), ("two", True), ("onf", False), ("", False), ("ü", False)):
        compared.clear()
        assert keys.knows(given) is known
        assert compared == [b"one", b"two"]


def test_a_fingerprint_names_a_key_and_does_not_hold_it() -> None:
    assert fingerprint("one") == fingerprint("one") != fingerprint("two")
    assert len(fingerprint("a-very-long-key")) == 8
