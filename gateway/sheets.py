"""PURE: what each chart of the analytics shows, as CSV (RFC 4180) for spreadsheets and programs.

Text that a spreadsheet would take for a formula gets an apostrophe before it (OWASP, "CSV
Injection"); numbers stay numbers. Times are RFC 3339.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from gateway.analytics import View
from gateway.scored import Score, wilson
from schemas.codec import rfc3339

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
LINES = 500
Row = Iterable[Any]


def lines(rows: Iterable[Row]) -> Iterator[str]:
    """Rows as CSV, some hundred lines at a time."""
    page = io.StringIO()
    writer = csv.writer(page)
    for at, row in enumerate(rows, 1):
        writer.writerow([cell(value) for value in row])
        if at % LINES == 0:
            yield page.getvalue()
            page.seek(0)
            page.truncate()
    yield page.getvalue()


def cell(value: object) -> object:
    """A value as a spreadsheet may have it."""
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value


def _reliability(view: View) -> Iterator[Row]:
    yield "arm", "p_from", "p_to", "tasks", "mean_p", "observed", "low_95", "high_95"
    for arm, bins in view.bins.items():
        for each in bins:
            interval = wilson(each.observed, each.tasks)
            yield arm, *each.ends, each.tasks, each.mean_p, each.observed, *interval


def _times(view: View) -> Iterator[Row]:
    rows = view.rows
    yield (
        "completed_at", "task_id", "user_id", "topic", "arm", "source", "version", "p_correct",
        "is_correct", "expected_seconds", "seconds_low", "seconds_high", "actual_seconds",
    )  # fmt: skip
    columns = (
        rows.at, rows.task, rows.user, rows.topic, rows.arm, rows.source, rows.version, rows.p,
        rows.correct, rows.expected, rows.low, rows.high, rows.seconds,
    )  # fmt: skip
    for at, *words, version, p, correct, expected, low, high, seconds in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        moment = datetime.fromtimestamp(at, UTC)
        yield moment, *words, version or None, p, correct, expected, low, high, seconds


def _scores(view: View) -> Iterator[Row]:
    yield "at", "version", "source", "arm", "tasks", "log_loss_nats", "auc"
    for each in (*view.over_time, *view.by_version):
        yield each.at, _version(each), each.source, each.arm, each.tasks, each.log_loss, each.auc


def _sources(view: View) -> Iterator[Row]:
    yield "at", "source", "arm", "tasks"
    for each in view.over_time:
        yield each.at, each.source, each.arm, each.tasks


def _arms(view: View) -> Iterator[Row]:
    yield (
        "metric", "unit", "paired", "champion_tasks", "challenger_tasks", "learners", "champion",
        "challenger", "difference", "low_95", "high_95",
    )  # fmt: skip
    found = view.comparison
    for each in found.differences if found else ():
        assert found is not None
        counts = (found.paired, found.champion_tasks, found.challenger_tasks, found.learners)
        means = (each.champion, each.challenger, each.difference, each.low, each.high)
        yield each.metric, each.unit, *counts, *means


def _learning(view: View) -> Iterator[Row]:
    yield "user_id", "topic", "task", "completed_at", "success_share", "median_seconds"
    for topic, steps in view.curves.items():
        for each in steps:
            yield view.learner, topic, each.task, each.at, each.success, each.seconds


def _version(score: Score) -> str | int:
    """All versions, or one; none had been published where it is 0."""
    return "all" if score.version is None else score.version or "none"


SHEETS: dict[str, Callable[[View], Iterator[Row]]] = {
    "reliability": _reliability,
    "times": _times,
    "scores": _scores,
    "sources": _sources,
    "arms": _arms,
    "learning": _learning,
}
