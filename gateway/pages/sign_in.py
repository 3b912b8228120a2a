"""Signing in and out: plain forms without a script, so that they work where nothing else does."""

from __future__ import annotations

import hashlib
import math
from base64 import b64encode
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import parse_qs, quote

import anyio
import structlog
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from gateway.attempts import Attempts
from gateway.face import Face
from gateway.headers import FRAMED
from gateway.hosts import SIGN_IN, SIGN_OUT, own_path
from gateway.pages.frame import ICON
from gateway.sessions import COOKIE, SESSION_SECONDS, session_of

log = structlog.get_logger("retrace")
HOME = "/dashboard/"
WRONG = "That is none of this gateway's keys."
_FOLDER = Path(__file__).parent
_PAGE = Template((_FOLDER / "sign_in.html").read_text())
_STYLE = (_FOLDER / "sign_in.css").read_text()
_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; "
    f"img-src data:; {FRAMED}",
    "Cache-Control": "no-store",
}


def add(app: FastAPI, face: Face) -> None:
    """The sign-in page and its form, and the sign-out."""
    attempts = Attempts()

    @app.get(SIGN_IN, include_in_schema=False)
    async def show(request: Request, next: str = HOME) -> Response:
        target = own_path(next, HOME)
        if session_of(request) or not face.keys:
            return RedirectResponse(target, 303)
        return _page(target)

    @app.post(SIGN_IN, include_in_schema=False)
    async def enter(request: Request) -> Response:
        given = await _form(request)
        target = own_path(given.get("next", ""), HOME)
        if not face.keys:
            return RedirectResponse(target, 303)
        address = client(request)
        wait = math.ceil(attempts.take(address))
        if wait > 0:
            log.warning("sign-in refused", because="too many attempts", address=address)
            words = f"Too many attempts. Try again in {wait} s."
            return _page(target, words, 429, {"Retry-After": str(wait)})
        if not face.keys.knows(given.get("key", "")):
            log.warning("sign-in refused", because="no such key", address=address)
            return _page(target, WRONG, 401, {"WWW-Authenticate": "Bearer"})
        attempts.forgive(address)
        session, cookie = await anyio.to_thread.run_sync(face.sessions.begin, given["key"])
        log.info("signed in", key=session.key, address=address)
        answer = RedirectResponse(target, 303)
        _keep(answer, request, cookie, SESSION_SECONDS)
        return answer

    @app.post(SIGN_OUT, include_in_schema=False)
    async def leave(request: Request) -> Response:
        session = session_of(request)
        if session is not None:
            face.sessions.end(session)
            log.info("signed out", key=session.key, address=client(request))
        answer = RedirectResponse(SIGN_IN, 303)
        _keep(answer, request, "", 0)
        return answer


def _keep(answer: Response, request: Request, value: str, seconds: int) -> None:
    """Let the browser keep the session for so long, for its own calls to us only."""
    secure = _is_secure(request)
    answer.set_cookie(COOKIE, value, seconds, secure=secure, httponly=True, samesite="strict")


def client(request: Request) -> str:
    """The address that a call comes from."""
    return request.client.host if request.client else "unknown"


def _is_secure(request: Request) -> bool:
    """Whether the browser speaks TLS, to us or to a proxy before us: its Origin says so."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https:")


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form, the first of each name."""
    body = (await request.body()).decode("utf-8", "replace")
    try:
        return {name: values[0] for name, values in parse_qs(body, max_num_fields=20).items()}
    except ValueError:
        return {}


def _page(
    target: str, notice: str = "", status: int = 200, headers: dict[str, str] | None = None
) -> HTMLResponse:
    line = f'<p class="bad" id="notice" role="alert">{escape(notice)}</p>' if notice else ""
    content = _PAGE.substitute(
        icon="data:image/svg+xml," + quote(ICON),
        style=_STYLE,
        next=escape(target),
        notice=line,
        described=' aria-describedby="notice" aria-invalid="true"' if notice else "",
    )
    return HTMLResponse(content, status, headers={**HEADERS, **(headers or {})})
