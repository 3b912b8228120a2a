"""The pages in a real browser, on the real system."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page

from gateway.pages.frame import PAGES
from schemas import topics
from schemas.settings import Settings
from tests import browser as browsing
from tests.running import publish, services, settings_of, task, values_of
from tests.servers import fresh_database, wait_until

ALL = ("streams", "trainer", "inference", "gateway")
ODD = "<script>alert(1)</script>"
LONG = "🎲" * 128


@pytest.fixture(scope="module")
def system(
    kafka: str, postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """A running system with a version that serves, and learners of odd names."""
    with fresh_database(postgres) as url:
        settings = settings_of(
            kafka, url, tmp_path_factory.mktemp("pages"), train_epochs=3, score_seconds=2
        )
        with services(settings, *ALL):
            names = ["ada", ODD, LONG, "grace"]
            tasks = [task(f"p{i}", user_id=names[i % 4]) for i in range(20)]
            publish(settings, *tasks)
            wait_until(lambda: _serves(settings), 120)
            yield settings


def _serves(settings: Settings) -> bool:
    status = httpx.get(f"{base(settings)}/status", timeout=10).json()
    return bool(status["serving"] and status["counter"].get("completions") == 20)


def base(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.gateway_port}"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsing.chromium() as browser:
        yield browser


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", list(PAGES))
def test_every_page_is_whole(
    system: Settings, chromium: Browser, path: str, scheme: str, width: int
) -> None:
    context = chromium.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": width, "height": 900},
        timezone_id="America/New_York",
    )
    page = context.new_page()
    page.goto(base(system) + path)  # tells its zone and scheme, and loads itself again
    page.wait_for_function("document.cookie.includes('retrace-zone=America%2FNew_York')")
    page.wait_for_load_state("networkidle")
    errors = browsing.Errors(page)
    page.goto(base(system) + path)
    page.get_by_role("heading", level=1).wait_for()
    page.wait_for_load_state("networkidle")
    dark = page.evaluate("document.body.classList.contains('body--dark')")
    browsing.shoot(page, f"{PAGES[path].lower()}-{scheme}-{width}")
    assert dark == (scheme == "dark")
    assert errors == []
    assert browsing.overflow(page) == 0
    assert browsing.barriers(page) == []
    context.close()


def test_five_tasks_practised_on_the_page_change_the_prediction(
    system: Settings, chromium: Browser
) -> None:
    """The learner's name is a script, and stays a name; nothing freezes at the fifth."""
    page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    page.goto(base(system) + "/dashboard/tasks")
    page.wait_for_load_state("networkidle")
    errors = browsing.Errors(page)
    page.get_by_label("Learner, known or new").fill(ODD)
    page.get_by_label("Topic").fill("topic-1")
    page.get_by_label("Difficulty").fill("easy")
    page.get_by_role("button", name="Get this task").click()
    chance, before = page.locator(".facts .big").first, ""
    for turn in range(5):
        page.get_by_label("Seconds, if not the clock's").fill("44")
        before = before or chance.inner_text()
        page.get_by_role("button", name="✗ Wrong").click()
        page.get_by_text("✗ Wrong in 44 s").wait_for()
        page.get_by_text(f"This is completion {21 + turn}").wait_for()
        if turn < 4:
            page.get_by_role("button", name="Another one").click()
            page.get_by_role("button", name="✗ Wrong").wait_for()
    done = page.get_by_text(re.compile(r"at completion 25: version \d+ was published")).first
    done.wait_for(timeout=180_000)
    (version,) = re.findall(r"25: (version \d+) was", done.inner_text())
    page.get_by_role("button", name="Another one").click()
    page.get_by_text(f"{version}:", exact=False).first.wait_for()
    browsing.shoot(page, "practised")
    assert before.endswith("%")
    assert int(chance.inner_text().rstrip(" %")) < int(before.rstrip(" %"))
    assert page.get_by_role("table").get_by_text("topic-1").first.is_visible()
    assert errors == []


def test_the_analytics_are_of_what_is_chosen(system: Settings, chromium: Browser) -> None:
    """By learner, in the page, its address and its files; a learner's name is only a name."""
    _practise(system, ODD, "=2+3", 3)
    csv = f"{base(system)}/dashboard/analytics/times.csv"
    wait_until(lambda: _lines(csv, user=ODD, topic="=2+3") == 3, 60)
    page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    page.goto(base(system) + "/dashboard/analytics?topic=%3D2%2B3&last=week")
    page.get_by_text("3 predictions of tasks completed in the last week.").wait_for()
    page.wait_for_load_state("networkidle")
    errors = browsing.Errors(page)
    for name in ("Reliability", "Predicted and actual time", "Success by topic"):
        assert page.get_by_role("img", name=f"{name}. ").is_visible(), name
    assert page.get_by_text("No challenger has answered in this time.").is_visible()
    browsing.shoot(page, "analysed")
    page.get_by_role("textbox", name="Learner").fill("nobody")
    page.get_by_role("textbox", name="Learner").press("Enter")
    page.get_by_text("No task completed in the last week had a prediction").wait_for()
    assert page.url.endswith("/dashboard/analytics?user=nobody&topic=%3D2%2B3&last=week")
    page.get_by_role("textbox", name="Learner").fill(ODD)
    page.get_by_role("textbox", name="Learner").press("Enter")
    page.get_by_text("3 predictions of tasks completed in the last week.").wait_for()
    with page.expect_download() as found:
        page.get_by_role("link", name="Predicted and actual time as CSV").click()
    assert found.value.path().read_text().count(f",{ODD},'=2+3,champion,") == 3
    page.get_by_role("textbox", name="Model version").fill("x")
    page.get_by_role("textbox", name="Model version").press("Enter")
    page.get_by_text("no version", exact=True).wait_for()
    assert errors == []


def _practise(settings: Settings, user: str, topic: str, times: int) -> None:
    new = {"user_id": user, "topic": topic, "difficulty": "easy"}
    with httpx.Client(base_url=base(settings), timeout=10) as client:
        for _ in range(times):
            made = client.post("/practice-tasks", json=new).raise_for_status().json()
            done = {"is_correct": True, "actual_time_seconds": 30.0}
            client.patch(f"/practice-tasks/{made['id']}", json=done).raise_for_status()


def _lines(csv: str, **filters: str) -> int:
    return len(httpx.get(csv, params=filters, timeout=10).text.splitlines()) - 1


def test_an_operator_asks_for_a_training_and_is_asked_first(
    system: Settings, chromium: Browser
) -> None:
    page = chromium.new_context().new_page()
    page.goto(base(system) + "/dashboard/settings")
    page.get_by_role("button", name="Train now").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Promote").click()
    page.get_by_text("Type the number of a version").wait_for()
    assert not _manual(system)
    page.get_by_role("button", name="Train now").click()
    page.get_by_role("dialog").get_by_role("button", name="Train now").click()
    page.get_by_text("✓ Requested manual-").wait_for()
    page.get_by_role("cell", name="✓ done: Requested manual-").wait_for()
    wait_until(lambda: _manual(system) == 1, 30)


def _manual(settings: Settings) -> int:
    asked = values_of(settings, topics.TRAIN_REQUEST)
    return sum(each["trigger"] == "manual" for each in asked)


def test_a_hidden_tab_shows_what_is_new_once_it_is_seen(
    system: Settings, chromium: Browser
) -> None:
    context = chromium.new_context()
    seen, hidden = context.new_page(), context.new_page()
    before = f"{_counted(system)} counted"
    for page in (seen, hidden):
        page.goto(base(system) + "/dashboard/")
        page.get_by_text(before).wait_for()
    _look(hidden, False)
    for number in (
        1,
        2,
    ):  # the second comes a beat later: the hidden tab would have shown the first
        new = f"{_counted(system) + 1} counted"
        publish(system, task(f"hidden-{number}"))
        seen.get_by_text(new).wait_for()
    assert hidden.get_by_text(before).count() == 1
    _look(hidden, True)
    hidden.get_by_text(new).wait_for()
    context.close()


def _counted(settings: Settings) -> int:
    status = httpx.get(f"{base(settings)}/status", timeout=10).json()
    return int(status["windows"]["total"])


def _look(page: Page, seen: bool) -> None:
    """As a browser does where a tab goes behind another, or comes before it."""
    hide = "Object.defineProperty(document, 'hidden', {value: !seen, configurable: true})"
    page.evaluate(
        f"seen => {{ {hide}; document.dispatchEvent(new Event('visibilitychange')) }}", seen
    )
