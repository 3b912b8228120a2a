"""What operators do from the settings page: the command line's verbs, each offered with what it
will do, and with a line in the audit when it is done.

All of it blocks; pages call it in threads. What an offer says is what happens: where the system has
moved on meanwhile, it fails and says so.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway import away, requests, sentences
from gateway.audit import DONE, FAILED, Actor, Audit
from gateway.escaping import printable
from gateway.letterbox import Letterbox
from gateway.letters import Counts, Filter
from gateway.models import Models
from gateway.numerals import plural
from gateway.redrive import Meant, Redrive
from schemas.errors import RetraceError
from schemas.settings import Settings
from streams.patience import Stopped, first_line
from streams.store import Store
from training.revisions import Revision

log = structlog.get_logger("retrace")
BUSY = "Dead letters are being sent back just now. Wait until that is through."
STOPPED = "The gateway was stopped before the end. Send back again: what was sent is left out."


@dataclass(frozen=True)
class Offer:
    """Something that can be done; ``words`` say what will happen, ``button`` asks for it."""

    action: str
    subject: str
    button: str
    words: tuple[str, ...]
    work: Callable[[], str]


@dataclass(frozen=True)
class Done:
    """What came of it, in a line or two."""

    outcome: str
    words: str


class Actions:
    """The verbs. ``offer_…`` raise RetraceError where there is nothing to do, with the words of
    the command."""

    def __init__(self, settings: Settings, engine: Engine, stop: threading.Event) -> None:
        self.settings, self.engine, self.stop = settings, engine, stop
        self.audit = Audit(engine)
        self._redriving = threading.Lock()

    def current(self) -> Revision | None:
        """The revision that is obeyed; None before the first."""
        return self._models().revisions.current()

    def offer_training(self) -> Offer:
        """A train-request for all that is recorded."""
        _, completions = Store(self.engine).standing()
        words = sentences.training(completions, self.current())
        return Offer("train", f"{completions} completions", "Train now", words, self._train)

    def offer_promotion(self, version: int) -> Offer:
        """Another version is to serve, and to be held."""
        revisions = self._models().revisions
        words = sentences.promotion(revisions.require(version), revisions.current())

        def work() -> str:
            models = self._models()
            return models.words(models.announce(models.changing().promote(version)))

        return Offer("promote", f"version {version}", f"Promote version {version}", words, work)

    def offer_rollback(self) -> Offer:
        """The version before is to serve again, and to be held."""
        revisions = self._models().revisions
        version = revisions.before()
        words = sentences.holding(version, revisions.current())

        def work() -> str:
            models = self._models()
            _require_same(version, models.revisions.before())
            return models.words(models.announce(models.changing().rollback()))

        return Offer("roll back", f"to version {version}", "Roll back", words, work)

    def offer_release(self) -> Offer:
        """The held version is let go."""
        revisions = self._models().revisions
        newest, current = revisions.released(), revisions.current()
        held = 0 if current is None else current.version

        def work() -> str:  # whichever is the newest by then
            models = self._models()
            return models.words(models.announce(models.changing().release()))

        words = sentences.release(newest, held)
        return Offer("release", f"version {held}", "Release", words, work)

    def open_letters(self) -> Counter[str]:
        """How many letters of each class were not sent back, in a bounded number of classes."""
        counts, box = Counts(), Letterbox(self.settings)
        for letter, _ in box.matching(Filter(is_open=True), box.spans):
            counts.add(letter)
        found: Counter[str] = Counter()
        for (_, cause), letters in counts.letters.items():
            found[cause] += letters
        return found

    def offer_redrive(self, cause: str) -> Offer:
        """The open letters of a class are to go back; exactly those that are counted here."""
        box = Letterbox(self.settings)
        redrive = Redrive(box, Meant(Filter(cause=cause, is_open=True)))
        plan, name = redrive.plan(), printable(cause)
        if not plan.to_send:
            raise RetraceError(" ".join(sentences.redrive(plan, name)))
        meant = plural(plan.to_send, "letter")
        return Offer(
            "redrive", f"{meant} of class {name}", f"Send {meant} back",
            sentences.redrive(plan, name), lambda: self._redrive(redrive),
        )  # fmt: skip

    def perform(self, offer: Offer, actor: Actor) -> Done:
        """Do what was offered, with a line in the audit and one in the log.

        Raises where the audit cannot be written; then nothing has been done.
        """
        line = self.audit.begin(actor, offer.action, offer.subject)
        try:
            done = Done(DONE, offer.work())
        except Exception as error:
            done = Done(FAILED, told(error))
        try:
            self.audit.end(line, done.outcome, done.words)
        except SQLAlchemyError as error:
            log.warning("the audit lacks an outcome", line=line, because=first_line(error))
        log.info(
            "operator acted", action=offer.action, subject=offer.subject, who=actor.who,
            address=actor.address, outcome=done.outcome, detail=done.words,
        )  # fmt: skip
        return done

    def _models(self) -> Models:
        return Models(self.settings, self.engine)

    def _train(self) -> str:
        wanted = requests.request(self.settings, datetime.now(UTC), self.engine)
        requests.publish(self.settings, wanted)
        return f"Requested {wanted.request_id} for {wanted.completions} completions."

    def _redrive(self, redrive: Redrive) -> str:
        if not self._redriving.acquire(blocking=False):
            raise RetraceError(BUSY)
        try:
            redrive.box.look_again()
            return " ".join(sentences.redriven(redrive.send(self.stop)))
        finally:
            self._redriving.release()


def _require_same(offered: int, now: int) -> None:
    """Raises RetraceError where other versions have come since something was offered."""
    if offered != now:
        raise RetraceError(f"Meanwhile this leads to version {now}, not {offered}: look again.")


def told(error: Exception) -> str:
    """An error in a line for people, as the command line says it."""
    if isinstance(error, RetraceError):
        return str(error)
    if isinstance(error, Stopped):
        return STOPPED
    words = away.words(error)
    if words is None:
        log.error("an action failed", exc_info=error)
    return words or f"It failed: {first_line(error)}."
