"""A call's body, read whole before anybody else sees the call, and bounded."""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.types import Message, Receive

LARGEST_BODY = 64 * 1024


async def read(call: HTTPConnection, receive: Receive) -> bytes | None:
    """The body; None where it is longer than allowed."""
    declared = call.headers.get("content-length", "0")
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


class Replayed:
    """The body once, then whatever the server says next; ``left``: that the caller has gone."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive
        self.left = False

    async def __call__(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        message = await self._receive()
        self.left = message["type"] == "http.disconnect"
        return message
