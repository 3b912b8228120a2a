"""Security headers on every response, and a content policy as strict as each part allows.

NiceGUI's pages need 'unsafe-inline': its template holds inline scripts and styles, with no place
for a nonce; and 'unsafe-eval': Vue compiles templates in the browser, and NiceGUI evaluates
properties, event handlers and what ``run_javascript`` sends. Text is escaped by its elements, and
scripts come from here only. The documentation has an inline script; Redoc starts a worker from a
blob. Everything else is data, and may do nothing.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), "
    "payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
FRAMED = "frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'"
NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
PAGES = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    f"connect-src 'self'{{sockets}}; {FRAMED}"
)
DOCUMENTS = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    f"img-src 'self' data:; worker-src 'self' blob:; {FRAMED}"
)
DOCUMENTATION = ("/docs", "/redoc", "/static-offline-docs")


class Secured:
    """ASGI middleware around the whole app, its unexpected errors too; what an answer says of
    itself stays."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        path, host = scope["path"], Headers(scope=scope).get("host", "")

        async def adding(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in {
                    **ALWAYS,
                    "Content-Security-Policy": policy(path, host),
                }.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, adding)


def policy(path: str, host: str) -> str:
    """The content policy of a path; ``host`` as the browser named it, for its websockets, which
    older browsers do not count as 'self'."""
    if path.startswith("/dashboard"):
        plain = re.fullmatch(r"[A-Za-z0-9.:\[\]_-]+", host)
        return PAGES.format(sockets=f" ws://{host} wss://{host}" if plain else "")
    return DOCUMENTS if path.startswith(DOCUMENTATION) else NOTHING
