"""`retrace forget`: a learner's rows, predictions and held state go, and nothing new is kept.

First the list, then the topic, then the rows. Killed on the way it may be run again, and `streams`
does what was left undone; what remains elsewhere is said, not done.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_fixed

from gateway.audit import DONE, FAILED, Actor, Audit
from gateway.numerals import plural
from ops.terminal import progress
from schemas import codec, topics
from schemas.errors import RetraceError, Unreachable, UsageError
from schemas.events import LearnerForgotten
from schemas.fields import Id
from schemas.settings import Settings
from streams import database, erasure, forgetter, forgetting, kafka, known, tails
from streams.forgotten import LEARNER, Forgotten, seal
from streams.patience import first_line
from training import artifacts

P = ParamSpec("P")
R = TypeVar("R")
ATTEMPTS = 100
START_KAFKA = "Start Kafka, or set RETRACE_KAFKA_BOOTSTRAP."
LISTED = f"The learner is on the list; streams erases the rest, or run this again. {START_KAFKA}"
ACTOR = Actor("command line", "")
SHOWN = 12  # of the hash, in the audit


@dataclass
class Forget:
    """One learner to forget. Raises UsageError for what is no learner's id."""

    settings: Settings
    user: str
    _salt: str = field(default="", init=False)

    def __post_init__(self) -> None:
        require_id(self.user)
        url = self.settings.database_url.get_secret_value()
        self.engine: Engine = database.connect(url, "cli", statement_seconds=600)

    def plan(self) -> dict[str, Any]:
        """What there is of the learner, and what remains, as JSON.

        Raises RetraceError where the store knows nobody of that name, and never did.
        """
        held = erasure.counts(self.engine, self.user)
        before = self._listed()
        if before is None and not any(held.values()):
            raise RetraceError(
                "The store has nothing of that learner; nothing was changed. Ids are exact, "
                "capitals and spaces included; what is not recorded yet is not known here."
            )
        versions = artifacts.list_versions(self.settings.model_store_url())
        return {"forgotten_before": before is not None, **held, "model_versions": len(versions)}

    def run(self, advance: Callable[[int], None]) -> None:
        """Do it; ``advance`` hears of rows. What was done before is passed over."""
        entry = self._listed() or self._new()
        audit = Audit(self.engine)
        line = patiently(audit.begin, ACTOR, "forget", f"learner {entry.learner[:SHOWN]}")
        try:
            done = self._do(entry, advance)
        except Exception as error:
            _end(audit, line, FAILED, first_line(error))
            raise
        _end(audit, line, DONE, words_of(done))

    def _do(self, entry: LearnerForgotten, advance: Callable[[int], None]) -> dict[str, int]:
        patiently(forgetting.add, self.engine, [entry])
        prefix = self.settings.topic_prefix
        message = codec.encode(topics.LEARNER_FORGOTTEN, entry, "operators", prefix=prefix)
        _kafka(LISTED, kafka.Publisher(self.settings).publish, [message])
        done = dict.fromkeys(erasure.WHAT, 0)

        def heard(name: str, rows: int) -> None:
            done[name] += rows
            advance(sum(done.values()))

        patiently(erasure.erase, self.engine, self.user, entry.salt, heard)
        patiently(forgetting.erased, self.engine, [entry.learner])
        return done

    def _listed(self) -> LearnerForgotten | None:
        """The learner's entry, of the store's list or of the topic's, which outlives it."""
        with self.engine.connect() as connection:
            listed = known.entries(connection)
        listed += _kafka("Nothing was changed. " + START_KAFKA, self._told)
        salt = Forgotten.of(listed).salt_of(self.user)
        if salt is None:
            self._salt = listed[0].salt if listed else secrets.token_hex(32)
            return None
        mine = seal(salt, LEARNER, self.user)
        return next(each for each in listed if each.learner == mine)

    def _told(self) -> list[LearnerForgotten]:
        tails.places(self.settings, [self.settings.topic_prefix + topics.LEARNER_FORGOTTEN.name])
        with tails.reading(self.settings) as reader:
            return forgetter.Told(self.settings).get(reader)

    def _new(self) -> LearnerForgotten:
        mine, now = seal(self._salt, LEARNER, self.user), datetime.now(UTC)
        return LearnerForgotten(learner=mine, salt=self._salt, forgotten_at=now)


def _kafka(advice: str, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Raises Unreachable, with what it means, where Kafka does not answer for half a minute."""
    try:
        return kafka.patiently(work, *args, **kwargs)
    except Unreachable as error:
        raise Unreachable(f"{str(error).removesuffix('.')}. {advice}") from None


def require_id(user: str) -> None:
    """Raises UsageError for what no learner can be called."""
    try:
        user.encode()
        TypeAdapter(Id).validate_python(user)
    except (ValidationError, UnicodeEncodeError):
        raise UsageError("A learner's id has 1 to 128 characters of UTF-8, and no NUL.") from None


def patiently(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Again where the store went away or two had locked each other's rows, for half a minute."""
    retrying = Retrying(
        retry=retry_if_exception(database.is_away), stop=stop_after_attempt(ATTEMPTS),
        wait=wait_fixed(0.3), reraise=True,
    )  # fmt: skip
    return retrying(work, *args, **kwargs)


def follow(work: Forget, plan: dict[str, Any]) -> None:
    """Do what was planned, with a bar."""
    with progress() as bars:
        bar = bars.add_task("erased", total=sum(plan[name] for name in erasure.WHAT))
        work.run(lambda done: bars.update(bar, completed=done))


def _end(audit: Audit, line: int, outcome: str, detail: str) -> None:
    """The line says "started" where the store is away."""
    try:
        audit.end(line, outcome, detail)
    except SQLAlchemyError:
        return


def words_of(held: dict[str, Any]) -> str:
    """How many rows, for people."""
    nouns = zip(erasure.WHAT, ("completion", "prediction", "issued task"), strict=True)
    return ", ".join(plural(held[name], noun) for name, noun in nouns)


def lines(plan: dict[str, Any]) -> list[str]:
    """A plan for people: what goes, what stays."""
    again = "Forgotten before; erased is what came back. " if plan["forgotten_before"] else ""
    return [
        f"{again}{words_of(plan)}. Completions become nobody's, the others go.",
        *remains(plan["model_versions"]),
    ]


def remains(versions: int) -> list[str]:
    """What `forget` cannot reach."""
    return [
        "What remains:",
        "  the log: task-completed keeps its messages for ever, prediction and dead-letters for 30",
        "    days, prediction-request for 7; nothing learns from the learner's any more",
        f"  {plural(versions, 'model version')} of before, until newer ones replace them",
        "  sums of scores and calibration, which name nobody; backups; logs and traces",
        "It cannot be taken back: the id stays closed, whatever comes under it is nobody's.",
    ]
