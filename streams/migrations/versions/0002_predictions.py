"""Predictions and their scores"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "predictions",
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("arm", sa.String(length=16), nullable=False),
        sa.Column("task_id", sa.String(length=128), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("p_correct", sa.Double(), nullable=False),
        sa.Column("expected_seconds", sa.Double(), nullable=False),
        sa.Column("seconds_low", sa.Double(), nullable=False),
        sa.Column("seconds_high", sa.Double(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("predicted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_correct", sa.Boolean(), nullable=True),
        sa.Column("actual_time_seconds", sa.Double(), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("request_id", "arm", name=op.f("pk_predictions")),
    )
    for column in ("task_id", "predicted_at", "completed_at"):
        op.create_index(op.f(f"ix_predictions_{column}"), "predictions", [column], unique=False)
    op.create_table(
        "prediction_scores",
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_seconds", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("arm", sa.String(length=16), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("scores", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint(
            "window_start", "window_seconds", "version", "source", "arm",
            name=op.f("pk_prediction_scores"),
        ),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("prediction_scores")
    op.drop_table("predictions")
