"""PURE: who needs what of Kafka and PostgreSQL. The one table that grants are made from.

A topic says itself which services send and read it (``topics.py``); here is what follows from how
they do, and what those outside need. A topic or table that nobody is given fails a test.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from schemas import topics
from schemas.topics import Topic

Operation = Literal["READ", "WRITE", "CREATE", "DELETE", "DESCRIBE", "DESCRIBE_CONFIGS"]
Resource = Literal["TOPIC", "GROUP"]
SERVICES = ("streams", "training", "inference", "gateway")
OPERATORS = "operators"
# Whose topics are not Retrace's: they send completions, ask for predictions, read what came of it.
OUTSIDE = ("producers", "askers", "analytics")
ROLES = (*SERVICES, OPERATORS, *OUTSIDE)
TAIL = "retrace-tail"

# Beyond what a topic says of itself: read through another package, or sent back from dead letters.
_ALSO_READ: dict[str, tuple[Topic, ...]] = {
    "streams": (topics.COUNTER_CHANGELOG,),
    "training": (topics.TASK_COMPLETED, topics.MODEL_UPDATED),
    "gateway": (topics.COUNTER_CHANGELOG,),
    "analytics": (
        topics.TASK_COMPLETED, topics.COMPLETIONS, topics.PREDICTION, topics.PREDICTION_SCORE,
        topics.MODEL_UPDATED, topics.TRAINING_PROGRESS,
    ),
}  # fmt: skip
_ALSO_SENT: dict[str, tuple[Topic, ...]] = {
    "streams": (topics.COUNTER_CHANGELOG,),
    "gateway": topics.REDRIVABLE,
    "producers": (topics.TASK_COMPLETED,),
    "askers": (topics.PREDICTION_REQUEST,),
}
# Groups that a role's consumers commit in, and those that it only looks up: a consumer that reads
# without a group still has to name one.
_MEMBER: dict[str, tuple[str, ...]] = {
    "streams": ("retrace-record", "retrace-count", "retrace-predictions"),
    "training": ("retrace-trainer",),
    "inference": ("retrace-inference",),
}
_LOOKS_UP: dict[str, tuple[str, ...]] = {
    "streams": (TAIL,),
    "training": (TAIL,),
    "inference": ("retrace-models", TAIL),
    "gateway": ("retrace-replies", TAIL),
}
GROUPS = tuple(group for of_role in _MEMBER.values() for group in of_role)


@dataclass(frozen=True, order=True)
class Grant:
    """One role may do one thing; ``prefixed``: with all whose name begins like this."""

    role: str
    resource: Resource
    name: str
    operation: Operation
    prefixed: bool = False


def grants(prefix: str = "") -> tuple[Grant, ...]:
    """Everything that every role may do, under a topic prefix; sorted, each once."""
    return tuple(sorted({grant for role in ROLES for grant in _of(role, prefix)}))


def _of(role: str, prefix: str) -> Iterator[Grant]:
    if role == OPERATORS:
        yield from _of_operators(prefix)
        return
    for topic in _read(role):
        yield Grant(role, "TOPIC", prefix + topic.name, "READ")
    for topic in _sent(role):
        yield Grant(role, "TOPIC", prefix + topic.name, "WRITE")
    if role in SERVICES:  # each looks at start whether all are there as declared
        yield from _all(role, "TOPIC", [prefix + t.name for t in topics.EVERY], "DESCRIBE")
    yield from _all(role, "GROUP", [prefix + g for g in _MEMBER.get(role, ())], "READ")
    yield from _all(role, "GROUP", [prefix + g for g in _LOOKS_UP.get(role, ())], "DESCRIBE")
    if role == "gateway":  # its page of what lags
        yield from _all(role, "GROUP", [prefix + g for g in GROUPS], "DESCRIBE")
    if role == "analytics":
        yield Grant(role, "GROUP", prefix + "analytics", "READ", prefixed=True)
    yield from _of_replies(role, prefix + "reply.")


def _of_replies(role: str, name: str) -> Iterator[Grant]:
    """Who asks makes a topic for the answers; its name is the asker's. Gateways have theirs below
    a name of their own: answers to others are not for them."""
    own = {"gateway": name + "gateway-", "askers": name}
    if role in own:
        for operation in ("READ", "CREATE", "DESCRIBE"):
            yield Grant(role, "TOPIC", own[role], operation, prefixed=True)
    if role == "askers":
        yield Grant(role, "GROUP", name, "READ", prefixed=True)
    if role == "inference":
        yield Grant(role, "TOPIC", name, "WRITE", prefixed=True)


def _of_operators(prefix: str) -> Iterator[Grant]:
    names = [prefix + topic.name for topic in topics.EVERY]
    for operation in ("READ", "WRITE", "CREATE", "DELETE", "DESCRIBE_CONFIGS"):
        yield from _all(OPERATORS, "TOPIC", names, operation)
    groups = [prefix + group for group in (*GROUPS, TAIL)]
    yield from _all(OPERATORS, "GROUP", groups, "READ")


def _read(role: str) -> Iterator[Topic]:
    yield from (topic for topic in topics.ALL if role in topic.read_by)
    yield from _ALSO_READ.get(role, ())


def _sent(role: str) -> Iterator[Topic]:
    yield from (topic for topic in topics.ALL if role in topic.sent_by)
    yield from _ALSO_SENT.get(role, ())


def _all(
    role: str, resource: Resource, names: Iterable[str], operation: Operation
) -> Iterator[Grant]:
    return (Grant(role, resource, name, operation) for name in names)


# PostgreSQL. S, I, U, D: SELECT, INSERT, UPDATE, DELETE. Operators own the tables.
RIGHTS = {"S": "SELECT", "I": "INSERT", "U": "UPDATE", "D": "DELETE"}
READERS = "readers"
DATABASE_ROLES = (*SERVICES, READERS)
TABLES: dict[str, dict[str, str]] = {
    "alembic_version": dict.fromkeys(SERVICES, "S"),
    "completions": {
        "streams": "SIU", "training": "S", "inference": "S", "gateway": "S", READERS: "S",
    },
    "numbering": {"streams": "SIU", "training": "S", "inference": "S", "gateway": "S"},
    "cadences": {"streams": "SIUD", "gateway": "S"},
    "log_positions": {"streams": "SIU", "inference": "S"},
    "train_requests": {"training": "SIU", "gateway": "S"},
    "models": {"training": "SIU", "gateway": "S"},
    "revisions": {"training": "SI", "gateway": "SI"},
    "issued_tasks": {"streams": "SD", "gateway": "SIU"},
    "predictions": {"streams": "SIUD", "gateway": "S"},
    "prediction_scores": {"streams": "SIU", "gateway": "S"},
    "calibrations": {"streams": "SID", "gateway": "S"},
    "audit": {"gateway": "SIUD"},
    "signed_out": {"gateway": "SID"},
    "forgotten": {"streams": "SIU", "training": "S", "inference": "S", "gateway": "S"},
    "practice_tasks": {"gateway": "S", READERS: "S"},
    "embedding_model_tracker": {READERS: "S"},
}  # fmt: skip
