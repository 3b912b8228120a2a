"""PURE: times as people write them on a command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from schemas.errors import UsageError

_AGO = re.compile(r"([0-9]{1,6})(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
HELP = "2026-03-01T12:00Z, or 90m, 2h, 7d ago"


def moment(text: str, now: datetime) -> datetime:
    """RFC 3339 (UTC where no offset is given), or so many s, m, h, d before ``now``.

    Raises ``UsageError`` where it is neither.
    """
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text.strip())
        aware = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        return aware.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is no time. Write it as {HELP}.") from None
