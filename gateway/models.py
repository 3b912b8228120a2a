"""Versions for people: what registry and model store know of them, and who hears of a change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from sqlalchemy import Engine, Row

from schemas import codec, topics
from schemas.errors import ArtifactError, RetraceError, Unreachable
from schemas.events import ModelUpdated
from schemas.settings import Settings
from streams import database, kafka
from streams.patience import first_line
from training import announce, artifacts, versions
from training.revisions import Revisions

MOST_REVISIONS = 20


class Models:
    """Verbs over versions, as objects that print as JSON."""

    def __init__(self, settings: Settings, engine: Engine | None = None) -> None:
        self.settings = settings
        url = settings.database_url.get_secret_value()
        self.engine = engine or database.connect(url, "cli")
        self.revisions = Revisions(self.engine, settings.model_store_url())

    def listed(self, most: int) -> dict[str, Any]:
        """The newest versions, newest first, and which serves."""
        current = self.revisions.current()
        return {
            "serving": None if current is None else current.version,
            "held": current is not None and current.holds,
            "versions": [_facts(row) for row in versions.listed(self.engine, most)],
        }

    def one(self, version: int) -> dict[str, Any]:
        """A version, its files, and the revisions under which it served. Raises RetraceError."""
        row = self._row(version)
        current = self.revisions.current()
        served = self.revisions.history(MOST_REVISIONS, version)
        return {
            **_facts(row),
            "serves": current is not None and current.version == version,
            "held": current is not None and current.version == version and current.holds,
            "revisions": [
                {"revision": one.revision, "cause": one.cause, "at": codec.rfc3339(one.at)}
                for one in served
            ],
            "files": self._files(row),
        }

    def export(self, version: int, folder: Path) -> Path:
        """Copy a version below a folder. Raises RetraceError, ArtifactError."""
        row = self._row(version)
        return artifacts.export(self.revisions.root_url, row.artifact, row.sha256, folder)

    def changing(self) -> Revisions:
        """The revisions, to be changed: above all that consumers have heard, where Kafka answers;
        without it the trainer sees to that."""
        try:
            seen = announce.newest(self.settings)
        except (KafkaException, RetraceError):
            seen = None
        self.revisions.highest_seen = 0 if seen is None else seen.revision
        return self.revisions

    def announce(self, updated: ModelUpdated) -> dict[str, Any]:
        """Tell what serves now. Without Kafka the trainer does, as soon as it can."""
        message = codec.encode(
            topics.MODEL_UPDATED, updated, "training", prefix=self.settings.topic_prefix
        )
        facts = {"version": updated.version, "revision": updated.revision}
        current = self.revisions.current()
        held = current is not None and current.holds
        try:
            kafka.Publisher(self.settings, **{"message.timeout.ms": 5000}).publish([message])
        except (KafkaException, Unreachable) as error:
            return {**facts, "held": held, "announced": False, "because": first_line(error)}
        return {**facts, "held": held, "announced": True}

    @staticmethod
    def words(facts: dict[str, Any]) -> str:
        """What has changed, in one line or two."""
        held = (
            "held: later versions wait for `retrace models release`"
            if facts["held"]
            else "later versions will follow it"
        )
        line = f"Version {facts['version']} serves now, revision {facts['revision']}; {held}."
        if facts["announced"]:
            return line
        return (
            f"{line}\nKafka did not take the announcement ({facts['because']}). "
            "The trainer makes it within half a minute after Kafka answers."
        )

    def _row(self, version: int) -> Row[Any]:
        with self.engine.connect() as connection:
            row = versions.found(connection, version)
        if row is None:
            raise RetraceError(f"Version {version} was never written. See `retrace models list`.")
        return row

    def _files(self, row: Row[Any]) -> dict[str, Any]:
        if row.removed_at is not None:
            return {"problem": "removed"}
        try:
            found = artifacts.read(self.revisions.root_url, row.artifact, row.sha256).files
        except ArtifactError as error:
            return {"problem": str(error)}
        return {name: len(content) for name, content in sorted(found.items())}


def _facts(row: Row[Any]) -> dict[str, Any]:
    times = ("trained_at", "removed_at")
    found = {name: value for name, value in row._asdict().items() if name not in times}
    return found | {
        name: None if getattr(row, name) is None else codec.rfc3339(getattr(row, name))
        for name in times
    }
