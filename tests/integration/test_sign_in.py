"""Who may do what at a real gateway, by HTTP and websocket, with Kafka and PostgreSQL away."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from socket import create_connection

import httpx
import pytest
from pydantic import SecretStr
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from gateway.attempts import EACH
from gateway.keys import fingerprint
from gateway.sessions import COOKIE
from ops.machine import free_port
from schemas.settings import Settings
from tests.running import Service, settings_of
from tests.servers import wait_until

KEY, OTHER = "a-key-of-the-tests", "another-key-of-the-tests"
SIGN_IN, SIGN_OUT, PAGE = "/dashboard/sign-in", "/dashboard/sign-out", "/dashboard/settings"
SOCKET = "/dashboard/_nicegui_ws/socket.io/?EIO=4"
LIBRARY = f"/dashboard/_nicegui/{version('nicegui')}/static/nicegui.js"
NEW = {"user_id": "ada", "topic": "fractions", "difficulty": "easy"}
PERSON = {"Accept": "text/html,*/*;q=0.8"}
FOREIGN = ("http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1")


@contextmanager
def gateway(folder: Path, *keys: str, store: str = "", **more: object) -> Iterator[Service]:
    """A gateway that answers; what it needs is away unless given, which must not matter here."""
    folder.mkdir(exist_ok=True)
    url = store or f"postgresql://u:p@127.0.0.1:{free_port()}/none"
    given = {"api_keys": tuple(map(SecretStr, keys)), **more}
    service = Service("gateway", settings_of(f"127.0.0.1:{free_port()}", url, folder, **given))
    try:
        wait_until(lambda: bool(service.readiness()) or service.process.poll() is not None, 60)
        assert service.process.poll() is None, service.log.read_text()[-2000:]
        yield service
    finally:
        service.kill()


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A gateway with two keys."""
    folder = tmp_path_factory.mktemp("locked")
    with gateway(folder, KEY, OTHER, allowed_hosts=("retrace.example",)) as service:
        yield service


@pytest.fixture(scope="module")
def unlocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A gateway without keys."""
    with gateway(tmp_path_factory.mktemp("open"), allowed_hosts=("retrace.example",)) as service:
        yield service


def base(service: Service) -> str:
    return f"http://127.0.0.1:{service.settings.gateway_port}"


@contextmanager
def browser(service: Service) -> Iterator[httpx.Client]:
    """A client that keeps cookies and follows no redirect."""
    with httpx.Client(base_url=base(service), timeout=30, trust_env=False) as client:
        yield client


def sign_in(client: httpx.Client, key: str = KEY, **more: str) -> httpx.Response:
    own = {"Origin": str(client.base_url).rstrip("/")}
    return client.post(SIGN_IN, data={"key": key, **more}, headers=own)


def signed_in(service: Service) -> str:
    """A new session's cookie."""
    with browser(service) as client:
        assert sign_in(client).status_code == 303
        return f"{COOKIE}={client.cookies[COOKIE]}"


def shows(service: Service, cookie: str) -> bool:
    """Whether a page is shown to a session."""
    with browser(service) as client:
        status = client.get(PAGE, headers={"Cookie": cookie, **PERSON}).status_code
    assert status in (200, 303)
    return status == 200


@contextmanager
def socket(service: Service, **headers: str | None) -> Iterator[ClientConnection]:
    """A page's websocket; a browser's Origin unless given."""
    given = {"Origin": base(service), **headers}
    sent = {name: value for name, value in given.items() if value is not None}
    address = base(service).replace("http", "ws") + SOCKET + "&transport=websocket"
    origin = sent.pop("Origin", None)
    with connect(address, origin=origin, additional_headers=sent, proxy=None) as found:  # type: ignore[arg-type]
        yield found


def _read_on(found: ClientConnection) -> None:
    while True:
        found.recv(30)


def opens(service: Service, **headers: str | None) -> bool:
    """Whether a websocket is let in; if so engine.io greets."""
    try:
        with socket(service, **headers) as found:
            assert str(found.recv(10)).startswith('0{"sid"')
            return True
    except InvalidStatus as refused:
        if refused.response.status_code != 403:
            raise
        return False


def test_who_signs_out_of_one_gateway_is_out_of_all(database_url: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(gateway(tmp_path, KEY, store=database_url)) for _ in range(2)
        )
        gone, stays = signed_in(first), signed_in(first)
        assert [shows(each, gone) for each in (first, second)] == [True, True]
        with browser(first) as client:
            client.post(SIGN_OUT, headers={"Origin": base(first), "Cookie": gone})
        assert not shows(first, gone)
        wait_until(lambda: not shows(second, gone), 30)
        first.kill()
        first.restart()
        wait_until(lambda: bool(first.readiness()), 60)
        wait_until(lambda: not shows(first, gone), 30)
        assert [shows(each, stays) for each in (first, second)] == [True, True]


def test_a_person_is_led_to_the_sign_in_and_on(locked: Service) -> None:
    with browser(locked) as client:
        asked = client.get(f"{PAGE}?a=b%20c", headers=PERSON)
        assert asked.status_code == 303
        assert asked.headers["location"] == f"{SIGN_IN}?next=%2Fdashboard%2Fsettings%3Fa%3Db%2520c"
        page = client.get(asked.headers["location"])
        assert page.status_code == 200
        assert page.headers["cache-control"] == "no-store"
        field = re.search(r'<input id="key"[^>]*>', page.text)
        assert field is not None
        assert 'type="password"' in field[0]
        assert 'autocomplete="current-password"' in field[0]
        assert "<script" not in page.text
        target = re.search(r'name="next" value="([^"]*)"', page.text)
        assert target is not None
        done = sign_in(client, next=target[1])
        assert (done.status_code, done.headers["location"]) == (303, f"{PAGE}?a=b%20c")
        shown = client.get(done.headers["location"], headers=PERSON)
        assert shown.status_code == 200
        assert f"key {fingerprint(KEY)}" in shown.text
        assert client.get(SIGN_IN, headers=PERSON).status_code == 303


def test_programs_get_problems_not_redirects(locked: Service) -> None:
    with browser(locked) as client:
        for path in ("/status", "/metrics", "/openapi.json", PAGE, "/practice-tasks?user_id=a"):
            answer = client.get(path)
            assert answer.status_code == 401, path
            assert answer.headers["content-type"] == "application/problem+json"
        # What is no page is a problem for a browser, too.
        assert client.get("/status", headers=PERSON).status_code == 401
        assert client.get(LIBRARY, headers=PERSON).status_code == 401
        assert client.post(PAGE, headers=PERSON).status_code == 401
        for path in ("/", "/docs", "/redoc", "/dashboard/tasks"):
            assert client.get(path, headers=PERSON).status_code == 303, path
        assert client.get("/healthz").status_code == 200


def test_the_cookie_is_for_the_browser_and_for_us_only(locked: Service) -> None:
    with browser(locked) as client:
        cookie = sign_in(client).headers["set-cookie"]
        assert cookie.startswith(f"{COOKIE}=")
        words = {word.strip().lower() for word in cookie.split(";")[1:]}
        assert words == {"httponly", "max-age=43200", "path=/", "samesite=strict"}
        assert KEY not in cookie
        secure = {"Origin": "https://retrace.example", "Host": "retrace.example"}
        behind = client.post(SIGN_IN, data={"key": KEY}, headers=secure)
        assert "secure" in behind.headers["set-cookie"].lower()


def test_a_session_reads_and_acts_only_from_our_own_pages(locked: Service) -> None:
    with browser(locked) as client:
        sign_in(client)
        for path in ("/openapi.json", "/docs", "/redoc", "/metrics", PAGE):
            assert client.get(path).status_code == 200, path
        own = {"Origin": base(locked)}
        # Away stores make it 503: it was let in.
        assert client.post("/practice-tasks", json=NEW, headers=own).status_code == 503
        assert client.post("/practice-tasks", json=NEW).status_code == 403
        for origin in FOREIGN:
            foreign = {"Origin": origin}
            for call in (
                client.post("/practice-tasks", json=NEW, headers=foreign),
                client.patch("/practice-tasks/x", json={}, headers=foreign),
                client.post(SIGN_OUT, headers=foreign),
                client.post(SIGN_IN, data={"key": KEY}, headers=foreign),
            ):
                assert call.status_code == 403, origin
                assert call.headers["content-type"] == "application/problem+json"
        assert client.get("/metrics").status_code == 200


def test_a_key_in_a_header_needs_no_session(locked: Service) -> None:
    with browser(locked) as client:
        for sent in ({"X-API-Key": OTHER}, {"Authorization": f"Bearer {KEY}"}):
            assert client.get("/metrics", headers=sent).status_code == 200
            assert client.post("/practice-tasks", json=NEW, headers=sent).status_code == 503
            named = {**sent, "Host": "gateway.internal:4008"}
            assert client.get("/metrics", headers=named).status_code == 200
        page = client.get(PAGE, headers={"X-API-Key": KEY})
        assert "to act, sign in" in page.text


def test_wrong_keys_are_counted_and_then_refused(tmp_path: Path) -> None:
    with gateway(tmp_path, KEY) as service, browser(service) as client:
        for wrong in ("", "wrong", KEY + "x", "ü" * 300, "<script>")[:EACH]:
            answer = sign_in(client, wrong)
            assert answer.status_code == 401
            assert 'role="alert"' in answer.text
            assert "set-cookie" not in answer.headers
        refused = sign_in(client, KEY)
        assert refused.status_code == 429
        assert 0 < int(refused.headers["retry-after"]) <= 60
        assert "Too many attempts" in refused.text
        assert client.get(SIGN_IN).status_code == 200
        log = service.log.read_text()
        assert "too many attempts" in log
        assert "wrong" not in log


def test_right_keys_are_not_counted(locked: Service) -> None:
    with browser(locked) as client:
        assert {sign_in(client).status_code for _ in range(2 * EACH)} == {303}


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example",
        "javascript:alert(1)", "/status", '"><script>alert(1)</script>', "/dashboard\r\nX: y",
    ],
)  # fmt: skip
def test_a_sign_in_leads_nowhere_else(locked: Service, target: str) -> None:
    with browser(locked) as client:
        assert "<script" not in client.get(SIGN_IN, params={"next": target}).text
        done = sign_in(client, next=target)
        assert (done.status_code, done.headers["location"]) == (303, "/dashboard/")
        assert "x" not in done.headers


def test_sockets_need_a_session_from_our_own_pages(locked: Service) -> None:
    with browser(locked) as client:
        sign_in(client)
        cookie = f"{COOKIE}={client.cookies[COOKIE]}"
    assert not opens(locked)
    assert not opens(locked, Cookie=f"{COOKIE}=forged")
    assert opens(locked, Cookie=cookie)
    for origin in (*FOREIGN, None):
        assert not opens(locked, Cookie=cookie, Origin=origin), origin
    assert opens(locked, **{"X-API-Key": KEY, "Origin": None})
    poll = SOCKET + "&transport=polling"
    with browser(locked) as client:
        assert client.get(poll).status_code == 401
        sent = {"Cookie": cookie}
        assert client.get(poll, headers=sent).status_code == 200
        assert client.get(poll, headers={**sent, "Origin": FOREIGN[0]}).status_code == 403
        cross = {**sent, "Sec-Fetch-Site": "cross-site"}
        assert client.get(poll, headers=cross).status_code == 403
        assert client.post(poll, headers=sent).status_code == 403


def test_a_sign_out_ends_the_session_and_what_is_open_of_it(locked: Service) -> None:
    with browser(locked) as client:
        sign_in(client)
        cookie = client.cookies[COOKIE]
        with socket(locked, Cookie=f"{COOKIE}={cookie}") as found:
            assert str(found.recv(10)).startswith("0")
            found.send("40")
            left = client.post(SIGN_OUT, headers={"Origin": base(locked)})
            assert (left.status_code, left.headers["location"]) == (303, SIGN_IN)
            assert "max-age=0" in left.headers["set-cookie"].lower()
            with pytest.raises(ConnectionClosed) as closed:
                _read_on(found)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
        assert COOKIE not in client.cookies
        # Who had copied the cookie has nothing.
        kept = {"Cookie": f"{COOKIE}={cookie}"}
        assert client.get("/metrics", headers=kept).status_code == 401
        assert not opens(locked, **kept)


def test_sessions_outlive_a_restart_and_no_change_of_the_keys(tmp_path: Path) -> None:
    with gateway(tmp_path, KEY, OTHER) as service, browser(service) as client:
        sign_in(client)
        cookie = {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
    with gateway(tmp_path, OTHER, KEY) as service, browser(service) as client:
        assert client.get("/metrics", headers=cookie).status_code == 200
    with gateway(tmp_path, KEY) as service, browser(service) as client:
        assert client.get("/metrics", headers=cookie).status_code == 401
    assert KEY not in (tmp_path / "gateway.log").read_text()


def test_without_keys_other_sites_cannot_drive_it_either(unlocked: Service) -> None:
    assert opens(unlocked)
    assert opens(unlocked, Origin=None)
    poll = SOCKET + "&transport=polling"
    with browser(unlocked) as client:
        assert client.get(PAGE, headers=PERSON).status_code == 200
        assert client.post("/practice-tasks", json=NEW).status_code == 503
        assert client.get(poll).status_code == 200
        for origin in FOREIGN:
            assert not opens(unlocked, Origin=origin), origin
            foreign = {"Origin": origin}
            assert client.get(poll, headers=foreign).status_code == 403
            assert client.post(poll, headers=foreign).status_code == 403
            assert client.post("/practice-tasks", json=NEW, headers=foreign).status_code == 403
        for path in (SIGN_IN, "/dashboard"):
            assert client.get(path).headers["location"] == "/dashboard/"


@pytest.mark.parametrize("name", ["evil.example", "localhost.evil.example:4008", "gateway"])
def test_a_name_that_is_not_ours_is_refused(unlocked: Service, name: str) -> None:
    rebound = {"Host": name, "Origin": f"http://{name}"}
    with browser(unlocked) as client:
        for path in ("/", "/status", PAGE, SOCKET + "&transport=polling", "/openapi.json"):
            answer = client.get(path, headers=rebound)
            assert answer.status_code == 421, path
            assert "RETRACE_ALLOWED_HOSTS" in answer.json()["detail"]
        assert client.post("/practice-tasks", json=NEW, headers=rebound).status_code == 421
        assert client.get("/healthz", headers=rebound).status_code == 200
        for own in ("localhost:4008", "retrace.example", "[::1]:4008", "192.0.2.1"):
            assert client.get("/openapi.json", headers={"Host": own}).status_code == 200, own


def test_every_answer_has_its_headers(unlocked: Service, locked: Service) -> None:
    with browser(unlocked) as client, browser(locked) as strange:
        answers = [
            client.get(path, headers=PERSON)
            for path in ("/", "/docs", "/redoc", PAGE, "/nowhere", "/dashboard/nowhere", "/healthz")
        ]
        answers += [client.post("/practice-tasks", json=NEW), strange.get("/status")]
        answers += [strange.get(PAGE, headers=PERSON), strange.get(SIGN_IN), sign_in(strange, "no")]
        for answer in answers:
            found, path = answer.headers, answer.url.path
            assert found["x-content-type-options"] == "nosniff", path
            assert found["referrer-policy"] == "same-origin", path
            assert found["cross-origin-opener-policy"] == "same-origin", path
            assert "camera=()" in found["permissions-policy"], path
            assert "frame-ancestors 'none'" in found["content-security-policy"], path
            assert ("'unsafe-eval'" in found["content-security-policy"]) == (
                path.startswith("/dashboard/") and path != SIGN_IN
            ), path
        assert "script-src" not in answers[-1].headers["content-security-policy"]


def test_keys_are_in_no_log_and_sign_ins_are(locked: Service) -> None:
    with browser(locked) as client:
        sign_in(client, KEY)
        sign_in(client, "a-mistyped-key")
        client.get("/status", headers={"X-API-Key": OTHER})
    text = locked.log.read_text()
    assert not [key for key in (KEY, OTHER, "a-mistyped-key") if key in text]
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    signed = [line for line in lines if line["event"] == "signed in"]
    assert {(line["key"], line["address"]) for line in signed} == {(fingerprint(KEY), "127.0.0.1")}


def test_the_page_shows_settings_and_no_secret(locked: Service) -> None:
    settings: Settings = locked.settings
    with browser(locked) as client:
        sign_in(client)
        text = client.get(PAGE, headers=PERSON).text
    assert "RETRACE_API_KEYS" in text
    assert settings.topic_prefix in text
    assert KEY not in text
    assert "u:p@" not in text


def test_who_leaves_before_the_answer_is_no_error(unlocked: Service) -> None:
    address = ("127.0.0.1", unlocked.settings.gateway_port)
    call = f"GET {LIBRARY} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    for wait in range(60):
        with contextlib.ExitStack() as open_at_once:
            for _ in range(4):
                leaver = open_at_once.enter_context(create_connection(address))
                leaver.sendall(call)
            with contextlib.suppress(TimeoutError):
                leaver.settimeout(0.0001 * (wait + 1))
                leaver.recv(1)
    with browser(unlocked) as client:
        assert client.get(LIBRARY).status_code == 200
    assert "unexpected error" not in unlocked.log.read_text()
