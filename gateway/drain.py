"""A gateway that is told to stop answers on for a while, and sends every caller elsewhere.

Behind a balancer calls come for some seconds after SIGTERM: on connections that are open, and from
whoever has not heard yet. To close these at once would lose what is sent at that moment, and a POST
that may have been heard is not for a client to send again.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.health import Health


class Drain:
    """Whether the gateway is on its way out, and for how many seconds it then still answers."""

    def __init__(self, health: Health, seconds: float) -> None:
        self.health, self.seconds = health, seconds
        self.begun = threading.Event()

    def begin(self) -> None:
        """From now on not ready, and every answer closes its connection."""
        self.begun.set()
        self.health.set("serving", False, "told to stop")


class Parting:
    """ASGI middleware around all others."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self.app, self.drain = app, drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def parting(message: Message) -> None:
            if message["type"] == "http.response.start" and self.drain.begun.is_set():
                headers = [*message.get("headers", ()), (b"connection", b"close")]
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, parting if scope["type"] == "http" else send)


class Server(uvicorn.Server):
    """Drains at the first SIGTERM; a second one, or SIGINT, ends it at once."""

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        super().__init__(config)
        self.drain = drain

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig != signal.SIGTERM or not self.drain.seconds or self.drain.begun.is_set():
            super().handle_exit(sig, frame)
            return
        self.drain.begun.set()
        threading.Thread(target=self._leave, args=(sig, frame), name="drain", daemon=True).start()

    def _leave(self, sig: int, frame: FrameType | None) -> None:
        """In a thread: a signal's handler must not wait for a lock that the loop below it holds."""
        self.drain.begin()
        threading.Event().wait(self.drain.seconds)
        super().handle_exit(sig, frame)
