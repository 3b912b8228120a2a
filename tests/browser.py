"""A headless Chromium, and what every page is held to: no error in its console, nothing that
axe finds against WCAG 2.2 AA, nothing that scrolls sideways."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests import npm

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
SHOTS = Path(__file__).parents[1] / "build" / "pages"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with a profile of its own."""
    path = npm.command("chromium", "is the browser that the pages are tested in")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


class Errors(list[str]):
    """What a page's console and scripts complained of."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.append(str(error)))
        page.on("requestfailed", lambda request: self.append(f"not loaded: {request.url}"))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.append(message.text)


@cache
def _axe() -> str:
    home = npm.installed(Path(__file__).parent / "axe")
    return (home / "node_modules" / "axe-core" / "axe.min.js").read_text()


def barriers(page: Page) -> list[str]:
    """What axe finds, a line each."""
    page.evaluate(_axe())
    found: dict[str, Any] = page.evaluate("rules => axe.run(document, rules)", RULES)
    return [
        f"{each['id']}: {node['failureSummary']} {node['html'][:200]}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(page.evaluate(script))


def shoot(page: Page, name: str) -> None:
    """A picture of the whole page, below build/pages."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)
