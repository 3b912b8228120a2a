"""Follows model-updated and swaps versions: loaded, verified and warmed beside the one that serves.

The highest revision wins. A version that cannot be loaded never replaces a working one; it is
tried again until it loads or a newer one comes.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from inference import metrics
from inference.beside import Beside
from inference.predictor import Predictor, Reader
from schemas import codec, topics
from schemas.codec import Bad
from schemas.errors import ArtifactError
from schemas.events import ModelUpdated
from schemas.settings import Settings
from streams import kafka, traces
from streams.common_metrics import reached
from streams.patience import Patience
from training import artifacts

log = structlog.get_logger("retrace")
RETRY_SECONDS = 5.0
REMEMBERED = 10


@dataclass(frozen=True)
class Serving:
    """A predictor and the announcement it was loaded for; None before the first model."""

    predictor: Predictor
    updated: ModelUpdated | None

    def fields(self) -> dict[str, Any]:
        """What every event that tells of a version has of it."""
        if self.updated is None:
            return {}
        return {
            "model_version": self.updated.version,
            "model_revision": self.updated.revision,
        }


class Models:
    """The version that serves now, ``current``; replaced as a whole, so readers need no lock."""

    def __init__(self, settings: Settings, patience: Patience) -> None:
        self.settings, self.patience = settings, patience
        self.current = Serving(Predictor(None), None)
        self.read: Reader | None = None
        self.wanted: ModelUpdated | None = None
        self.heard: dict[int, ModelUpdated] = {}
        self._contexts: dict[int, str] = {}
        self._retry_at = self._swapped_at = 0.0
        self.caught_up = threading.Event()
        self._beside = Beside("store")

    def follow(self) -> None:
        """Read announcements from the start and go on until asked to stop."""
        consumer = kafka.consumer(self.settings, "retrace-models", **{"enable.partition.eof": True})
        name = self.settings.topic_prefix + topics.MODEL_UPDATED.name
        consumer.assign([TopicPartition(name, 0, OFFSET_BEGINNING)])
        try:
            while not self.patience.stop.is_set():
                self._turn(consumer)
        finally:
            consumer.close()

    def _turn(self, consumer: Consumer) -> None:
        for message in kafka.drain(consumer, 500, 0.2):
            self._hear(message)
        if self._is_due():
            self.load()
        low, high = consumer.get_watermark_offsets(consumer.assignment()[0], cached=True)
        position = consumer.position(consumer.assignment())[0].offset
        if high >= 0 and (low == high or position >= high):
            self.caught_up.set()

    def _hear(self, message: object) -> None:
        raw = kafka.raw(message)  # type: ignore[arg-type]
        limit = topics.MODEL_UPDATED.max_bytes
        updated = codec.decode(ModelUpdated, limit, raw, datetime.now(UTC))
        if isinstance(updated, Bad):
            log.warning("an unreadable model-updated is passed over", because=updated.message)
            return
        self.heard = dict(sorted({**self.heard, updated.revision: updated}.items())[-REMEMBERED:])
        if self.wanted is None or updated.revision > self.wanted.revision:
            self.wanted, self._retry_at = updated, 0.0
            context = traces.carried(raw.headers)
            self._contexts = {updated.revision: context} if context else {}

    def _is_due(self) -> bool:
        serving = self.current.updated
        behind = self.wanted is not None and (
            serving is None or serving.revision < self.wanted.revision
        )
        now = time.monotonic()
        rested = serving is None or now >= self._swapped_at + self.settings.swap_seconds
        return behind and rested and now >= self._retry_at

    def load(self) -> None:
        """Load the wanted version; on failure keep the one that serves, and say so.

        Where none serves yet, the newest earlier version that verifies does until then.
        """
        wanted = self.wanted
        if wanted is None or self._loaded(wanted):
            return
        self._retry_at = time.monotonic() + RETRY_SECONDS
        if self.current.updated is None:
            earlier = [u for r, u in sorted(self.heard.items(), reverse=True) if u != wanted]
            any(self._loaded(updated) for updated in earlier)

    def _loaded(self, updated: ModelUpdated) -> bool:
        about = {"retrace.version": updated.version, "retrace.request_id": updated.request_id}
        with traces.span("serve", self._contexts.get(updated.revision), attributes=about):
            return self._swapped(updated)

    def _swapped(self, updated: ModelUpdated) -> bool:
        try:
            root = self.settings.model_store_url()
            artifact = artifacts.read(root, updated.artifact, updated.sha256)
            predictor = Predictor(
                artifact,
                threads=self.settings.inference_threads,
                learners=self.settings.inference_learners,
                beside=self._beside,
            )
            predictor.warm()
        except ArtifactError as error:
            serving = self.current.updated.version if self.current.updated else None
            problem = f"version {updated.version} cannot be loaded: {error}"
            self.patience.health.note(model_problem=problem)
            metrics.MODEL_PROBLEM.set(1)
            log.error("keeping the model that serves", serving=serving, because=problem)
            return False
        if self.read is not None:
            predictor.take_over(self.current.predictor, self.read)
        self._note(artifact, updated)
        self.current = Serving(predictor, updated)
        self._swapped_at = time.monotonic()
        self.patience.health.note(version=updated.version, revision=updated.revision)
        if updated == self.wanted:
            self.patience.health.note(model_problem=None)
            metrics.MODEL_PROBLEM.set(0)
        name = updated.request_id
        log.info("serving", version=updated.version, revision=updated.revision, request_id=name)
        return True

    def _note(self, artifact: artifacts.Artifact, updated: ModelUpdated) -> None:
        """How soon what was completed moved predictions: not after a start, nor by a rollback."""
        metrics.REVISION.set(updated.revision)
        metrics.VERSION.set(updated.version)
        metrics.TRAINED_AT.set(updated.trained_at.timestamp())
        metrics.SWAPS.inc()
        before, newest = self.current.updated, artifact.metadata.get(artifacts.NEWEST_COMPLETED_AT)
        is_next = before is None or before.version < updated.version
        is_counted = updated.request_id.startswith("count-")
        if is_counted and is_next and newest and self.caught_up.is_set():
            reached("serving", datetime.fromtimestamp(newest, UTC))
