"""The API keys: which of them was sent, compared in constant time, and a name that tells no key."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from pydantic import SecretStr
from starlette.datastructures import Headers


class Keys:
    """The keys in force; false where none are set."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        self._keys = [key.get_secret_value().encode() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def knows(self, given: str) -> bool:
        """Whether this is one of them. Each is compared, whichever it is."""
        sent = given.encode("utf-8", "surrogateescape")
        matches = [hmac.compare_digest(sent, key) for key in self._keys]
        return any(matches)

    def digest(self, secret: bytes) -> bytes:
        """Something that only who has the secret and all keys can make."""
        made = hmac.new(secret, digestmod="sha256")
        for key in sorted(self._keys):
            made.update(hashlib.sha256(key).digest())
        return made.digest()


def sent(headers: Headers) -> str:
    """The key that a call brings in its headers, X-API-Key or a bearer token."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return headers.get("x-api-key", "") or (token if scheme.lower() == "bearer" else "")


def fingerprint(key: str) -> str:
    """A name for a key, the same everywhere, slow to make (scrypt, RFC 7914), so that keys are not
    guessed from it."""
    return hashlib.scrypt(key.encode(), salt=b"retrace", n=2**14, r=8, p=1, dklen=4).hex()
