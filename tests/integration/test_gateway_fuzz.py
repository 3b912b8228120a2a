"""A bounded fuzz of the gateway by its own OpenAPI document, on a real Kafka and PostgreSQL.

Valid and spoiled calls of every operation: no error of the gateway's own, every refusal a problem
document, every answer of a status, media type and shape that the document names.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi import checks

from gateway.problems import Details
from tests.running import services, settings_of
from tests.servers import fresh_database
from tests.unit.test_codec_fuzz import mutants

CREATE, LIST = "POST /practice-tasks", "GET /practice-tasks"
COMPLETE = "PATCH /practice-tasks/{task_id}"
PLAIN = ("GET /healthz", "GET /readyz", "GET /status", "GET /metrics")
WHY, FORECAST = "GET /practice-tasks/{task_id}/why", "GET /learners/{user_id}/forecast"
EXPORT = "GET /dashboard/analytics/{chart}.csv"
SPOILED = (CREATE, LIST, COMPLETE, WHY, EXPORT)
# Not whether all valid data is taken: the document says nothing of NUL, nor what a cursor is.
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]
NEW = {"user_id": "ada", "topic": "fractions", "difficulty": "easy"}
DONE = {"is_correct": True, "actual_time_seconds": 9.5}
few = settings(
    max_examples=40,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def client(
    kafka: str, postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of a running gateway that does not wait long for predictions; none are made here."""
    folder = tmp_path_factory.mktemp("gateway-fuzz")
    with fresh_database(postgres) as url:
        mine = settings_of(kafka, url, folder, prediction_timeout_seconds=0.02)
        base = f"http://127.0.0.1:{mine.gateway_port}"
        with services(mine, "gateway"), httpx.Client(base_url=base, timeout=10) as one:
            yield one


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> BaseSchema:
    """What the gateway says of itself."""
    return schemathesis.openapi.from_dict(client.get("/openapi.json").json())


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as one:
        one.trust_env = False
        yield one


def check_problem(status: int, media_type: str, content: bytes) -> None:
    """A refusal is a problem document of RFC 9457 that says what it is."""
    assert media_type == "application/problem+json"
    details = Details.model_validate_json(content, strict=True)
    assert details.status == status
    assert details.title
    assert details.detail


def check_operation(
    operation: APIOperation, mode: GenerationMode, client: httpx.Client, session: requests.Session,
    **fixed: Any,
) -> set[int]:  # fmt: skip
    """Call an operation in many ways; the statuses that came."""
    seen: set[int] = set()

    @few
    @given(operation.as_strategy(mode, **fixed))
    def call(case: Case) -> None:
        answer = case.call_and_validate(str(client.base_url), session, checks=CHECKS)
        seen.add(answer.status_code)
        if answer.status_code >= 400:
            check_problem(answer.status_code, answer.headers["content-type"][0], answer.content)

    call()
    return seen


def operation(document: BaseSchema, label: str) -> APIOperation:
    found = document.find_operation_by_label(label)
    assert found is not None
    return found


def test_the_document_names_every_call(document: BaseSchema) -> None:
    named = {result.ok().label for result in document.get_all_operations()}
    assert named == {*SPOILED, *PLAIN, FORECAST}


@pytest.mark.parametrize("label", [*SPOILED, *PLAIN])
def test_valid_calls(
    label: str, document: BaseSchema, client: httpx.Client, session: requests.Session
) -> None:
    seen = check_operation(operation(document, label), GenerationMode.POSITIVE, client, session)
    assert seen & {200, 201, 404}


@pytest.mark.parametrize("label", SPOILED)
def test_spoiled_calls(
    label: str, document: BaseSchema, client: httpx.Client, session: requests.Session
) -> None:
    seen = check_operation(operation(document, label), GenerationMode.NEGATIVE, client, session)
    assert 422 in seen


def test_one_outcome_stands(
    document: BaseSchema, client: httpx.Client, session: requests.Session
) -> None:
    """Calls on a task that was issued: the first outcome, or a conflict with it."""
    task = client.post("/practice-tasks", json=NEW).json()
    complete = operation(document, COMPLETE)
    seen = check_operation(
        complete, GenerationMode.POSITIVE, client, session, path_parameters={"task_id": task["id"]}
    )
    assert {200, 409} <= seen


@pytest.mark.parametrize(
    ("user", "status"), [("ada", 503), ("%3Cb%3E/", 404), ("x" * 129, 422), ("a%00b", 422)]
)
def test_a_forecast_that_nobody_gives(client: httpx.Client, user: str, status: int) -> None:
    answer = client.get(f"/learners/{user}/forecast")
    assert answer.status_code == status
    check_problem(status, answer.headers["content-type"], answer.content)
    assert ("retry-after" in answer.headers) is (status == 503)


BODIES = {"POST": ("/practice-tasks", NEW), "PATCH": ("/practice-tasks/x", DONE)}


@pytest.mark.parametrize("method", BODIES)
@few
@given(st.integers(0, 2**32))
def test_mutated_bodies(method: str, client: httpx.Client, seed: int) -> None:
    """Bytes that a generator of JSON would not think of."""
    path, valid = BODIES[method]
    for body in islice(mutants(json.dumps(valid).encode(), seed), 10):
        check_answer(method, path, body, client)


@pytest.mark.parametrize(
    "body",
    [
        b'{"\\ud800": 1}',
        b'{"user_id": "\\ud800", "topic": "t", "difficulty": "d"}',
        b"[" * 20_000,
        b'{"user_id": ' + b"9" * 5_000 + b"}",
        b"\xff\xfe{",
        b"",
        b"x" * 70_000,
    ],
)
def test_bodies_that_break_parsers(body: bytes, client: httpx.Client) -> None:
    for method, (path, _) in BODIES.items():
        assert check_answer(method, path, body, client) in (400, 413, 422)


def check_answer(method: str, path: str, body: bytes, client: httpx.Client) -> int:
    json_type = {"Content-Type": "application/json"}
    answer = client.request(method, path, content=body, headers=json_type)
    assert answer.status_code in (201, 400, 404, 413, 422), body
    if answer.status_code != 201:
        check_problem(answer.status_code, answer.headers["content-type"], answer.content)
    return answer.status_code


times = st.text("0123456789-+:TZ. |", max_size=40) | st.datetimes().map(datetime.isoformat)


@few
@given(st.tuples(times, st.text(max_size=10)) | st.text(max_size=100))
@example(("9999-12-31T23:59:59-23:59", "x"))
@example(("0001-01-01T00:00:00+23:59", "x"))
@example(("2026-01-01", "x\x00"))
def test_any_cursor(client: httpx.Client, cursor: tuple[str, str] | str) -> None:
    """One that a page gave, or looks so, or nothing like it."""
    if isinstance(cursor, tuple):
        cursor = urlsafe_b64encode("|".join(cursor).encode()).decode()
    answer = client.get("/practice-tasks", params={"user_id": "ada", "cursor": cursor})
    assert answer.status_code in (200, 422)
    if answer.status_code == 422:
        check_problem(422, answer.headers["content-type"], answer.content)


@pytest.mark.parametrize("path", ["/practice-tasks", "/practice-tasks/x", "/status", "/nowhere"])
@pytest.mark.parametrize("method", ["DELETE", "PUT", "OPTIONS", "TRACE"])
def test_calls_that_are_none(method: str, path: str, client: httpx.Client) -> None:
    answer = client.request(method, path)
    assert answer.status_code == (404 if path == "/nowhere" else 405)
    check_problem(answer.status_code, answer.headers["content-type"], answer.content)
