"""A websocket that ends with its session: a page left open sees and does nothing after that."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import Message, Receive, Send

POLICY = 1008  # "violates policy", RFC 6455


class Watched:
    """An ASGI websocket's ends. It is closed at its first message either way after the session's
    end; engine.io sends one every few seconds."""

    def __init__(self, receive: Receive, send: Send, lives: Callable[[], bool]) -> None:
        self._receive, self._send, self._lives = receive, send, lives
        self._closed = False

    async def receive(self) -> Message:
        message = await self._receive()
        if self._lives() or message["type"] == "websocket.disconnect":
            return message
        await self._close()
        return {"type": "websocket.disconnect", "code": POLICY}

    async def send(self, message: Message) -> None:
        if self._lives() and not self._closed:
            await self._send(message)
        else:
            await self._close()

    async def _close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._send({"type": "websocket.close", "code": POLICY})
