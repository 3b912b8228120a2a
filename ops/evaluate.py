"""`retrace evaluate`: a CSV file's completions through a protocol, and one object of figures.

What is wrong with the question is said before the hours of work, not after them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import typer
from threadpoolctl import threadpool_limits

from ops import evaluate_table, import_run, importer
from ops.terminal import out, progress
from schemas.errors import UsageError
from schemas.events import TaskCompleted
from schemas.history import History
from training import bootstrap, contenders, evaluate, metrics, protocols


@dataclass(frozen=True)
class Evaluation:
    """What is asked: the command's options."""

    data: Path
    protocol: str
    model: str
    seed: int
    arch: str
    every: int
    learners: int
    streams: int
    bootstrap: int
    bins: bool
    plot: Path | None


def run(asked: Evaluation, *, as_json: bool) -> None:
    """Evaluate and report. Raises UsageError for what cannot be evaluated."""
    threadpool_limits(1)  # Many small fits: a second thread would only wait for the first.
    make = contenders.maker(asked.model, asked.seed, asked.arch)
    if asked.plot is not None:
        require_writable(asked.plot)
    data = read(asked.data)
    plan = plan_of(asked, data)
    with progress() as bars:

        def bar(words: str, total: int) -> Callable[[int], None]:
            task = bars.add_task(words, total=total)
            return lambda done: bars.update(task, completed=done)

        answers = evaluate.run(plan, make, bar("tasks predicted", plan.rows))
        report = report_of(asked, data, answers)
        if asked.bootstrap:
            advance = bar("resamples", asked.bootstrap)
            report["intervals"] = bootstrap.intervals(answers, asked.bootstrap, asked.seed, advance)
    if asked.plot is not None:
        from ops import evaluate_plot

        evaluate_plot.draw(asked.plot, report, answers)
    if as_json:
        typer.echo(json.dumps(report))
    else:
        out().print(evaluate_table.view(report))


def require_writable(path: Path) -> None:
    """Raises UsageError where a file could not be written there."""
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: it is a folder, or its folder is missing.")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"{path} cannot be written: permission denied.")


def read(path: Path) -> History:
    """A file's good rows in the order of their completion; the others are reported."""
    rows = importer.load(path, datetime.now(UTC))
    import_run.report_bad(rows.bad)
    if not rows.tasks:
        raise UsageError(f"{path} has no row that can be evaluated.")
    return history_of(rows.tasks)


def history_of(tasks: list[TaskCompleted]) -> History:
    """Events as the store's columns, numbered in this order."""

    def column(of: Callable[[TaskCompleted], Any], dtype: type) -> Any:
        return np.array([of(task) for task in tasks], dtype=dtype)

    return History(
        numbers=np.arange(1, len(tasks) + 1),
        users=column(lambda task: task.user_id, object),
        topics=column(lambda task: task.topic, object),
        difficulties=column(lambda task: task.difficulty, object),
        started_at=column(lambda task: task.start().timestamp(), float),
        completed_at=column(lambda task: task.completed_at.timestamp(), float),
        is_correct=column(lambda task: task.is_correct, bool),
        seconds=column(lambda task: task.actual_time_seconds, float),
        timed_out=column(lambda task: bool(task.timed_out), bool),
    )


def plan_of(asked: Evaluation, data: History) -> protocols.Plan:
    if asked.protocol == "user-disjoint":
        return protocols.user_disjoint(data, asked.seed)
    if asked.protocol == "prequential":
        return protocols.prequential(data, asked.every)
    return protocols.small(data, asked.seed, asked.learners, asked.streams)


def report_of(asked: Evaluation, data: History, answers: evaluate.Answers) -> dict[str, Any]:
    """The object that is printed, without intervals."""
    report = {
        "protocol": asked.protocol,
        "model": asked.model,
        **evaluate.figures(answers),
        "seed": asked.seed,
        "data": {"rows": len(data), "learners": len(set(data.users))},
    }
    if asked.bins:
        report["bins"] = metrics.reliability(answers.correct, answers.predictions.p)
    return report
