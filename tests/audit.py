"""Looks up known vulnerabilities of what ``constraints.txt`` pins: ``python -m tests.audit``.

Exit code 1 for what is found and not passed over, 0 where nothing is, or where the database cannot
be reached, which is told.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PINS, IGNORED = ROOT / "constraints.txt", ROOT / "ops" / "audit-ignored.txt"
LINE = re.compile(r"(\S+) (\d{4}-\d{2}-\d{2}) (\S.*)")
SECONDS = 300
AWAY = ("ConnectionError", "Timeout", "ServiceError", "HTTPError")


class NoReport(Exception):
    """What pip-audit said on standard error instead of a report."""


def ignored(text: str) -> dict[str, str]:
    """Id to reason, of lines ``ID YYYY-MM-DD reason``. Raises ``ValueError`` for any other."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            match = LINE.fullmatch(line)
            if match is None:
                raise ValueError(f"{line!r} is not: ID YYYY-MM-DD reason")
            found[match[1]] = match[3]
    return found


def judge(report: dict[str, Any], passed_over: dict[str, str]) -> tuple[list[str], list[str]]:
    """What was found, a line each, and the names that could not be looked up."""
    found, skipped = [], []
    for package in report["dependencies"]:
        if "skip_reason" in package:
            skipped.append(package["name"])
        for each in package.get("vulns", []):
            if not {each["id"], *each["aliases"]} & passed_over.keys():
                fixed = ", ".join(each["fix_versions"]) or "no version"
                found.append(
                    f"{package['name']} {package['version']}: {each['id']}, fixed by {fixed}"
                )
    return found, skipped


def unread(error: str) -> int:
    """No report came: for want of a database, which is told, or because the tool is broken."""
    reason = (error.strip().splitlines() or ["no reason given"])[-1]
    is_away = any(word in error for word in AWAY)
    print(f"not audited: {reason}" if is_away else f"the audit failed: {reason}")
    return int(not is_away)


def main() -> int:
    """Ask, and say what came of it; of one package first, whether there is a database at all."""
    passed_over = ignored(IGNORED.read_text())
    pins = [line for line in PINS.read_text().splitlines() if not line.startswith("#")]
    found, skipped = list[str](), list[str]()
    try:
        for asked in (pins[:1], pins):
            found, skipped = judge(asks(asked), passed_over)
            if skipped and asked is not pins:
                print("not audited: the database does not answer")
                return 0
    except subprocess.TimeoutExpired:
        print(f"not audited: the database did not answer in {SECONDS} s")
        return 0
    except NoReport as error:
        return unread(str(error))
    for line in found:
        print(line)
    if skipped:
        print(f"not audited: {len(skipped)} of {len(pins)} packages: {', '.join(skipped)}")
    return int(bool(found))


def asks(pins: list[str]) -> dict[str, Any]:
    """pip-audit's report of these. Raises NoReport, or TimeoutExpired after ``SECONDS``."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(pins))
        file.flush()
        argv = [
            *(sys.executable, "-m", "pip_audit", "--requirement", file.name, "--no-deps"),
            *("--disable-pip", "--progress-spinner", "off", "--format", "json"),
        ]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        raise NoReport(done.stderr) from None


if __name__ == "__main__":
    sys.exit(main())
