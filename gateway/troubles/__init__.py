"""PURE: what is wrong, by a status: what, since when, and what to do.

The rules are those of docs/operations.md's symptoms and of the alerts, as far as one look tells.
"""

from __future__ import annotations

from gateway.troubles import models, services
from gateway.troubles.lasting import Lasting
from gateway.troubles.trouble import Status, Trouble

__all__ = ["Lasting", "Status", "Trouble", "troubles"]
RULES = (
    services.silent, services.away, services.unread, services.stuck, services.lag,
    services.uncounted, models.failing, models.none_serves, models.stale, models.held,
    models.worse, models.defaults, models.letters,
)  # fmt: skip


def troubles(status: Status) -> list[Trouble]:
    """What is wrong, the gravest first. Parts that are missing say nothing."""
    return [trouble for rule in RULES for trouble in rule(status)]
