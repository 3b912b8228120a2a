"""The tables that a run ends with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from tests.chaos.act import Verdict
from tests.chaos.judge import Check
from tests.chaos.progress import all_progress, alone, next_progress


def show(verdicts: list[Verdict], console: Console) -> None:
    """Faults of the fire; then a row for each act; then what did not hold."""
    for verdict in verdicts:
        if verdict.faults:
            console.print(_faults(verdict))
    console.print(_acts(verdicts))
    for verdict in verdicts:
        if "asked" in verdict.facts:
            console.print(_promises(verdict))
    for verdict in verdicts:
        for check in verdict.checks:
            if not check.ok:
                console.print(
                    f"{verdict.act}: {check.name}: {check.missing} missing, {check.extra} "
                    f"unasked; {check.detail}",
                    style="red", markup=False,
                )  # fmt: skip


def _faults(verdict: Verdict) -> Table:
    table = Table(title=f"Faults ({verdict.act}); the worst of each in seconds")
    columns = (
        "fault", "done", "lasted", "begin to next number", "alone: end to next number",
        "alone: end to every partition",
    )  # fmt: skip
    for column in columns:
        table.add_column(column, justify="left" if column == "fault" else "right")
    kinds = Counter(fault.kind for fault in verdict.faults)
    skipped = Counter(verdict.facts.get("skipped", ()))
    for kind in sorted(kinds | skipped):
        done = [fault for fault in verdict.faults if fault.kind == kind]
        table.add_row(
            kind,
            f"{kinds[kind]}" + (f" ({skipped[kind]} refused)" if skipped[kind] else ""),
            _worst(fault.ended - fault.began for fault in done),
            _worst(next_progress(verdict.samples, fault.began) for fault in done),
            _worst(alone(verdict.faults, verdict.samples, done, next_progress)),
            _worst(alone(verdict.faults, verdict.samples, done, all_progress)),
        )
    return table


def _worst(seconds: Iterable[float | None]) -> str:
    """The longest; after the load's last message nothing comes any more."""
    known = [one for one in seconds if one is not None]
    return f"{max(known):.1f}" if known else "–"


def _acts(verdicts: list[Verdict]) -> Table:
    table = Table(title="Acts")
    columns = (
        "act", "events", "recorded", "lost", "doubled", "requests", "missing", "dead letters",
        "missing", "in windows", "worst recovery", "checks",
    )  # fmt: skip
    for column in columns:
        table.add_column(column, justify="left" if column == "act" else "right")
    for verdict in verdicts:
        table.add_row(*_row(verdict))
    return table


def _promises(verdict: Verdict) -> Table:
    """Of the whole system: what was asked of it beside completions, and what became of that."""
    table = Table(title=f"Answers and trainings ({verdict.act})", show_header=False)
    checks, facts = {check.name: check for check in verdict.checks}, verdict.facts
    spread = facts["answer_seconds"], facts["post_seconds"]
    answers, posts = (", ".join(f"{n} {s:.2f} s" for n, s in each.items()) for each in spread)
    ends = ", ".join(f"{count:,} {state}" for state, count in facts["trainings"].items())
    for name, words in (
        ("predictions asked", f"{facts['asked']:,}; {answers}"),
        ("unanswered", str(checks["answered"].missing)),
        ("without a model", f"{facts['without_model']:,} (default, as after a start)"),
        ("stale revision served", str(checks["stale revision"].extra)),
        ("damaged version served", str(checks["damaged served"].extra)),
        ("revisions", f"{facts['revisions']:,}; latest served after {facts['latest']:.1f} s"),
        ("train-requests", ends),
        ("without an outcome, with two", _both(checks["ended once"])),
        ("trained twice", str(checks["trained once"].extra)),
        ("learners forgotten", f"{facts['forgotten']}; rows left {checks['erased'].extra}"),
        ("claims over HTTP", f"{facts['claims']:,}; a task: {posts}"),
        ("claims lost or changed", str(checks["claims kept"].missing)),
    ):
        table.add_row(name, words)
    return table


def _both(check: Check) -> str:
    return f"{check.missing}, {check.extra}"


def _row(verdict: Verdict) -> list[str]:
    checks = {check.name: check for check in verdict.checks}
    evidence = verdict.evidence
    worst = alone(verdict.faults, verdict.samples, verdict.faults, next_progress)
    failed = sum(not check.ok for check in verdict.checks)
    requests = {r["request_id"] for r in evidence.requests if r["trigger"] == "count"}
    return [
        verdict.act,
        f"{len(evidence.log):,}",
        f"{len(evidence.rows):,}",
        f"{checks['recorded once'].missing}",
        f"{doubled(checks)}",
        f"{len(requests):,}",
        f"{checks['requested'].missing}",
        f"{len(evidence.letters):,}",
        f"{checks['dead letters'].missing}",
        f"{evidence.counter.windows.total:,}",
        _worst(worst),
        f"{failed} failed" if failed else f"{len(checks)} hold",
    ]


def doubled(checks: dict[str, Check]) -> int:
    """Completions in store or counter more often than they happened."""
    return checks["recorded once"].extra + checks["windows = N"].extra
