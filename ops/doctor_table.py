"""The doctor's findings on a terminal, each as soon as it is known."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from gateway.numerals import plural
from ops.findings import Check
from ops.terminal import err, out

MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "bold red")}


def is_well(found: Iterable[Check]) -> bool:
    """Whether nothing fails."""
    return all(check.state != "fail" for check in found)


def text(check: Check) -> Text:
    mark, style = MARKS[check.state]
    shown = Text.assemble((f"{mark} ", style), f"{check.name:<14}", check.detail)
    if check.advice:
        shown.append(f"\n{'':<16}→ {check.advice}", style="dim")
    return shown


def show(checks: Iterable[Check]) -> list[Check]:
    """Print each check when it is done, then the sum; all of them."""
    console, found = out(), list[Check]()
    with err().status("checking", spinner="dots"):
        for check in checks:
            console.print(text(check))
            found.append(check)
    console.print(summary(found))
    return found


def summary(found: Iterable[Check]) -> Text:
    states = [check.state for check in found]
    failures, warnings = states.count("fail"), states.count("warn")
    if not failures and not warnings:
        return Text("All is well.", style="green")
    words = f"{plural(failures, 'failure')}, {plural(warnings, 'warning')}."
    return Text(words, style="red" if failures else "yellow")
