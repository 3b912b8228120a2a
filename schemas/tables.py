"""The store's tables. Views (practice_tasks, embedding_model_tracker) are in the migrations.

``completions`` is the truth; its ``number`` is the one order of history. ``numbering`` is the
counter's single row, locked by whoever numbers. Everything else follows or is bookkeeping.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _time(name: str, *, nullable: bool = False, now: bool = False) -> Column[object]:
    default = func.now() if now else None
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=default)


completions = Table(
    "completions",
    metadata,
    Column("task_id", String(128), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("user_id", String(128), nullable=False),
    Column("topic", String(128), nullable=False),
    Column("difficulty", String(32), nullable=False),
    _time("started_at"),
    _time("completed_at"),
    Column("is_correct", Boolean, nullable=False),
    Column("actual_time_seconds", Double, nullable=False),
    Column("timed_out", Boolean, nullable=False),
    Column("log_partition", Integer, nullable=False),
    Column("log_offset", BigInteger, nullable=False),
    _time("recorded_at", now=True),
    UniqueConstraint("number"),
    Index(None, "user_id", "number"),
)

numbering = Table(
    "numbering",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("generation", BigInteger, nullable=False),
    Column("last_number", BigInteger, nullable=False),
    Column("forgotten", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("id = 1", name="one_row"),
)

# Who is forgotten, by a keyed hash; ``numbering.forgotten`` is another number after each change.
forgotten = Table(
    "forgotten",
    metadata,
    Column("learner", String(64), primary_key=True),
    Column("salt", String(64), nullable=False),
    _time("forgotten_at"),
    _time("erased_at", nullable=True),
)

cadences = Table(
    "cadences",
    metadata,
    Column("first_number", BigInteger, primary_key=True, autoincrement=False),
    Column("every", Integer, nullable=False),
    _time("set_at", now=True),
)

log_positions = Table(
    "log_positions",
    metadata,
    Column("topic_id", String(64), primary_key=True),
    Column("log_partition", Integer, primary_key=True, autoincrement=False),
    Column("topic", String(249), nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    _time("updated_at", now=True),
)

train_requests = Table(
    "train_requests",
    metadata,
    Column("request_id", String(128), primary_key=True),
    Column("trigger", String(16), nullable=False),
    Column("completions", BigInteger, nullable=False),
    Column("data", JSONB, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("version", Integer),
    _time("requested_at"),
    _time("received_at", now=True),
    _time("ended_at", nullable=True),
    Index(None, "state"),
    Index(
        "ix_train_requests_ended",
        "ended_at",
        postgresql_where=text("ended_at IS NOT NULL AND state <> 'superseded'"),
    ),
    Index(
        "ix_train_requests_failed",
        "ended_at",
        postgresql_where=text("ended_at IS NOT NULL AND state IN ('failed', 'rejected')"),
    ),
)

models = Table(
    "models",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("model", String(128), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("artifact", String(128), nullable=False),
    Column("sha256", String(64), nullable=False),
    _time("trained_at"),
    Column("completions", BigInteger, nullable=False),
    Column("users", Integer, nullable=False),
    Column("topics", Integer, nullable=False),
    Column("difficulties", Integer, nullable=False),
    Column("metrics", JSONB, nullable=False),
    Column("state", String(16), nullable=False, server_default="published"),
    Column("reason", Text),
    Column("gate", JSONB),
    _time("removed_at", nullable=True),
    UniqueConstraint("request_id"),
)

revisions = Table(
    "revisions",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("version", Integer, ForeignKey("models.version"), nullable=False),
    Column("cause", String(16), nullable=False),
    _time("created_at", now=True),
)

issued_tasks = Table(
    "issued_tasks",
    metadata,
    Column("task_id", String(128), primary_key=True),
    Column("user_id", String(128), nullable=False),
    Column("topic", String(128), nullable=False),
    Column("difficulty", String(32), nullable=False),
    _time("created_at"),
    Column("predicted_correct", Double),
    Column("predicted_time_seconds", Double),
    Column("seconds_low", Double),
    Column("seconds_high", Double),
    Column("source", String(16)),
    Column("reason", Text),
    Column("model_version", Integer),
    Column("is_correct", Boolean),
    Column("actual_time_seconds", Double),
    _time("completed_at", nullable=True),
    _time("published_at", nullable=True),
    Index(None, "user_id", "created_at"),
    Index(
        "ix_issued_tasks_unpublished",
        "completed_at",
        postgresql_where=text("completed_at IS NOT NULL AND published_at IS NULL"),
    ),
)

# Predictions as published, and how their tasks ended, which scoring adds. The pages' filters have
# indexes of what has ended only, so that keeping a prediction costs no more for them.
_ENDED = text("completed_at IS NOT NULL")
predictions = Table(
    "predictions",
    metadata,
    Column("request_id", String(128), primary_key=True),
    Column("arm", String(16), primary_key=True),
    Column("task_id", String(128), nullable=False),
    Column("user_id", String(128), nullable=False),
    Column("p_correct", Double, nullable=False),
    Column("expected_seconds", Double, nullable=False),
    Column("seconds_low", Double, nullable=False),
    Column("seconds_high", Double, nullable=False),
    Column("source", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    _time("predicted_at"),
    Column("is_correct", Boolean),
    Column("actual_time_seconds", Double),
    _time("completed_at", nullable=True),
    Column("topic", String(128)),
    Index(None, "task_id"),
    Index(None, "predicted_at"),
    Index(None, "completed_at"),
    Index(None, "user_id", "completed_at", postgresql_where=_ENDED),
    Index(None, "topic", "completed_at", postgresql_where=_ENDED),
    Index(None, "version", "completed_at", postgresql_where=_ENDED),
    Index(
        "ix_predictions_challenger",
        "completed_at",
        postgresql_where=text("arm = 'challenger'"),
    ),
)

prediction_scores = Table(
    "prediction_scores",
    metadata,
    Column("window_start", DateTime(timezone=True), primary_key=True),
    Column("window_seconds", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("source", String(16), primary_key=True),
    Column("arm", String(16), primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("scores", JSONB, nullable=False),
)

# What was done from the pages, and by whom; the newest lines are kept.
audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _time("at", now=True),
    Column("who", String(128), nullable=False),
    Column("address", String(64), nullable=False),
    Column("action", String(32), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("detail", Text),
)

# Sessions that were signed out of before their time, for all gateways.
signed_out = Table(
    "signed_out",
    metadata,
    Column("session", String(64), primary_key=True),
    _time("until"),
)

# Chances told beside what happened, summed: a row a tenth of chance that has any.
calibrations = Table(
    "calibrations",
    metadata,
    Column("window_start", DateTime(timezone=True), primary_key=True),
    Column("window_seconds", Integer, primary_key=True, autoincrement=False),
    Column("topic", String(128), primary_key=True),
    Column("arm", String(16), primary_key=True),
    Column("bin", SmallInteger, primary_key=True, autoincrement=False),
    Column("rows", BigInteger, nullable=False),
    Column("p_sum", Double, nullable=False),
    Column("correct", BigInteger, nullable=False),
)
