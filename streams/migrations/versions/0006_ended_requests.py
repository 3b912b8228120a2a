"""How the last trainings ended, found without reading all requests"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index(
        "ix_train_requests_ended",
        "train_requests",
        ["ended_at"],
        postgresql_where=sa.text("ended_at IS NOT NULL AND state <> 'superseded'"),
    )
    op.create_index(
        "ix_train_requests_failed",
        "train_requests",
        ["ended_at"],
        postgresql_where=sa.text("ended_at IS NOT NULL AND state IN ('failed', 'rejected')"),
    )


def downgrade() -> None:
    op.drop_index("ix_train_requests_failed", table_name="train_requests")
    op.drop_index("ix_train_requests_ended", table_name="train_requests")
