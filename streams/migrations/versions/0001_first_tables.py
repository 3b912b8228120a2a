"""First tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


FIRST_NUMBERING = """
INSERT INTO numbering (id, generation, last_number)
VALUES (1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, 0)
"""

# Tasks that the gateway issued, and completions of any producer, as one table of tasks.
PRACTICE_TASKS = """
CREATE VIEW practice_tasks AS
SELECT c.task_id AS id, c.user_id, c.topic, c.difficulty, c.is_correct, c.actual_time_seconds,
       TRUE AS completed, COALESCE(i.created_at, c.started_at) AS created_at, c.completed_at,
       c.number, i.predicted_correct, i.predicted_time_seconds, i.seconds_low, i.seconds_high,
       i.source, i.reason, i.model_version
FROM completions c LEFT JOIN issued_tasks i USING (task_id)
UNION ALL
SELECT i.task_id, i.user_id, i.topic, i.difficulty, i.is_correct, i.actual_time_seconds,
       i.completed_at IS NOT NULL, i.created_at, i.completed_at,
       NULL, i.predicted_correct, i.predicted_time_seconds, i.seconds_low, i.seconds_high,
       i.source, i.reason, i.model_version
FROM issued_tasks i
WHERE NOT EXISTS (SELECT FROM completions c WHERE c.task_id = i.task_id)
"""

# One row, computed from the registry and the counter, so it is right after any crash.
EMBEDDING_MODEL_TRACKER = """
CREATE VIEW embedding_model_tracker AS
SELECT 1 AS id,
       newest.trained_at AS last_trained_at,
       COALESCE(newest.completions, 0) AS n_samples_last_training,
       GREATEST(n.last_number - COALESCE(newest.completions, 0), 0) AS n_samples_since_training,
       serving.version AS model_version,
       jsonb_build_object('request_id', newest.request_id, 'newest_version', newest.version,
                          'revision', serving.revision, 'metrics', newest.metrics) AS metadata,
       (SELECT min(trained_at) FROM models) AS created_at,
       GREATEST(newest.trained_at, serving.created_at) AS updated_at
FROM numbering n
LEFT JOIN LATERAL (SELECT * FROM models ORDER BY version DESC LIMIT 1) newest ON TRUE
LEFT JOIN LATERAL (SELECT * FROM revisions ORDER BY revision DESC LIMIT 1) serving ON TRUE
"""


def upgrade() -> None:
    op.create_table(
        "cadences",
        sa.Column("first_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("every", sa.Integer(), nullable=False),
        sa.Column(
            "set_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("first_number", name=op.f("pk_cadences")),
    )
    op.create_table(
        "completions",
        sa.Column("task_id", sa.String(length=128), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("topic", sa.String(length=128), nullable=False),
        sa.Column("difficulty", sa.String(length=32), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_correct", sa.Boolean(), nullable=False),
        sa.Column("actual_time_seconds", sa.Double(), nullable=False),
        sa.Column("timed_out", sa.Boolean(), nullable=False),
        sa.Column("log_partition", sa.Integer(), nullable=False),
        sa.Column("log_offset", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_completions")),
        sa.UniqueConstraint("number", name=op.f("uq_completions_number")),
    )
    op.create_index(
        op.f("ix_completions_user_id_number"), "completions", ["user_id", "number"], unique=False
    )
    op.create_table(
        "issued_tasks",
        sa.Column("task_id", sa.String(length=128), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("topic", sa.String(length=128), nullable=False),
        sa.Column("difficulty", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("predicted_correct", sa.Double(), nullable=True),
        sa.Column("predicted_time_seconds", sa.Double(), nullable=True),
        sa.Column("seconds_low", sa.Double(), nullable=True),
        sa.Column("seconds_high", sa.Double(), nullable=True),
        sa.Column("source", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("model_version", sa.Integer(), nullable=True),
        sa.Column("is_correct", sa.Boolean(), nullable=True),
        sa.Column("actual_time_seconds", sa.Double(), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_issued_tasks")),
    )
    op.create_index(
        "ix_issued_tasks_unpublished",
        "issued_tasks",
        ["completed_at"],
        unique=False,
        postgresql_where=sa.text("completed_at IS NOT NULL AND published_at IS NULL"),
    )
    op.create_index(
        op.f("ix_issued_tasks_user_id_created_at"),
        "issued_tasks",
        ["user_id", "created_at"],
        unique=False,
    )
    op.create_table(
        "log_positions",
        sa.Column("topic_id", sa.String(length=64), nullable=False),
        sa.Column("log_partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("topic", sa.String(length=249), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("topic_id", "log_partition", name=op.f("pk_log_positions")),
    )
    op.create_table(
        "models",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("artifact", sa.String(length=128), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("trained_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completions", sa.BigInteger(), nullable=False),
        sa.Column("users", sa.Integer(), nullable=False),
        sa.Column("topics", sa.Integer(), nullable=False),
        sa.Column("difficulties", sa.Integer(), nullable=False),
        sa.Column("metrics", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_models")),
        sa.UniqueConstraint("request_id", name=op.f("uq_models_request_id")),
    )
    op.create_table(
        "numbering",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_numbering_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_numbering")),
    )
    op.create_table(
        "train_requests",
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("trigger", sa.String(length=16), nullable=False),
        sa.Column("completions", sa.BigInteger(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_train_requests")),
    )
    op.create_index(op.f("ix_train_requests_state"), "train_requests", ["state"], unique=False)
    op.create_table(
        "revisions",
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("cause", sa.String(length=16), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["version"], ["models.version"], name=op.f("fk_revisions_version")),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_revisions")),
    )
    op.execute(FIRST_NUMBERING)
    op.execute(PRACTICE_TASKS)
    op.execute(EMBEDDING_MODEL_TRACKER)


def downgrade() -> None:
    op.execute("DROP VIEW embedding_model_tracker, practice_tasks")
    op.drop_table("revisions")
    op.drop_index(op.f("ix_train_requests_state"), table_name="train_requests")
    op.drop_table("train_requests")
    op.drop_table("numbering")
    op.drop_table("models")
    op.drop_table("log_positions")
    op.drop_index(op.f("ix_issued_tasks_user_id_created_at"), table_name="issued_tasks")
    op.drop_index(
        "ix_issued_tasks_unpublished",
        table_name="issued_tasks",
        postgresql_where=sa.text("completed_at IS NOT NULL AND published_at IS NULL"),
    )
    op.drop_table("issued_tasks")
    op.drop_index(op.f("ix_completions_user_id_number"), table_name="completions")
    op.drop_table("completions")
    op.drop_table("cadences")
