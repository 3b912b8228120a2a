"""`retrace simulate` on a terminal: signals, a progress bar, and one line at the end."""

from __future__ import annotations

import json
import signal
import threading

import typer

from gateway.numerals import grouped, plural
from ops.simulate import Plan, Published, Simulation
from ops.terminal import progress
from schemas.settings import Settings


def run(settings: Settings, plan: Plan, *, as_json: bool) -> None:
    """Simulate until the plan is done, or SIGINT or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with progress() as bars:
        bar = bars.add_task("tasks completed", total=total(plan))

        def advance(published: Published) -> None:
            bars.update(bar, completed=published.completions)

        facts = Simulation(settings, plan, stop, advance).run()
    typer.echo(json.dumps(facts) if as_json else words(facts))


def total(plan: Plan) -> int | None:
    """How many completions it will be, as far as that is known."""
    by_time = int(plan.rate * plan.seconds) if plan.rate and plan.seconds else None
    known = [number for number in (plan.completions, by_time) if number is not None]
    return min(known, default=None)


def words(facts: dict[str, object]) -> str:
    completions, duplicates, requests = (
        int(str(facts[name])) for name in ("completions", "duplicates", "prediction_requests")
    )
    return (
        f"Published {plural(completions, 'completion')}, {plural(duplicates, 'duplicate')} and "
        f"{grouped(requests)} prediction requests in {facts['seconds']} s."
    )
