"""PURE: what the page of practice says of a prediction, an outcome and the counter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.practice import Task
from gateway.ranking import Practised

SOURCES = {"lstm": "the networks", "lnirt": "LNIRT", "default": "the default"}
ENDS = {
    "running": "it runs now",
    "waiting": "it waits for the trainer",
    "superseded": "a later request took its place",
    "rejected": "it ended without a new version",
    "failed": "it failed",
}


def seconds(value: float) -> str:
    """12.3 s, 24 s, 5 min 10 s."""
    if value < 9.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 2:
        return f"{round(value)} s"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def percent(probability: float) -> str:
    return f"{probability * 100:.0f} %"


def interval(task: Task) -> str:
    """The 80 % interval of the seconds."""
    low, high = task.seconds_low, task.seconds_high
    return "" if low is None or high is None else f"80 %: {seconds(low)} to {seconds(high)}"


def origin(task: Task) -> str:
    """What answered, and why that."""
    reason = "no prediction came in time" if task.reason == "timeout" else task.reason
    if task.model_version is None:
        return f"The default, without a model: {reason}."
    source = SOURCES.get(task.source or "", "")
    return f"From {source} ({task.source}), version {task.model_version}: {reason}."


def outcome(task: Task) -> str:
    """How a completed task went, beside what was predicted of it."""
    taken, low, high = task.actual_time_seconds or 0.0, task.seconds_low, task.seconds_high
    if task.predicted_correct is None or low is None or high is None:
        return "Nothing was predicted."
    where = "below" if taken < low else "above" if taken > high else "within"
    return (
        f"Right was predicted with {percent(task.predicted_correct)}; "
        f"{seconds(taken)} is {where} the 80 % interval of {seconds(low)} to {seconds(high)}."
    )


@dataclass(frozen=True)
class Dots:
    """``filled`` of ``every``; at the last one a training is asked for, and the next is the first
    again. ``asked_at`` is the completion that it was asked for at, 0 before the first."""

    filled: int
    every: int
    asked_at: int
    total: int

    @classmethod
    def of(cls, counter: Mapping[str, int]) -> Dots:
        """From the counter as the store has it."""
        total, since, every = (
            counter[name] for name in ("completions", "since_last_request", "every")
        )
        return cls(every if total and not since else since, every, total - since, total)

    def words(self) -> str:
        """What the dots show."""
        done = "1 completion" if self.total == 1 else f"{self.total} completions"
        if self.filled == self.every:
            return f"{done}: training asked for"
        return f"{done}: {self.filled} of {self.every} until the next training is asked for"


def training(asked_at: int, request: Mapping[str, object] | None) -> str:
    """What became of the train-request of a completion."""
    if not asked_at:
        return "No training has been asked for yet."
    began = f"Training asked for at completion {asked_at}"
    if request is None:
        return f"{began}; the trainer has not taken it up yet."
    if request["state"] == "published":
        return f"{began}: version {request['version']} was published."
    return f"{began}: {ENDS.get(str(request['state']), request['state'])}."


def recorded(number: int, every: int) -> str:
    """The number that a completion got, and what follows from it."""
    if number % every == 0:
        return f"This is completion {number}: training asked for."
    return f"This is completion {number}."


def so_far(done: Mapping[tuple[str, str], Practised], remembered: int) -> str:
    """How much a learner has practised."""
    tasks = sum(past.tasks for past in done.values())
    if not tasks:
        return "New: no task completed yet"
    if tasks >= remembered:
        return f"{remembered} tasks and more so far"
    return "1 task so far" if tasks == 1 else f"{tasks} tasks so far"
