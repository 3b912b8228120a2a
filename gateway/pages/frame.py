"""What every page has: the bar with the five pages, light and dark, the viewer's zone, the pulse.

The pulse calls a page's ``refresh`` every two seconds while somebody looks: a hidden tab sends that
it is hidden, and costs nothing until it is seen again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import Request
from nicegui import ui

PAGES = {
    "/dashboard/": "Overview",
    "/dashboard/tasks": "Practise",
    "/dashboard/analytics": "Analytics",
    "/dashboard/preparation": "Preparation",
    "/dashboard/settings": "Settings",
}
BEAT_SECONDS = 2.0
ICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><g fill='#0f766e'>"
    "<circle cx='6' cy='16' r='4'/><circle cx='16' cy='16' r='4'/></g>"
    "<circle cx='26' cy='16' r='3' fill='none' stroke='#0f766e' stroke-width='2'/></svg>"
)
_LOOK = (Path(__file__).parent / "look.css").read_text()
_SCRIPT = (Path(__file__).parent / "viewer.js").read_text()
THEMES = {"auto": None, "light": False, "dark": True}
Refresh = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Viewer:
    """Who looks: their time zone, the theme that they chose, and whether it is dark now."""

    zone: ZoneInfo
    theme: str
    dark: bool

    def clock(self, at: datetime, form: str = "%H:%M:%S") -> str:
        """A time as the viewer's clock shows it."""
        return at.astimezone(self.zone).strftime(form)


def viewer(request: Request) -> Viewer:
    """From the cookies that the page's own script sets; UTC before it ran once."""
    theme = request.cookies.get("retrace-theme", "auto")
    scheme = THEMES.get(theme)
    dark = request.cookies.get("retrace-scheme") == "dark" if scheme is None else scheme
    try:
        zone = ZoneInfo(unquote(request.cookies.get("retrace-zone", "UTC")))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = ZoneInfo("UTC")
    return Viewer(zone, theme if theme in THEMES else "auto", dark)


@contextmanager
def page(title: str, request: Request) -> Iterator[Viewer]:
    """The frame around a page's own elements."""
    who = viewer(request)
    ui.page_title(f"{title} · Retrace")
    ui.add_head_html(f"<style>{_LOOK}</style><script>{_SCRIPT}</script>")
    ui.dark_mode(who.dark)
    ui.colors(primary="#0f766e", negative="#b3261e", warning="#8a5a00", positive="#1b7f4b")
    with ui.header().classes("bar"), ui.element("nav").props('aria-label="Pages"'):
        ui.link("Retrace", "/").classes("name")
        for target, name in PAGES.items():
            # NiceGUI puts its mount path before an address that begins with a slash.
            link = ui.link(name, target.removeprefix("/dashboard")).classes("page")
            if name == title:
                link.props('aria-current="page"')
        _themes()
    with ui.element("div").classes("content"):  # in the main of NiceGUI's page
        ui.label(title).classes("title").props('role="heading" aria-level="1"')
        yield who


def _themes() -> None:
    button = ui.button(icon="contrast").props('flat round dense aria-label="Light or dark"')
    with button.classes("theme"), ui.menu():
        for name in THEMES:
            change = f"() => retraceTheme('{name}')"
            ui.menu_item(name.capitalize()).on("click", js_handler=change)


def pulse(refresh: Refresh, seconds: float = BEAT_SECONDS) -> None:
    """Call ``refresh`` now and then every so often, while the page is seen."""
    timer = ui.timer(seconds, refresh, immediate=True)

    async def seen(event: object) -> None:
        timer.active = bool(getattr(event, "args", {}).get("visible", True))
        if timer.active:
            await refresh()

    ui.on("retrace-seen", seen)
