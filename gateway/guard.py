"""What stands before every call: API keys where they are set, and a bound on bodies."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from pydantic import SecretStr
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import response

LARGEST_BODY = 64 * 1024
OPEN = ("/healthz", "/readyz")


class Guard:
    """ASGI middleware; answers 401 and 413 itself."""

    def __init__(self, app: ASGIApp, keys: Sequence[SecretStr]) -> None:
        self.app = app
        self.keys = [key.get_secret_value().encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        if self.keys and request.url.path not in OPEN and not self._knows(request):
            denied = response(
                401, "send a key of RETRACE_API_KEYS as X-API-Key", {"WWW-Authenticate": "Bearer"}
            )
            await denied(scope, receive, send)
            return
        body = await _body(receive, request)
        if body is None:
            await response(413, f"at most {LARGEST_BODY} bytes are taken")(scope, receive, send)
            return
        await self.app(scope, _replay(body, receive), send)

    def _knows(self, request: Request) -> bool:
        sent = request.headers.get("x-api-key", "")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not sent and scheme.lower() == "bearer":
            sent = token
        given = sent.encode()
        matches = [hmac.compare_digest(given, key) for key in self.keys]
        return any(matches)


async def _body(receive: Receive, request: Request) -> bytes | None:
    """The request's body; None where it is longer than allowed."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > LARGEST_BODY:
        return None
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            return None
        if message["type"] != "http.request" or not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body once, then whatever the server says next (a disconnect)."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
