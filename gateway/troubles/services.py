"""PURE: what is wrong with services, servers, lag and counts."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.numerals import grouped, plural
from gateway.troubles.trouble import Status, Trouble, error_of, listed, moment, part, services

STORE = (
    "counter", "train_requests", "last_training", "serving", "accuracy", "live", "versions",
    "failures",
)  # fmt: skip
KAFKA = ("windows", "lag", "dead_letters", "feed")
NAMES = {
    "kafka": "Kafka", "store": "PostgreSQL", "tensorflow": "TensorFlow",
    "group": "a consumer group",
}  # fmt: skip
WAITS = {
    "kafka": "Bring it back. Services wait and go on by themselves; the gateway keeps completions "
    "in PostgreSQL and publishes them later.",
    "store": "Bring it back. Recording and training wait and go on by themselves; learners that "
    "inference holds are served on, others get LNIRT or the default.",
    "group": "Do what it says: Kafka answers, but refuses. The service goes on trying.",
}
LAG = 1000  # messages


def silent(status: Status) -> Iterator[Trouble]:
    for name, state in services(status).items():
        if error := error_of(state):
            what = f"{name} does not answer: {error}."
            todo = "Start it again; its last words are at the end of its log. Nothing is lost."
            yield Trouble(f"silent:{name}", what, None, todo, "A service is down")


def away(status: Status) -> Iterator[Trouble]:
    waiting: dict[str, list[tuple[str, str, str]]] = {}
    for name, state in services(status).items():
        for dependency, it in state.get("dependencies", {}).items():
            if not it["ok"]:
                waiting.setdefault(dependency, []).append((it["since"], name, it["detail"]))
    for dependency, waits in waiting.items():
        since, _, detail = min(waits)
        wait = f"{listed([name for _, name, _ in waits])} wait{'s' if len(waits) == 1 else ''}"
        what = f"{wait} for {NAMES.get(dependency, dependency)}: {detail.rstrip('.')}."
        todo = WAITS.get(dependency, "It may still be starting. The log of the service says more.")
        see = "Kafka or PostgreSQL is away" if dependency in WAITS else "A service is down"
        yield Trouble(f"away:{dependency}", what, moment(since), todo, see)


def unread(status: Status) -> Iterator[Trouble]:
    """What this gateway cannot read, where no service says so already."""
    said = {trouble.name for trouble in away(status)}
    for dependency, names in (("store", STORE), ("kafka", KAFKA)):
        errors = [error for error in (error_of(status.get(name)) for name in names) if error]
        if errors and f"away:{dependency}" not in said:
            what = f"{NAMES[dependency]} cannot be read here: {errors[0]}."
            see = "Kafka or PostgreSQL is away"
            todo = WAITS[dependency]
            yield Trouble(f"unread:{dependency}", what, None, todo, see)
    error = error_of(status.get("model_files"))
    if error:
        todo = "See that RETRACE_MODEL_STORE is reached. The version that serves goes on serving."
        what = f"The model store cannot be read here: {error}."
        yield Trouble("unread:models", what, None, todo, "An old version serves")


def stuck(status: Status) -> Iterator[Trouble]:
    for name, state in services(status).items():
        if state.get("stuck"):
            todo = "Keep its log, then start it again: it goes on where the store and Kafka say."
            what = f"{name} makes no progress: {state['stuck']}."
            yield Trouble(f"stuck:{name}", what, None, todo, "A service makes no progress")


def lag(status: Status) -> Iterator[Trouble]:
    for group, behind in part(status, "lag").items():
        name = group.removeprefix("retrace-")
        # A trainer's requests are superseded by the newest: it is one training behind at most.
        if behind and behind > LAG and name != "trainer":
            todo = "See whether its service waits for PostgreSQL or the disk; else start another."
            what = f"{name} lags by {plural(behind, 'message')}."
            yield Trouble(f"lag:{name}", what, None, todo, "Lag grows", patience=60.0)


def uncounted(status: Status) -> Iterator[Trouble]:
    windows, before = part(status, "windows"), status.get("completions_before")
    counted, gaps = windows.get("counted"), windows.get("gaps", 0)
    if counted is None or (not gaps and counted >= (before or 0)):
        return
    missing = grouped(max((before or 0) - counted, 0))
    gap = f" and has {plural(gaps, 'gap')}" if gaps else ""
    what = f"The windowed counter lacks {missing} recorded completions{gap}."
    todo = "It heals itself within seconds. If this stays, `retrace doctor` compares all counts."
    yield Trouble("counts", what, None, todo, "Counts differ", patience=60.0)
