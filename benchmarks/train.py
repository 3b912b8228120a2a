"""`retrace bench train`: seconds per rebuild, warm and cold, over sizes, beside a peer."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from benchmarks import child, machine, past, train_table
from benchmarks.rebuild import EVERY
from benchmarks.reported import teller
from gateway.numerals import grouped
from ops import evaluate, local
from ops.terminal import out
from schemas.settings import Settings

PEER_ROWS = 700
PARTS = ("load", "select", "fit", "export")


@dataclass(frozen=True)
class Asked:
    """The command's options."""

    sizes: Sequence[int]
    repeats: int
    peer_epochs: int
    data: Path | None


def run(asked: Asked, *, as_json: bool) -> None:
    """Measure and report."""
    settings = local.settings()
    known = None if asked.data is None else evaluate.read(asked.data)
    with tempfile.TemporaryDirectory() as folder:
        file = None
        if known is not None:
            file = Path(folder) / "history.npz"
            past.save(known, file)
        report = measure(asked, settings, file, len(known) if known is not None else 0)
    if as_json:
        typer.echo(json.dumps(report))
    else:
        out().print(train_table.view(report))


def measure(asked: Asked, settings: Settings, file: Path | None, rows: int) -> dict[str, Any]:
    """The object that is printed; ``file`` holds this many rows."""
    found = machine.facts()
    sizes = [_size(job(settings, n, asked.repeats, file, rows)) for n in sorted(set(asked.sizes))]
    few = min(sizes[0]["rows"], PEER_ROWS)
    asks = job(settings, few, 0, file, rows) | {"epochs": asked.peer_epochs}
    peer = child.run("benchmarks.padded_prefix", asks, teller("padded prefixes"))
    return {
        "bench": "train",
        "machine": found,
        "settings": {name: asks[name] for name in ("threads", "train_rows", "arch", "seed")}
        | {"epochs": settings.train_epochs},
        "sizes": sizes,
        "peer": peer,
        "ratio": ratio(sizes[0], peer),
    }


def job(
    settings: Settings, rows: int, repeats: int, file: Path | None, held: int
) -> dict[str, Any]:
    """What a measuring process is told; rows that the file does not hold are simulated."""
    enough = file is not None and rows + EVERY * repeats <= held
    return {
        "rows": rows,
        "repeats": repeats,
        "file": str(file) if enough else None,
        "database": settings.database_url.get_secret_value(),
        "seed": settings.seed,
        "arch": settings.train_arch,
        "epochs": settings.train_epochs,
        "threads": settings.train_threads,
        "train_rows": settings.train_rows,
    }


def ratio(size: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    """How many times as long the peer takes; nothing where it was measured on fewer rows."""
    same = size["rows"] == peer["rows"]
    own = {"warm": size["warm_seconds"]["median"], "cold": size["cold_seconds"]}
    times = {
        f"peer_over_{name}": round(peer["seconds"] / seconds, 1) if same else None
        for name, seconds in own.items()
    }
    return {"rows": peer["rows"]} | times


def summary(measured: dict[str, Any]) -> dict[str, Any]:
    """What is printed of one size: figures first, every request behind them."""
    warm = measured["warm"]
    seconds = [request["seconds"] for request in warm]
    return {
        "rows": measured["rows"],
        "learned": measured["learned"],
        "learners": measured["learners"],
        "data": measured["data"],
        "history": measured["history"],
        "cold_seconds": measured["cold"]["seconds"],
        "warm_seconds": {
            "median": round(statistics.median(seconds), 4),
            "min": min(seconds),
            "max": max(seconds),
            "cpu": round(statistics.median(request["cpu"] for request in warm), 4),
        },
        "warm_from_nothing": sum(request["from_nothing"] for request in warm),
        "warm_parts": {
            part: round(statistics.median(request[part] for request in warm), 4) for part in PARTS
        },
        **{name: measured[name] for name in ("import_seconds", "peak_mib", "before_mib", "load")},
        "cold": measured["cold"],
        "warm": warm,
    }


def _size(asks: dict[str, Any]) -> dict[str, Any]:
    return summary(child.run("benchmarks.rebuild", asks, teller(f"{grouped(asks['rows'])} rows")))
