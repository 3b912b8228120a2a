"""``make chaos``: the counting guarantees under fire, on an own Kafka and PostgreSQL.

``CHAOS_SEED`` (1), ``CHAOS_SECONDS`` of load (130; more is a soak, with completions in proportion),
``CHAOS_COMPLETIONS``, ``CHAOS_ACTS`` (fire,restored,emptied,newkafka) and ``CHAOS_FAULTS`` (all).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.chaos.act import Verdict
from tests.chaos.journal import Journal
from tests.chaos.plan import FAULTS
from tests.chaos.scenes import SCENES, fire
from tests.chaos.stage import Stage, staged
from tests.chaos.table import show

SECONDS, COMPLETIONS = 130.0, 20_000


def main() -> int:
    """Run the acts; 0 where every check holds."""
    seed = int(os.environ.get("CHAOS_SEED", "1"))
    folder = Path(tempfile.mkdtemp(prefix=f"retrace-chaos-{seed}-"))
    journal = Journal(folder / "journal.jsonl")
    begun = time.monotonic()
    verdicts: list[Verdict] = []
    try:
        with staged(folder, journal) as stage:
            for name in os.environ.get("CHAOS_ACTS", ",".join(["fire", *SCENES])).split(","):
                verdicts.append(_act(name, seed, stage, journal))
    finally:
        show(verdicts, Console(width=130))
        for server in ("kafka", "postgres"):
            for data in ("data", "backup"):
                shutil.rmtree(folder / server / data, ignore_errors=True)
        print(f"seed {seed}, {time.monotonic() - begun:.0f} s; journal and logs in {folder}")
    return 0 if all(verdict.ok for verdict in verdicts) else 1


def _act(name: str, seed: int, stage: Stage, journal: Journal) -> Verdict:
    if name != "fire":
        return SCENES[name](seed, stage, journal)
    seconds = float(os.environ.get("CHAOS_SECONDS", SECONDS))
    scaled = round(COMPLETIONS * max(1.0, seconds / SECONDS))
    completions = int(os.environ.get("CHAOS_COMPLETIONS", scaled))
    kinds = os.environ.get("CHAOS_FAULTS", ",".join(FAULTS))
    return fire(seed, stage, journal, completions, seconds, tuple(filter(None, kinds.split(","))))


if __name__ == "__main__":
    sys.exit(main())
