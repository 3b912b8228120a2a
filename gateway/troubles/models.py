"""PURE: what is wrong with trainings, versions and predictions, and with what is sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from gateway.numerals import plural
from gateway.troubles.trouble import Status, Trouble, moment, part, services

MARGIN = 0.02  # nats
LIVE_ROWS = 50
RECENT = timedelta(hours=1)


def failing(status: Status) -> Iterator[Trouble]:
    last, serving = part(status, "last_training"), part(status, "serving")
    if not last:
        return
    ended, reason = moment(last["ended_at"]), last.get("reason") or "no reason given"
    see = "Trainings are rejected or fail"
    if last["state"] == "failed":
        todo = "The trainer's log has the traceback; `retrace train --wait` tries again."
        what = f"The last training, {last['request_id']}, failed: {reason}."
        yield Trouble("failed", what, ended, todo, see)
    elif last["state"] == "rejected" and serving and not serving.get("held_since"):
        trained = moment(serving["trained_at"])
        if trained and ended and ended - trained > RECENT:
            todo = "`retrace models show` says by how much; `promote` lets a rejected one serve."
            what = f"No training since version {serving['version']} passed the gate: {reason}."
            yield Trouble("rejected", what, trained, todo, see)


def none_serves(status: Status) -> Iterator[Trouble]:
    done = part(status, "counter").get("completions", 0)
    if "serving" in status and status["serving"] is None and done >= 10:
        what = f"No version serves, though {plural(done, 'completion')} are recorded."
        todo = "`retrace status` shows the last training; `retrace train --wait` starts one."
        yield Trouble("no version", what, None, todo, "Defaults are served", patience=120.0)


def stale(status: Status) -> Iterator[Trouble]:
    announced, see = part(status, "serving"), "An old version serves"
    for name, state in services(status).items():
        problem = state.get("model_problem")
        if problem:
            todo = "See that it reaches the model store. The version before goes on serving."
            yield Trouble(f"stale:{name}", f"{name}: {problem}.", None, todo, see)
        elif announced and 0 < state.get("revision", 0) < announced["revision"]:
            what = f"{name} stands at version {state['version']}, not {announced['version']}."
            todo = "It has not heard of the newer one: look at its log and at Kafka."
            yield Trouble(f"stale:{name}", what, None, todo, see, patience=120.0)


def held(status: Status) -> Iterator[Trouble]:
    serving = part(status, "serving")
    if serving.get("held_since"):
        what = f"Version {serving['version']} is held: newer versions do not serve."
        todo = "Somebody promoted it or rolled back to it. `retrace models release` lets go."
        yield Trouble("held", what, moment(serving["held_since"]), todo, "An old version serves")


def worse(status: Status) -> Iterator[Trouble]:
    live = status.get("last_hour") or {}
    base = (part(status, "serving").get("metrics") or {}).get("topic_difficulty") or {}
    bar = base.get("log_loss")
    if bar is None or live.get("rows", 0) < LIVE_ROWS or live["log_loss"] <= bar + MARGIN:
        return
    what = (
        f"Live log loss is {live['log_loss']:.3f} over the last hour; topic × difficulty had "
        f"{bar:.3f} where the serving version was scored."
    )
    todo = "Compare versions; `retrace models rollback` serves the one before at once."
    see = "Live predictions are worse than the baseline"
    yield Trouble("worse", what, None, todo, see, patience=60.0)


def defaults(status: Status) -> Iterator[Trouble]:
    rows = status.get("accuracy")
    if not isinstance(rows, list) or not rows or not part(status, "serving"):
        return
    start = rows[0]["window_start"]
    window = [row for row in rows if row["window_start"] == start and row["arm"] == "champion"]
    all_rows = sum(row["rows"] for row in window)
    default = sum(row["rows"] for row in window if row["source"] == "default")
    if all_rows >= 10 and default > 0.2 * all_rows:
        what = f"{default} of the {all_rows} newest predictions were the default."
        todo = "Each answer has its reason; see inference's health and lag, and PostgreSQL."
        yield Trouble("defaults", what, None, todo, "Defaults are served", patience=60.0)


def letters(status: Status) -> Iterator[Trouble]:
    letters = status.get("recent_letters") or []
    if letters:
        _, place, cause = letters[-1]
        what = f"Dead letters came in, the newest from {place} ({cause})."
        todo = "`retrace dead-letters list` has all; fix the cause, then redrive them."
        yield Trouble("letters", what, letters[0][0], todo, "Dead letters come in")
