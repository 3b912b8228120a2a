"""Signing in and out in a real browser, and names that are markup on the pages behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from confluent_kafka import Producer
from playwright.sync_api import Browser, Page, expect
from pydantic import SecretStr

from schemas import topics
from schemas.settings import Settings
from streams import kafka as edge
from tests import browser as browsing
from tests.running import opened, publish, services, settings_of, task
from tests.servers import fresh_database, wait_until

KEY = "a-key-of-the-browser"
ODD = "<script>alert(1)</script>"
LONG = "🎲" * 128
SIGN_IN = "**/dashboard/sign-in*"
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def system(
    kafka: str, postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """A gateway with a key, and learners and classes of dead letters of odd names."""
    with fresh_database(postgres) as url:
        folder = tmp_path_factory.mktemp("signing-in")
        settings = settings_of(kafka, url, folder, api_keys=(SecretStr(KEY),))
        with services(settings, "streams", "gateway"):
            publish(settings, *(task(f"s{i}", user_id=name) for i, name in enumerate((ODD, LONG))))
            _bury(settings, ODD, LONG)
            wait_until(lambda: opened(settings).standing()[1] == 2, 60)
            yield settings


def _bury(settings: Settings, *classes: str) -> None:
    producer = Producer(edge.client(settings))
    for name in classes:
        headers = {"retrace.error.topic": "t", "retrace.error.class": name.encode()}
        topic = settings.topic_prefix + topics.DEAD_LETTERS.name
        producer.produce(topic, value=b"{", key="k", headers=headers)
    assert producer.flush(30) == 0


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsing.chromium() as browser:
        yield browser


@contextmanager
def opening(chromium: Browser, scheme: str = "light", width: int = 1280) -> Iterator[Page]:
    """A page of a browser that nobody has signed in with; a script in it fails the test."""
    context = chromium.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": width, "height": 900},
    )
    page = context.new_page()
    ran: list[str] = []
    page.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
    yield page
    context.close()
    assert ran == []


def base(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.gateway_port}"


def sign_in(page: Page, key: str = KEY) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def await_signed_in(page: Page) -> None:
    """The first page tells its zone and scheme, and loads itself again."""
    page.wait_for_function("document.cookie.includes('retrace-zone')")
    page.wait_for_load_state("networkidle")


def check(page: Page, name: str) -> None:
    """What holds of every page."""
    page.wait_for_load_state("networkidle")
    browsing.shoot(page, name)
    assert browsing.overflow(page) == 0
    assert browsing.barriers(page) == []


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_wrong_key_is_told_a_right_one_leads_on_and_out_again(
    system: Settings, chromium: Browser, scheme: str, width: int
) -> None:
    with opening(chromium, scheme, width) as page:
        errors = browsing.Errors(page)
        page.goto(base(system) + "/dashboard/settings")
        expect(page).to_have_url(f"{base(system)}/dashboard/sign-in?next=%2Fdashboard%2Fsettings")
        expect(page.get_by_label("API key")).to_be_focused()
        check(page, f"sign-in-{scheme}-{width}")
        assert errors == []
        sign_in(page, "not-the-key")
        expect(page.get_by_role("alert")).to_have_text("That is none of this gateway's keys.")
        check(page, f"sign-in-wrong-{scheme}-{width}")
        assert [error for error in errors if "401" not in error] == []
        sign_in(page)
        await_signed_in(page)
        errors.clear()
        page.reload()
        page.get_by_role("heading", name="Settings", level=1).wait_for()
        page.get_by_text("Signed in with key").wait_for()
        assert page.url == base(system) + "/dashboard/settings"
        assert page.evaluate("document.cookie.includes('session')") is False
        check(page, f"signed-in-{scheme}-{width}")
        assert errors == []
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(SIGN_IN)
        page.goto(base(system) + "/dashboard/")
        page.wait_for_url(SIGN_IN)


def test_an_open_page_leads_to_the_sign_in_when_its_session_ends(
    system: Settings, chromium: Browser
) -> None:
    with opening(chromium) as page:
        page.goto(base(system))
        sign_in(page)
        page.get_by_role("heading", name="Overview", level=1).wait_for()
        other = page.context.new_page()
        other.goto(base(system) + "/dashboard/settings")
        other.get_by_role("button", name="Sign out").click()
        page.wait_for_url(SIGN_IN)


def test_markup_and_long_names_stay_text(system: Settings, chromium: Browser) -> None:
    with opening(chromium, width=360) as page:
        page.goto(base(system))
        sign_in(page)
        await_signed_in(page)
        for name in (ODD, LONG):
            page.goto(f"{base(system)}/dashboard/tasks?user={quote(name)}")
            expect(page.get_by_label("Learner, known or new")).to_have_value(name)
            page.get_by_text("1 task so far").wait_for()
            check(page, f"named-{len(name)}")
        page.goto(base(system) + "/dashboard/settings")
        page.get_by_role("button", name="Count those that wait").click()
        for name in (ODD, LONG):
            expect(page.get_by_text(f"{name[:64]}: 1 letter")).to_be_visible()
        page.get_by_role("button", name=f"Send back letters of class {ODD}").click()
        page.get_by_text("No letter of class").wait_for()
        check(page, "odd-classes")
