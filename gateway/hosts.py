"""PURE: whether a browser asks for us by our own name, and from our own pages.

A page elsewhere may let its name point to this machine (DNS rebinding): its calls then name *its*
host. An address as host cannot be rebound, so addresses are taken as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

LOOPBACK = "localhost"
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")


class Hosts:
    """The names that the gateway answers to; ``host`` is the address that it binds to."""

    def __init__(self, host: str, allowed: tuple[str, ...]) -> None:
        self.names = frozenset(name.lower() for name in (LOOPBACK, host, *allowed))

    def takes(self, header: str) -> bool:
        """Whether a Host header names us."""
        found = _HOST.fullmatch(header)
        if found is None:
            return False
        name = found[1].strip("[]").lower().removesuffix(".")
        return name in self.names or name.endswith("." + LOOPBACK) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_foreign(headers: Mapping[str, str]) -> bool:
    """Whether another site's page sent this, as far as the browser says; programs say nothing."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    return not is_own(origin, headers.get("host", ""))


def is_own(origin: str, host: str) -> bool:
    """Whether an Origin header is that of the pages under this Host header."""
    scheme, _, place = origin.partition("://")
    return scheme in ("http", "https") and place.lower() == host.lower() != ""


def own_path(target: str, default: str) -> str:
    """Where to go on: a path of our own pages, else the default; never to another site."""
    if not re.fullmatch(r"/[A-Za-z0-9/_.~%?&=+:@,;-]*", target) or target.startswith("//"):
        return default
    return target if urlsplit(target).path.startswith(PAGES) or target == "/" else default


PAGES = ("/dashboard", "/docs", "/redoc")
SIGN_IN, SIGN_OUT = "/dashboard/sign-in", "/dashboard/sign-out"
