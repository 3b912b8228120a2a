"""One training, from a request to its outcome. Runs in a thread beside the trainer's consumer."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Any, ParamSpec, TypeVar

import numpy as np
import structlog

from schemas import events
from schemas.errors import (
    ArtifactError,
    ModelRejected,
    NotEnoughData,
    RetraceError,
    TrainingFailed,
)
from schemas.events import TrainRequest
from schemas.history import History
from schemas.settings import Settings
from streams import database, history, kafka
from streams.common_metrics import reached
from streams.forgotten import Forgotten
from streams.known import Known
from streams.patience import Patience, Stopped, first_line
from streams.store import Store
from training import artifacts, from_log, meters, versions
from training.announce import Announcer
from training.gate import UNCOMPARED, Rule, Verdict
from training.metrics import take
from training.promotion import Gate
from training.record import Record
from training.registry import Ended, Registry
from training.served import GENERATION, LEARNED_FROM, Served, load

P = ParamSpec("P")
R = TypeVar("R")
log = structlog.get_logger("retrace")
STORE_SECONDS, LONGEST_SECONDS = 60.0, 900.0


class Interrupted(Exception):
    """A training was stopped because the service was; its request stays open."""


class Job:
    """Trains on request. ``fitter`` is kept warm between requests."""

    def __init__(
        self,
        settings: Settings,
        patience: Patience,
        store: Store,
        registry: Registry,
        announcer: Announcer,
        fitter: Any,
    ) -> None:
        self.settings, self.patience = settings, patience
        self.store, self.registry = store, registry
        self.announcer, self.fitter = announcer, fitter
        self._known = Known()
        rule = Rule(settings.gate_margin, settings.gate_rows, settings.seed)
        # Two: the version that serves, and the best, which are often one.
        self.load = lru_cache(maxsize=2)(partial(load, registry.root_url))
        self.gate = Gate(rule, registry.engine, self.load, self._stored)

    def run(self, request: TrainRequest) -> Ended:
        """The outcome; the registry has it when this returns.

        Raises ``Stopped`` or ``Interrupted`` where the service is stopped meanwhile.
        """
        over = self._stored(self.registry.start, request.request_id)
        if over is not None:
            log.info("ended meanwhile", request_id=request.request_id, state=over.state)
            return over
        log.info("training", request_id=request.request_id, completions=request.completions)
        self.patience.health.note(training=request.request_id)
        self.announcer.progress(request.request_id, "started")
        began = time.monotonic()
        with meters.RUNNING.track_inprogress():
            ended = self._outcome(request)
        seconds = round(time.monotonic() - began, 2)
        meters.TRAININGS.labels(ended.state).inc()
        meters.TRAINING_SECONDS.labels(ended.state).observe(seconds)
        self.patience.health.note(training=None, last_training_seconds=seconds)
        log.info("trained", request_id=request.request_id, state=ended.state, seconds=seconds)
        return ended

    def _outcome(self, request: TrainRequest) -> Ended:
        try:
            return self._publish(request)
        except (NotEnoughData, ModelRejected) as error:
            return self._end(request, "rejected", str(error))
        except Stopped:
            raise
        except Exception as error:
            if self.patience.stop.is_set():
                raise Interrupted from error
            log.warning("training failed", exc_info=not isinstance(error, RetraceError))
            return self._end(request, "failed", _reason(error))

    def _publish(self, request: TrainRequest) -> Ended:
        from training import export  # TensorFlow: only in this process

        past, generation, fitted = self._learned(request)
        newest = float(past.completed_at.max())
        # What is numbered up to there is learned, or is nobody's.
        upto = {} if generation is None else {"completions": request.completions}
        metadata = {
            **fitted.metadata(),
            **upto,
            artifacts.NEWEST_COMPLETED_AT: newest,
            GENERATION: generation,
            LEARNED_FROM: request.data.model_dump(mode="json", by_alias=True),
        }
        files = export.files(fitted)
        scores = events.ModelMetrics.model_validate(metadata["metrics"])
        verdict = self._verdict(fitted.record, past, generation)
        ended = self._stored(self.registry.publish, request, files, metadata, scores, verdict)
        if ended is None:
            return self._end(request, "failed", "ended by another trainer")
        if ended.state == "rejected":
            self.fitter.forget()
        elif request.trigger == "count":
            reached("trained", datetime.fromtimestamp(newest, UTC))
        self._prune()
        return ended

    def _learned(self, request: TrainRequest) -> tuple[History, int | None, Any]:
        """What was learned, of which generation, and the version that has; nothing of it from who
        is forgotten, also meanwhile."""
        while True:
            past, generation = self._past(request)
            fitted = self._fitted(request, past, generation)
            if len(self._remembered(past)) == len(past):
                return past, generation, fitted
            log.info("training again, without who was forgotten", request_id=request.request_id)

    def _remembered(self, past: History) -> History:
        """Without the rows of who is forgotten."""
        forgotten = self._forgotten()
        users, whose = np.unique(past.users.astype(str), return_inverse=True)
        kept = np.array([user not in forgotten for user in users.tolist()], dtype=np.bool_)
        return past if kept.all() else take(past, kept[whose])

    def _forgotten(self) -> Forgotten:
        """Who is forgotten by now. What was learned from them is nothing to go on from: where there
        are more, the next training is one from nothing."""
        before = self._known.version
        found = self._stored(self._known.now, self.registry.engine)
        if self._known.version != before:
            self.fitter.forget()
        return found

    def _verdict(self, record: Record, past: History, generation: int | None) -> Verdict:
        """Rows of a range of the log have numbers of their own: no version can tell by them what
        it has learned, so nothing is compared, and the range is nothing to compare with later."""
        if generation is None:
            return UNCOMPARED
        return self.gate.verdict(record, past, generation)

    def _past(self, request: TrainRequest) -> tuple[History, int | None]:
        """What to learn from: a range of the log, or the store as of one generation, and which."""
        if request.data.source == "log":
            past = self.patience.call(
                "kafka", kafka.is_away, from_log.read, self.settings, request, self.patience.stop,
                self._forgotten(),
            )  # fmt: skip
            return past, None
        while True:
            generation = self._await_store(request.completions)
            past = self._stored(
                history.sampled, self.registry.engine, request.completions,
                self.settings.train_rows, self.settings.seed,
            )  # fmt: skip
            if self._stored(self.store.standing)[0] == generation:
                return self._remembered(past), generation

    def _fitted(self, request: TrainRequest, past: History, generation: int | None) -> Any:
        from training.deep import Watcher
        from training.fit import Fitter, Order

        settings = self.settings
        version = None if generation is None else self._serving(generation)
        opinion = None if version is None else self._opinion(version)
        order = Order(
            settings.seed, settings.train_arch, settings.train_epochs, request.trigger != "count"
        )
        watcher = Watcher(
            lambda report: self._epoch(request.request_id, report), self.patience.stop.is_set
        )
        # A range has numbers of its own: what was learned from it is nothing to go on from.
        is_apart = generation is None
        fitter = Fitter(threads=settings.train_threads) if is_apart else self.fitter
        return fitter.fit(
            past, order, watcher,
            serving=opinion, known=None if version is None else version.record,
        )  # fmt: skip

    def _serving(self, generation: int) -> Served | None:
        """The version that serves, to be scored beside the candidate; a broken one isn't, nor one
        of other numbers, which can't tell by them whether it has learned a row."""
        updated = self._stored(self.registry.revisions.serving)
        if updated is None:
            return None
        try:
            version = self.load(updated.artifact, updated.sha256)
        except ArtifactError as error:
            log.warning("the serving version can't be scored", because=str(error))
            return None
        return version if version.generation == generation else None

    def _opinion(self, version: Served) -> Callable[..., Any]:
        """What the serving version says; nothing, where it can't run: that must not end a
        training."""

        def said(past: History, rows: Any) -> Any:
            try:
                return version.before_learning(past, rows)
            except Exception as error:
                log.warning("the serving version can't be scored", because=first_line(error))
                return ()

        return said

    def _await_store(self, completions: int) -> int:
        """The store's generation, when it holds so many: one that was restored or is rebuilt may
        still be reading the log, and is waited for as long as it gets on."""
        standing, deadline = self._stored(self.store.standing), _deadline()
        last = time.monotonic() + LONGEST_SECONDS
        while standing[1] < completions:
            if time.monotonic() > deadline:
                raise TrainingFailed(f"the store holds {standing[1]} of {completions} completions")
            if self.patience.stop.wait(0.5):
                raise Stopped
            before, standing = standing, self._stored(self.store.standing)
            deadline = min(_deadline(), last) if standing > before else deadline
        return standing[0]

    def _epoch(self, request_id: str, report: Any) -> None:
        self.patience.health.move()
        meters.epoch(report.model, report.loss, report.val_loss)
        self.announcer.progress(
            request_id, "epoch", model=report.model, epoch=report.epoch, epochs=report.epochs,
            loss=report.loss, val_loss=report.val_loss,
        )  # fmt: skip

    def _end(self, request: TrainRequest, state: events.Outcome, reason: str) -> Ended:
        return self._stored(self.registry.end, request.request_id, state, reason)

    def _prune(self) -> None:
        young = timedelta(seconds=self.settings.models_young_seconds)
        keep, now = self.settings.models_kept, datetime.now(UTC)
        registry = self.registry
        removed = self._stored(versions.prune, registry.engine, registry.root_url, keep, young, now)
        if removed:
            log.info("removed old versions", versions=removed)

    def _stored(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return self.patience.call("store", database.is_away, work, *args, **kwargs)


def _deadline() -> float:
    return time.monotonic() + STORE_SECONDS


def _reason(error: BaseException) -> str:
    if isinstance(error, RetraceError):
        return str(error)[:500]
    return f"{type(error).__name__}: {first_line(error)}"[:500]
