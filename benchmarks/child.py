"""Measurements in processes of their own, so that cold is cold and memory is one measurement's.

A job goes in as JSON on standard input, since it may hold a database's password; progress and the
result come back as lines of JSON. The work runs beside the main thread, as the trainer's does:
OpenMP counts threads for each of them anew.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any

from schemas.errors import RetraceError

Tell = Callable[[str], None]
Work = Callable[[dict[str, Any], Tell], dict[str, Any]]


class MeasurementFailed(RetraceError):
    """A measuring process ended without a result."""


def run(module: str, job: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """What ``module``'s ``serve`` makes of a job. Raises MeasurementFailed with its last words."""
    with tempfile.TemporaryFile("w+") as errors:
        command = [sys.executable, "-m", module]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process:
            try:
                result = _converse(process, job, tell)
            except BaseException:
                process.kill()
                raise
        if result is None:
            errors.seek(0)
            raise MeasurementFailed(f"{module} ended with {process.returncode}: {_last(errors)}")
    return result


def serve(work: Work) -> None:
    """Do the job on standard input; the other end of ``run``."""
    job, done = json.load(sys.stdin), list[dict[str, Any]]()

    def say(**line: Any) -> None:
        print(json.dumps(line), flush=True)

    def measure() -> None:
        done.append(work(job, lambda words: say(told=words)))

    thread = threading.Thread(target=measure, name="training")
    thread.start()
    thread.join()
    if not done:
        sys.exit(1)
    say(result=done[0])


def _converse(
    process: subprocess.Popen[str], job: Mapping[str, Any], tell: Tell
) -> dict[str, Any] | None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(job))
    process.stdin.close()
    result = None
    for line in process.stdout:
        said = json.loads(line)
        if "told" in said:
            tell(said["told"])
        result = said.get("result", result)
    return result


def _last(errors: IO[str]) -> str:
    lines = [line.strip() for line in errors if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
