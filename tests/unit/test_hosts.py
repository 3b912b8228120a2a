"""Who asks by our name, whose pages send it, and where a sign-in may lead."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.hosts import Hosts, is_foreign, own_path

HOSTS = Hosts("gateway.internal", ("retrace.example",))


@pytest.mark.parametrize(
    "header",
    [
        "localhost", "localhost:4008", "LOCALHOST:4008", "localhost.", "app.localhost:1",
        "127.0.0.1:4008", "[::1]:4008", "192.0.2.7", "gateway.internal:4008",
        "Retrace.Example", "retrace.example.:80",
    ],
)  # fmt: skip
def test_our_names_and_any_address_are_taken(header: str) -> None:
    assert HOSTS.takes(header)


@pytest.mark.parametrize(
    "header",
    [
        "", "evil.example", "evil.example:4008", "localhost.evil.example", "notlocalhost",
        "127.0.0.1.evil.example", "evil.example/retrace.example", "retrace.example@evil.example",
        "retrace.example evil.example", "[::1", "127.0.0.1:x", "a:1:2", "retrace.example\n",
    ],
)  # fmt: skip
def test_other_names_are_not(header: str) -> None:
    assert not HOSTS.takes(header)


@pytest.mark.parametrize(
    ("origin", "foreign"),
    [
        ("http://localhost:4008", False),
        ("https://localhost:4008", False),
        ("http://LOCALHOST:4008", False),
        ("http://localhost:4009", True),
        ("http://localhost", True),
        ("http://evil.example", True),
        ("http://localhost:4008.evil.example", True),
        ("null", True),
        ("", True),
        ("file://", True),
        ("chrome-extension://localhost:4008", True),
    ],
)
def test_an_origin_is_ours_where_it_is_the_host_asked(origin: str, foreign: bool) -> None:
    assert is_foreign({"host": "localhost:4008", "origin": origin}) is foreign


def test_without_an_origin_the_browser_may_still_say_where_it_comes_from() -> None:
    assert not is_foreign({"host": "localhost"})
    assert not is_foreign({"host": "localhost", "sec-fetch-site": "same-origin"})
    assert is_foreign({"host": "localhost", "sec-fetch-site": "cross-site"})
    assert is_foreign({"host": "localhost", "sec-fetch-site": "same-site"})
    assert is_foreign({"origin": "http://"})


@pytest.mark.parametrize(
    "target",
    ["/", "/dashboard/", "/dashboard/tasks?user=ada&topic=a%20b", "/docs", "/redoc"],
)
def test_a_sign_in_leads_on_to_our_own_pages(target: str) -> None:
    assert own_path(target, "/default") == target


@pytest.mark.parametrize(
    "target",
    [
        "", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example",
        "https://evil.example/dashboard", "javascript:alert(1)", "dashboard", "/status",
        "/dashboard\r\nSet-Cookie: a=b", "/\t/evil.example", " //evil.example",
        "/dashboard/<script>", "//evil.example/dashboard",
    ],
)  # fmt: skip
def test_and_nowhere_else(target: str) -> None:
    assert own_path(target, "/default") == "/default"


@given(st.text(alphabet="/\\.:@%?#&=dashbor evil\t\n\r", max_size=30))
def test_whatever_is_sent_the_browser_stays_here(target: str) -> None:
    base = "https://retrace.example/dashboard/sign-in"
    led = urlsplit(urljoin(base, own_path("/dashboard" + target, "/")))
    assert (led.scheme, led.netloc) == ("https", "retrace.example")
