"""PURE: which tasks an analysis is about, as a page's address says it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.fields import Id

SPANS = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
}
USUAL = "day"
BUCKETS = 96


class Filters(BaseModel):
    """None: all of them. ``version`` 0: what was said before any version served."""

    model_config = ConfigDict(frozen=True)

    user: Id | None = None
    topic: Id | None = None
    version: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    last: Literal["hour", "day", "week", "month"] = "day"

    @property
    def span(self) -> timedelta:
        return SPANS[self.last]

    @property
    def scores_kept(self) -> bool:
        """Whether scoring keeps log loss and AUC of all these tasks."""
        return self.user is None and self.topic is None

    @property
    def calibration_kept(self) -> bool:
        """Whether scoring keeps the calibration of all these tasks."""
        return self.user is None and self.version is None

    def since(self, now: datetime) -> datetime:
        """Tasks that were completed from then on."""
        return now - self.span

    def bucket(self, window_seconds: int) -> int:
        """Seconds of a step on a time axis: whole windows of scores, some dozens of steps."""
        windows = self.span.total_seconds() / window_seconds / BUCKETS
        return max(1, round(windows)) * window_seconds

    def query(self) -> str:
        """What an address says of it, with its question mark; "" where nothing is set."""
        said = self.model_dump(exclude_defaults=True)
        return f"?{urlencode(said)}" if said else ""


def read(said: Mapping[str, str]) -> tuple[Filters, list[str]]:
    """What an address says, and the names of what could not be read and was left out; a field that
    was left empty says nothing."""
    said = {name: value for name, value in said.items() if value}
    try:
        return Filters.model_validate(said), []
    except ValidationError as error:
        wrong = sorted({str(each["loc"][0]) for each in error.errors()})
    return Filters.model_validate({k: v for k, v in said.items() if k not in wrong}), wrong
