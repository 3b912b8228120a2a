"""A benchmark on servers, from its start to its report: JSON, or a page for people."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import typer
from rich.console import RenderableType

from benchmarks.child import Tell
from benchmarks.ground import Servers, servers
from ops.interruption import Interruption
from ops.terminal import err, out
from schemas.settings import load

Report = dict[str, Any]


def run(
    measure: Callable[[Servers], Report],
    view: Callable[[Report], RenderableType],
    *,
    as_json: bool,
) -> Report:
    """Measure on both servers, print what came of it, and return it."""
    Interruption()  # SIGTERM, too, leaves nothing behind
    with servers(load(), teller("Kafka")) as on:
        report = measure(on)
    if as_json:
        typer.echo(json.dumps(report))
    else:
        out().print(view(report))
    return report


def teller(about: str = "") -> Tell:
    """Tells of progress on standard error."""
    console, begin = err(), f"{about}: " if about else ""
    return lambda told: console.print(f"{begin}{told}", style="dim")
