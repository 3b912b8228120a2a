"""`retrace models` for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from gateway.numerals import ago, grouped

PEERS = (("", "this version"), ("serving", "served then"), ("lnirt", "LNIRT"),
         ("topic_difficulty", "topic × difficulty"))  # fmt: skip
METRICS = (
    "rows", "log_loss", "auc", "accuracy", "brier", "ece", "mae_seconds", "log_rmse", "coverage_80",
)  # fmt: skip


def listed(found: dict[str, Any]) -> Table | str:
    """A line a version."""
    if not found["versions"]:
        return "No version yet: one is trained at every fifth completion, or by `retrace train`."
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("version", "state", "trained", "learned", "rows", "log loss", "AUC", "LNIRT",
                 "topic × difficulty", "against the best"):  # fmt: skip
        left = name in ("state", "trained", "against the best")
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    for each in found["versions"]:
        scores = each["metrics"]
        table.add_row(
            str(each["version"]), _state(each, found), ago(each["trained_at"], datetime.now(UTC)),
            grouped(each["completions"]), grouped(scores["rows"]), _number(scores["log_loss"]),
            _number(scores["auc"]), _peer(scores, "lnirt"), _peer(scores, "topic_difficulty"),
            _against(each["gate"] or {}),
        )  # fmt: skip
    return table


def one(found: dict[str, Any]) -> Table:
    """All of a version, a line each."""
    grid = Table.grid(padding=(0, 3))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    state = _state(found, {"serving": found["version"] if found["serves"] else 0, **found})
    names = ("users", "topics", "difficulties")
    counts = ", ".join(f"{grouped(found[name])} {name}" for name in names)
    grid.add_row("version", Text.assemble(str(found["version"]), " ", state))
    if found["reason"]:
        grid.add_row("reason", found["reason"])
    grid.add_row("trained", f"{found['trained_at']} for {found['request_id']}")
    grid.add_row("learned", f"{grouped(found['completions'])} completions, {counts}")
    grid.add_row("scores", _scores(found["metrics"]))
    grid.add_row("gate", _gate(found["gate"]) or "–")
    served = [f"{each['at']}  revision {each['revision']}, {each['cause']}"
              for each in found["revisions"]]  # fmt: skip
    grid.add_row("served from", "\n".join(served) or "never")
    grid.add_row("files", _files(found))
    grid.add_row("sha-256", found["sha256"])
    return grid


def _scores(metrics: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("")
    for name in METRICS:
        table.add_column(name.replace("_", " "), justify="right")
    for key, words in PEERS:
        scores = metrics.get(key) if key else metrics
        if scores:
            table.add_row(words, *(_number(scores.get(name)) for name in METRICS))
    return table


def _files(found: dict[str, Any]) -> Text:
    files = found["files"]
    if "problem" in files:
        return Text(files["problem"], style="red")
    lines = [f"{found['artifact']}/{name}  {grouped(size)} bytes" for name, size in files.items()]
    return Text("\n".join(lines))


def _state(each: dict[str, Any], found: dict[str, Any]) -> Text:
    if each["version"] == found["serving"]:
        return Text("● serves, held" if found["held"] else "● serves", style="green")
    if each["removed_at"]:
        return Text(f"{each['state']}, removed", style="dim")
    return Text(each["state"], style="red" if each["state"] == "rejected" else "default")


def _gate(gate: dict[str, Any] | None) -> str:
    """How it compared with the best then."""
    if gate is None:
        return ""
    best = ", best" if gate["best"] else ""
    if gate["against"] is None:
        return f"nothing to compare with{best}"
    if gate["difference"] is None:
        return f"only {gate['rows']} rows to compare with v{gate['against']}"
    return (
        f"{gate['difference']:+.4f} against v{gate['against']} on {grouped(gate['rows'])} rows "
        f"({gate['low']:+.4f} to {gate['high']:+.4f}){best}"
    )


def _against(gate: dict[str, Any]) -> str:
    """The difference to the best version in a word; `show` has the rest."""
    if gate.get("difference") is None:
        return "best so far" if gate.get("best") else ""
    return f"{gate['difference']:+.4f} to v{gate['against']}" + (", best" if gate["best"] else "")


def _peer(scores: dict[str, Any], name: str) -> str:
    return _number((scores.get(name) or {}).get("log_loss"))


def _number(value: float | int | None) -> str:
    if value is None:
        return "–"
    return grouped(value) if isinstance(value, int) else f"{value:.3f}"
