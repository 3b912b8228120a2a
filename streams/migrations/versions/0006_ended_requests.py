"""How the last training ended, found without reading all requests"""

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


def downgrade() -> None:
    op.drop_index("ix_train_requests_ended", table_name="train_requests")
