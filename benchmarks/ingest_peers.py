"""The peers of ingest: each on the same servers, writing the same rows to a table of one shape.

One that cannot be installed, or does not end, is told as such, and the others go on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from benchmarks import ingest_publish, machine, peer_job, watch
from benchmarks.child import MeasurementFailed, Tell
from benchmarks.ground import Servers, ground
from benchmarks.ingest_own import Case, environment
from benchmarks.ingest_source import Source
from ops.processes import Process
from schemas import tables, topics
from schemas.settings import Settings
from streams import database, declare, kafka

QUIX = "quixstreams==3.28.1"
ROOT = Path(__file__).parents[1]
INSTALL_SECONDS = 600


@dataclass(frozen=True)
class Peer:
    """A module that reads a backlog into the table; ``slow`` ones are given less of it."""

    name: str
    title: str
    module: str
    variant: str = ""
    package: str = ""
    slow: bool = False


ALL = (
    Peer("faust", "plain Faust agent, an event a transaction", "benchmarks.peer_faust", slow=True),
    Peer("quix", "Quix Streams, PostgreSQL sink", "benchmarks.peer_quix", package=QUIX),
    Peer("insert", "bare loop, INSERT a batch", "benchmarks.peer_loop", "insert"),
    Peer("copy", "bare loop, COPY a batch", "benchmarks.peer_loop", "copy"),
)
LOOPS = ("insert", "copy")


def measure(on: Servers, peer: Peer, case: Case, cache: Path, tell: Tell) -> dict[str, Any]:
    """A peer's figures, or why there are none."""
    told = {"name": peer.name, "peer": peer.title, "package": peer.package or None}
    try:
        python = _python(peer, cache, tell)
        return told | _run(on, peer, case, python)
    except MeasurementFailed as failure:
        tell(str(failure))
        return told | {"failed": str(failure)}


def _run(on: Servers, peer: Peer, case: Case, python: str) -> dict[str, Any]:
    with ground(on, case.partitions) as settings:
        engine = database.connect(settings.database_url.get_secret_value(), "bench")
        declare.declare(settings)
        tables.completions.create(engine)
        backlog = Source(case.learners, settings.seed).backlog(case.events, datetime.now(UTC))
        ingest_publish.backlog(settings, backlog)
        load = machine.load()
        process = _process(settings, peer, python)
        with watch.running([process], on.pids) as running:
            timeline = running.until(case.events, lambda: _highest(engine), lambda: None)
            cpu = round(running.cpu()["worker"], 1)
        rows = _rows(engine)
        engine.dispose()
    if rows != case.events:
        raise MeasurementFailed(f"of {case.events} there are {rows}")
    peaks = list(running.peaks.values())
    return {**timeline.figures(), "cpu_seconds": cpu, "peak_mib": peaks, "load": load}


def job(settings: Settings, peer: Peer) -> peer_job.Job:
    """What the peer's process is told."""
    config = kafka.client(settings)
    return peer_job.Job(
        kafka={name: value for name, value in config.items() if not callable(value)},
        topic=settings.topic_prefix + topics.TASK_COMPLETED.name,
        prefix=settings.topic_prefix,
        database=settings.database_url.get_secret_value().replace("+psycopg2", "", 1),
        partitions=settings.kafka_partitions,
        folder=str(settings.data_dir),
        variant=peer.variant,
    )


def _process(settings: Settings, peer: Peer, python: str) -> Process:
    told = {peer_job.VARIABLE: json.dumps(asdict(job(settings, peer))), "PYTHONPATH": str(ROOT)}
    given = environment(settings) | told
    log = settings.data_dir / f"{peer.name}.log"
    return Process(peer.name, [python, "-m", peer.module], given, log, restart=False)


def _python(peer: Peer, cache: Path, tell: Tell) -> str:
    """The interpreter of a peer; its environment is made at the first run."""
    if not peer.package:
        return sys.executable
    folder = cache / peer.package.replace("==", "-")
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        tell(f"installing {peer.package}, once")
        _call([sys.executable, "-m", "venv", str(folder)])
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _call([*pip, peer.package, "psycopg2-binary"])
        done.touch()
    return str(python)


def _call(argv: list[str]) -> None:
    try:
        result = subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MeasurementFailed(f"not installed: {error}") from None
    if result.returncode:
        words = [line for line in result.stderr.splitlines() if line.strip()]
        raise MeasurementFailed(f"not installed: {words[-1][:300] if words else 'no reason'}")


def _highest(engine: Engine) -> int:
    """The peers number what they store, and the index knows the last number at once."""
    with engine.connect() as connection:
        query = text("SELECT coalesce(max(number), 0) FROM completions")
        return int(connection.execute(query).scalar_one())


def _rows(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM completions")).scalar_one())
