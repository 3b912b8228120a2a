"""What stands before every call and every websocket: is it meant for us, do our own pages send it,
and may whoever sends it?

Without keys everybody may who can reach the port, but no page of another site on their behalf.
"""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import keys as sent_keys
from gateway.bodies import LARGEST_BODY, Replayed, read
from gateway.hosts import PAGES, SIGN_IN, SIGN_OUT, Hosts, is_foreign
from gateway.keys import Keys
from gateway.problems import response
from gateway.sessions import COOKIE, Session, Sessions, put
from gateway.watched import POLICY, Watched

OPEN = ("/healthz", "/readyz")
SOCKETS = "/dashboard/_nicegui_ws"
SAFE = ("GET", "HEAD", "OPTIONS")


class Guard:
    """ASGI middleware; answers 303, 401, 403, 413 and 421 itself."""

    def __init__(self, app: ASGIApp, keys: Keys, sessions: Sessions, hosts: Hosts) -> None:
        self.app, self.keys, self.sessions, self.hosts = app, keys, sessions, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        call = HTTPConnection(scope)
        session = self.sessions.read(call.cookies.get(COOKIE)) if self.keys else None
        put(call, session)
        refusal = self._refusal(call, session)
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send, session, refusal)
            return
        body = b"" if refusal else await read(call, receive)
        if body is None:
            refusal = response(413, f"at most {LARGEST_BODY} bytes are taken")
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        again = Replayed(body or b"", receive)
        try:
            await self.app(scope, again, send)
        except RuntimeError:
            if not again.left:  # else Starlette says only that nobody waits for the answer
                raise

    def _refusal(self, call: HTTPConnection, session: Session | None) -> Response | None:
        path = call.scope["path"]
        if path in OPEN or self.keys.knows(sent_keys.sent(call.headers)):
            return None  # no page of another site knows a key
        if not self.keys and not self.hosts.takes(call.headers.get("host", "")):
            return response(421, "this host is not one of ours; see RETRACE_ALLOWED_HOSTS")
        acts = _acts(call)
        if (acts or path.startswith(SOCKETS)) and is_foreign(call.headers):
            return response(403, "this comes from a page of another site")
        if not self.keys or (path in (SIGN_IN, SIGN_OUT) and call.scope["type"] == "http"):
            return None
        if session is None:
            return _sign_in(call)
        if acts and "origin" not in call.headers:
            return response(403, "a session acts from our own pages only; programs send a key")
        return None

    async def _socket(
        self, scope: Scope, receive: Receive, send: Send,
        session: Session | None, refusal: Response | None,
    ) -> None:  # fmt: skip
        if refusal is not None:
            await receive()
            await send({"type": "websocket.close", "code": POLICY})  # the server answers 403
            return
        if session is None:
            await self.app(scope, receive, send)
            return
        watched = Watched(receive, send, lambda: self.sessions.lives(session))
        await self.app(scope, watched.receive, watched.send)


def _acts(call: HTTPConnection) -> bool:
    """Whether it may change something: any call but a plain look."""
    return call.scope["type"] == "websocket" or call.scope["method"] not in SAFE


def _sign_in(call: HTTPConnection) -> Response:
    """To the sign-in, where a person has opened a page; else the problem."""
    path, query = call.scope["path"], call.scope["query_string"].decode("latin-1")
    is_page = path == "/" or (path.startswith(PAGES) and "/_nicegui" not in path)
    reads = call.scope["type"] == "http" and call.scope["method"] in ("GET", "HEAD")
    if is_page and reads and "text/html" in call.headers.get("accept", ""):
        asked = call.scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        return RedirectResponse(f"{SIGN_IN}?{urlencode({'next': asked})}", 303)
    words = "send a key of RETRACE_API_KEYS as X-API-Key"
    return response(401, words, {"WWW-Authenticate": "Bearer"})
