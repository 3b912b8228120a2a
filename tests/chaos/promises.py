"""PURE: what the contract promises of trainings, serving and answers, checked on what was seen."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from tests.chaos.judge import Check

ENDED = ("published", "superseded", "rejected", "failed")
# From an announcement until every process serves it; longer than any start or election takes.
GRACE = timedelta(seconds=20)
Event = Mapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """What came of a run: events as dicts, in the order of their topics.

    ``claims``: the task as PATCH told it, by id; ``rows`` the store's, ``logged`` the log's events
    of these tasks; ``announced``: when each revision was heard, and of which version; ``causes``:
    the revisions with what made them; ``broken``: versions whose files were damaged, from when to
    when; ``revisions``: process and revision, as served; ``versions``: how many of each request;
    ``forgotten``: since when a learner is.
    """

    asked: Mapping[str, datetime]
    predictions: Sequence[Event]
    requests: Sequence[Event]
    progress: Sequence[Event]
    outcomes: Mapping[str, str]
    learned: Mapping[str, int]
    claims: Mapping[str, Event]
    rows: Mapping[str, tuple[object, ...]]
    logged: Sequence[Event]
    given_up: Sequence[str]
    announced: Sequence[tuple[datetime, int, int]]
    causes: Sequence[tuple[int, int, str]]
    broken: Sequence[tuple[int, datetime, datetime]]
    revisions: Sequence[tuple[int, int]]
    versions: Mapping[str, int]
    forgotten: Mapping[str, datetime] = field(default_factory=dict)


def carried_out(skipped: Iterable[str], done: Iterable[str]) -> Check:
    """Every kind of fault was done once: what holds without its fault says nothing of it."""
    never = set(skipped) - set(done)
    return Check("faults done", len(never), detail=_some(never))


def examine(seen: Seen) -> list[Check]:
    """Every check."""
    return [check(seen) for check in CHECKS]


def answered(seen: Seen) -> Check:
    """Every prediction-request has a prediction."""
    found = {one["request_id"] for one in seen.predictions}
    missing = seen.asked.keys() - found
    return Check("answered", len(missing), detail=_some(missing))


def claimed(seen: Seen) -> Check:
    """What PATCH said is done is in the log, the same each time, and in the store once."""
    logged: dict[str, set[str]] = defaultdict(set)
    for event in seen.logged:
        logged[event["task_id"]].add(str(_claim(event)))
    wrong = [
        task_id
        for task_id, told in seen.claims.items()
        if logged[task_id] != {str(_claim(told))} or seen.rows.get(task_id) != _claim(told)
    ]
    return Check("claims kept", len(wrong) + len(seen.given_up), detail=_some(wrong))


def ended(seen: Seen) -> Check:
    """Every train-request has one outcome, told and kept."""
    told: dict[str, set[str]] = defaultdict(set)
    for event in seen.progress:
        if event["state"] in ENDED:
            told[event["request_id"]].add(event["state"])
    asked = {request["request_id"] for request in seen.requests}
    missing = {name for name in asked if not told[name]}
    several = {
        name for name, states in told.items()
        if len(states) > 1 or seen.outcomes.get(name) not in states
    }  # fmt: skip
    return Check("ended once", len(missing), len(several), _some(missing | several))


def trained_once(seen: Seen) -> Check:
    """No training begins of a request that has ended, and of each there is one version at most."""
    over, again = set[str](), list[str]()
    for event in seen.progress:
        if event["state"] in ENDED:
            over.add(event["request_id"])
        elif event["state"] == "started" and event["request_id"] in over:
            again.append(event["request_id"])
    again += [name for name, count in seen.versions.items() if count > 1]
    return Check("trained once", extra=len(again), detail=_some(again))


def superseded(seen: Seen) -> Check:
    """Only a count request gives way, and only to a count request for more."""
    wrong = []
    for event in seen.progress:
        if event["state"] == "superseded":
            name, by = event["request_id"], str(event.get("reason")).split(" ")[0]
            if not (_count(by) > _count(name) > 0):
                wrong.append(f"{name} by {by}")
    return Check("superseded by more", extra=len(wrong), detail=_some(wrong))


def learned(seen: Seen) -> Check:
    """A version has learned from at least the completions that its request counted."""
    wanted = {one["request_id"]: one["completions"] for one in seen.requests}
    less = [name for name, upto in seen.learned.items() if upto < wanted.get(name, 0)]
    return Check("learned enough", len(less), detail=_some(less))


def newest_serves(seen: Seen) -> Check:
    """No process goes back a revision, and none answers by one that was replaced long ago."""
    back, last = 0, dict[int, int]()
    for process, revision in seen.revisions:
        back += revision < last.get(process, 0)
        last[process] = max(revision, last.get(process, 0))
    stale = [one["request_id"] for one in seen.predictions if _is_stale(seen, one)]
    return Check("stale revision", extra=back + len(stale), detail=_some(stale))


def _is_stale(seen: Seen, prediction: Event) -> bool:
    at = datetime.fromisoformat(prediction["predicted_at"])
    served = prediction["model_revision"]
    due = [
        revision
        for heard, revision, version in seen.announced
        if heard + GRACE < at and not _is_broken(seen, version, at - GRACE, at)
    ]
    return served is not None and served < max(due, default=0)


def held(seen: Seen) -> Check:
    """After a rollback nothing serves but by its release."""
    causes = [cause for _, _, cause in sorted(seen.causes)]
    wrong = [
        f"{before}, {after}"
        for before, after in pairwise(causes)
        if before in ("rollback", "promote") and after not in ("release", "rollback", "promote")
    ]
    return Check("rollback holds", extra=len(wrong), detail=_some(wrong))


def damaged(seen: Seen) -> Check:
    """No version answers while its files are damaged."""
    served = [
        one["request_id"]
        for one in seen.predictions
        if (version := one["model_version"]) is not None
        and (at := datetime.fromisoformat(one["predicted_at"]))
        and _is_broken(seen, version, at, at)
    ]
    return Check("damaged served", extra=len(served), detail=_some(served))


def unheld(seen: Seen) -> Check:
    """A forgotten learner is answered without a history."""
    from_it = [
        one["request_id"]
        for one in seen.predictions
        if (since := seen.forgotten.get(one["user_id"]))
        and datetime.fromisoformat(one["predicted_at"]) > since + GRACE
        and one["history_length"]
    ]
    return Check("not held", extra=len(from_it), detail=_some(from_it))


CHECKS: tuple[Callable[[Seen], Check], ...] = (
    answered, claimed, ended, trained_once, superseded, learned, newest_serves, held, damaged,
    unheld,
)  # fmt: skip


def _is_broken(seen: Seen, version: int, begin: datetime, end: datetime) -> bool:
    return any(
        broken == version and since <= end and begin <= until
        for broken, since, until in seen.broken
    )


def _claim(task: Event) -> tuple[object, ...]:
    at = datetime.fromisoformat(str(task["completed_at"]))
    return (task["user_id"], task["is_correct"], float(task["actual_time_seconds"]), at)


def _count(name: str) -> int:
    number = name.removeprefix("count-")
    return int(number) if number != name and number.isdigit() else 0


def latencies(seen: Seen) -> list[float]:
    """Seconds from the first sending to the first answer, ascending."""
    first: dict[str, float] = {}
    for one in seen.predictions:
        asked = seen.asked.get(one["request_id"])
        if asked is not None:
            seconds = (datetime.fromisoformat(one["predicted_at"]) - asked).total_seconds()
            first[one["request_id"]] = min(seconds, first.get(one["request_id"], seconds))
    return sorted(first.values())


def latest(seen: Seen) -> float:
    """The longest from an announcement to the last answer by an older revision, in seconds."""
    longest = 0.0
    answers = sorted(
        (datetime.fromisoformat(one["predicted_at"]), one["model_revision"])
        for one in seen.predictions
        if one["model_revision"] is not None
    )
    for heard, revision, _ in seen.announced:
        older = (at for at, served in reversed(answers) if served < revision)
        last = next(older, heard)
        longest = max(longest, (last - heard).total_seconds())
    return longest


def tally(seen: Seen) -> Counter[str]:
    """How the train-requests ended."""
    return Counter(seen.outcomes.values())


def _some(names: object) -> str:
    found = sorted(map(str, names))  # type: ignore[call-overload]
    return ", ".join(found[:5]) + (f" … {len(found)} in all" if len(found) > 5 else "")
