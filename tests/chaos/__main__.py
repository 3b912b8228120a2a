"""``make chaos``: the counting guarantees under fire, on an own Kafka and PostgreSQL.

``CHAOS_SEED`` (1), ``CHAOS_SECONDS`` of load (130; more is a soak, with completions in proportion),
``CHAOS_COMPLETIONS``, ``CHAOS_ACTS`` (fire,restored,emptied,newkafka,everything) and
``CHAOS_FAULTS`` (all).
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from schemas.errors import ConfigurationError
from tests.chaos import asked
from tests.chaos.act import Verdict
from tests.chaos.asked import Asked
from tests.chaos.everything import everything
from tests.chaos.journal import Journal
from tests.chaos.scenes import SCENES, fire
from tests.chaos.stage import Stage, staged
from tests.chaos.table import show
from tests.chaos.threefold import Threefold


def main() -> int:
    """Run the acts; 0 where every check holds, 2 where the question makes no sense."""
    if sys.argv[1:]:
        print(__doc__)
        return 2
    try:
        wanted = asked.load()
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix=f"retrace-chaos-{wanted.seed}-"))
    journal = Journal(folder / "journal.jsonl")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was mounted and started goes
    begun = time.monotonic()
    verdicts: list[Verdict] = []
    try:
        small = [name for name in wanted.acts if name != asked.WHOLE]
        if small:
            with staged(Stage(folder, journal)) as stage:
                for name in small:
                    verdicts.append(_act(name, wanted, stage, journal))
        if asked.WHOLE in wanted.acts:
            (folder / asked.WHOLE).mkdir()
            with staged(Threefold(folder / asked.WHOLE, journal)) as whole:
                journal.faults.clear()
                verdicts.append(everything(wanted.seed, whole, journal, *wanted.everything))
    finally:
        show(verdicts, Console(width=130))
        for pattern in ("kafka", "postgres"):
            for data in [*folder.rglob(f"{pattern}/data"), *folder.rglob(f"{pattern}/backup")]:
                shutil.rmtree(data, ignore_errors=True)
        for data in folder.rglob("kafka/node-*/data"):
            shutil.rmtree(data, ignore_errors=True)
        seconds = time.monotonic() - begun
        print(f"seed {wanted.seed}, {seconds:.0f} s; journal and logs in {folder}")
    return 0 if all(verdict.ok for verdict in verdicts) else 1


def _act(name: str, wanted: Asked, stage: Stage, journal: Journal) -> Verdict:
    if name != "fire":
        return SCENES[name](wanted.seed, stage, journal)
    return fire(wanted.seed, stage, journal, *wanted.fire)


if __name__ == "__main__":
    sys.exit(main())
