"""Browsers that have signed in, in a signed cookie: nothing is kept but what was signed out of.

What signs is made of a secret in the data folder and all API keys: a session outlives a restart of
the gateway, and none outlives a change of the keys. A sign-out holds here at once; sign_outs.py
tells the other gateways.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog
from itsdangerous import BadData, URLSafeSerializer
from starlette.requests import HTTPConnection

from gateway.keys import Keys, fingerprint

log = structlog.get_logger("retrace")
COOKIE = "retrace-session"
SESSION_SECONDS = 12 * 3600
SECRET_FILE, SECRET_BYTES = "gateway.secret", 32
_SCOPE = "retrace.session"


@dataclass(frozen=True)
class Session:
    """``key``: the fingerprint of the key that was signed in with; ``until``: Unix seconds."""

    id: str
    key: str
    until: int


class Sessions:
    """Begins, reads and ends sessions. ``clock`` gives Unix seconds."""

    def __init__(self, keys: Keys, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._ended = clock, dict[str, int]()
        self._lock, self._one_ended = threading.Lock(), threading.Event()
        signing = keys.digest(_secret(folder)) if keys else secrets.token_bytes(SECRET_BYTES)
        options = {"digest_method": hashlib.sha256}
        self._signer = URLSafeSerializer(signing, salt=COOKIE, signer_kwargs=options)

    def begin(self, key: str) -> tuple[Session, str]:
        """A new session for a known key, and its cookie's value. Takes some 50 ms."""
        until = int(self._clock()) + SESSION_SECONDS
        session = Session(secrets.token_urlsafe(16), fingerprint(key), until)
        value = self._signer.dumps(asdict(session))
        return session, value if isinstance(value, str) else value.decode()

    def read(self, value: str | None) -> Session | None:
        """The session of a cookie; None where it is not ours, or over."""
        try:
            session = Session(**self._signer.loads(value or ""))
        except (BadData, TypeError, ValueError):
            return None
        return session if self.lives(session) else None

    def lives(self, session: Session) -> bool:
        """Whether it is neither over nor ended."""
        return session.until > self._clock() and session.id not in self._ended

    def end(self, session: Session) -> None:
        """Sign out."""
        self.learn({session.id: session.until})
        self._one_ended.set()

    def learn(self, ended: Mapping[str, int]) -> None:
        """Sessions that were signed out of, and until when they would have lived. What has run out
        is forgotten, so this stays small: sign-ins are few."""
        now = self._clock()
        with self._lock:
            both = {**self._ended, **ended}
            self._ended = {name: until for name, until in both.items() if until > now}

    def ended(self) -> Mapping[str, int]:
        """What was signed out of and has not run out, and until when it would have lived."""
        return self._ended

    def await_end(self, seconds: float) -> None:
        """Wait until somebody signs out here, or so long."""
        self._one_ended.wait(seconds)
        self._one_ended.clear()


def put(connection: HTTPConnection, session: Session | None) -> None:
    """Let whoever answers this call know whose it is."""
    connection.scope[_SCOPE] = session


def session_of(connection: HTTPConnection) -> Session | None:
    """The session in which a call comes."""
    found = connection.scope.get(_SCOPE)
    return found if isinstance(found, Session) else None


def _secret(folder: Path) -> bytes:
    """The secret in the data folder, made by whoever comes first; for its owner only."""
    path = folder / SECRET_FILE
    try:
        if not path.exists():
            _write(path)
        return path.read_bytes()
    except OSError as error:
        log.warning("sessions end with this process", because=error.strerror, folder=str(folder))
        return secrets.token_bytes(SECRET_BYTES)


def _write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent) as aside:  # readable by its owner only
        aside.write(secrets.token_bytes(SECRET_BYTES))
        aside.flush()
        try:
            os.link(aside.name, path)  # whole or not at all, and the first one stays
        except FileExistsError:
            return
