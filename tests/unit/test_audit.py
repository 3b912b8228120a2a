"""Findings fail, what could not be looked up is told, an exception has a date and a reason."""

from __future__ import annotations

from typing import Any

import pytest

from tests import audit

FOUND = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.0"]}
REPORT: dict[str, Any] = {
    "dependencies": [
        {"name": "bad", "version": "1.0", "vulns": [FOUND]},
        {"name": "good", "version": "1.0", "vulns": []},
        {"name": "unknown", "skip_reason": "not found"},
    ]
}


def test_what_is_found_and_what_was_not_looked_up() -> None:
    assert audit.judge(REPORT, {}) == (["bad 1.0: PYSEC-1, fixed by 2.0"], ["unknown"])


@pytest.mark.parametrize("name", ["PYSEC-1", "CVE-1"])
def test_what_is_passed_over_by_any_of_its_names(name: str) -> None:
    assert audit.judge(REPORT, audit.ignored(f"# why\n{name} 2026-01-31 not called")) == (
        [], ["unknown"],
    )  # fmt: skip


@pytest.mark.parametrize(
    "line", ["CVE-1", "CVE-1 not called", "CVE-1 2026-01-31", "CVE-1 2026-01-31 "]
)
def test_an_exception_without_date_or_reason_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="ID YYYY-MM-DD reason"):
        audit.ignored(line)


def test_the_list_in_use_can_be_read() -> None:
    audit.ignored(audit.IGNORED.read_text())


def test_a_database_away_fails_nothing_but_a_broken_tool_does() -> None:
    assert audit.unread("Traceback\nrequests.exceptions.ConnectionError: no name") == 0
    assert audit.unread("No module named pip_audit") == 1
    assert audit.unread("") == 1
