"""What the gate said of a version"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    state = sa.Column("state", sa.String(length=16), server_default="published", nullable=False)
    op.add_column("models", state)
    op.add_column("models", sa.Column("reason", sa.Text(), nullable=True))
    op.add_column("models", sa.Column("gate", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    for column in ("gate", "reason", "state"):
        op.drop_column("models", column)
