"""Errors as RFC 9457 problem details: plain words, no data of the caller, no traceback."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from streams import database
from streams.patience import first_line

log = structlog.get_logger("retrace")
RETRY_AFTER_SECONDS = "5"


MEDIA_TYPE = "application/problem+json"


class Details(BaseModel):
    """A problem document of RFC 9457; some problems say more."""

    type: str
    title: str
    status: int
    detail: str


MEANINGS = {
    400: "The body is not JSON in UTF-8.",
    401: "A key of `RETRACE_API_KEYS` is needed, and none of them was sent.",
    403: "A page of another site sent this.",
    404: "No task of this id was issued here.",
    409: "The task was completed before, with another outcome.",
    410: "The learner was forgotten.",
    413: "The body is too long.",
    422: "What was sent cannot be used; `errors` names each field.",
    503: "The service, or what it depends on, does not answer; send the same again.",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These problems, for a call's OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": Details.model_json_schema()}}
    return {s: {"description": MEANINGS[s], "content": content} for s in statuses}


class Problem(Exception):
    """A request that cannot be served as asked."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


def store_away() -> Problem:
    return Problem(
        503,
        "the store does not answer in time; send the same again",
        {"Retry-After": RETRY_AFTER_SECONDS},
    )


def response(
    status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """A problem document."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    return JSONResponse(
        {**body, "detail": detail, **more},
        status,
        headers=dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


def install(app: FastAPI) -> None:
    """Answer every error of the app with a problem document."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    for kind in (DBAPIError, PoolTimeout, Exception):
        app.add_exception_handler(kind, _unexpected)


async def _problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return response(error.status, error.detail, error.headers)


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return response(error.status_code, str(error.detail), error.headers)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = [
        {"field": ".".join(map(str, p["loc"][1:])) or str(p["loc"][0]), "problem": p["msg"]}
        for p in error.errors()[:10]
    ]
    words = "; ".join(f"{one['field']}: {one['problem']}" for one in found)
    return response(422, words, errors=found)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    if database.is_away(error) or database.is_emptied(error):
        log.warning("store away", path=request.url.path, because=first_line(error))
        away = store_away()
        return response(away.status, away.detail, away.headers)
    log.error("unexpected error", path=request.url.path, exc_info=error)
    return response(500, "an unexpected error; it is in the gateway's log")
