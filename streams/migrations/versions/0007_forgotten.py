"""Who is forgotten; nobody's completions are no learner's task

A column with a constant default is added without writing a row: the lock is held for an instant.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

# As in 0001, but for what was a forgotten learner's.
PRACTICE_TASKS = """
CREATE OR REPLACE VIEW practice_tasks AS
SELECT c.task_id AS id, c.user_id, c.topic, c.difficulty, c.is_correct, c.actual_time_seconds,
       TRUE AS completed, COALESCE(i.created_at, c.started_at) AS created_at, c.completed_at,
       c.number, i.predicted_correct, i.predicted_time_seconds, i.seconds_low, i.seconds_high,
       i.source, i.reason, i.model_version
FROM completions c LEFT JOIN issued_tasks i USING (task_id) {where}
UNION ALL
SELECT i.task_id, i.user_id, i.topic, i.difficulty, i.is_correct, i.actual_time_seconds,
       i.completed_at IS NOT NULL, i.created_at, i.completed_at,
       NULL, i.predicted_correct, i.predicted_time_seconds, i.seconds_low, i.seconds_high,
       i.source, i.reason, i.model_version
FROM issued_tasks i
WHERE NOT EXISTS (SELECT FROM completions c WHERE c.task_id = i.task_id)
"""


def upgrade() -> None:
    op.execute(PRACTICE_TASKS.format(where="WHERE c.user_id <> ''"))
    version = sa.Column("forgotten", sa.BigInteger(), server_default="0", nullable=False)
    op.add_column("numbering", version)
    op.create_table(
        "forgotten",
        sa.Column("learner", sa.String(length=64), nullable=False),
        sa.Column("salt", sa.String(length=64), nullable=False),
        sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("learner", name="pk_forgotten"),
    )


def downgrade() -> None:
    op.drop_table("forgotten")
    op.drop_column("numbering", "forgotten")
    op.execute(PRACTICE_TASKS.format(where=""))
