"""The topic of scored predictions, indexes for the pages' filters, and calibration as kept sums

What is stored already is told its topic and summed: at most 30 days of predictions. They are
written anew, which for millions takes a tenth of the time of an update.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
BEFORE = ("task_id", "predicted_at", "completed_at")
INDEXES = {
    "ix_predictions_user_id_completed_at": "(user_id, completed_at) WHERE completed_at IS NOT NULL",
    "ix_predictions_topic_completed_at": "(topic, completed_at) WHERE completed_at IS NOT NULL",
    "ix_predictions_version_completed_at": "(version, completed_at) WHERE completed_at IS NOT NULL",
    "ix_predictions_challenger": "(completed_at) WHERE arm = 'challenger'",
}
SAME = """request_id, arm, task_id, user_id, p_correct, expected_seconds, seconds_low, seconds_high,
    source, version, predicted_at, is_correct, actual_time_seconds, completed_at"""
# Adding the column locked the table, so that nothing is kept meanwhile.
ANEW = (
    "CREATE TABLE told (LIKE predictions)",
    f"""INSERT INTO told ({SAME}, topic)
        SELECT {SAME}, CASE WHEN completed_at IS NOT NULL THEN c.topic END FROM predictions p
        LEFT JOIN (SELECT task_id, topic FROM completions) c USING (task_id)""",  # noqa: S608
    "DROP TABLE predictions",
    "ALTER TABLE told RENAME TO predictions",
    "ALTER TABLE predictions ADD CONSTRAINT pk_predictions PRIMARY KEY (request_id, arm)",
    *(f"CREATE INDEX ix_predictions_{column} ON predictions ({column})" for column in BEFORE),
)
# By windows as long as those of the newest scores; without scores no task has ended.
SUMS = """INSERT INTO calibrations
    SELECT to_timestamp(floor(extract(epoch FROM p.completed_at) / w.seconds) * w.seconds),
        w.seconds, coalesce(p.topic, ''), p.arm, least(9, floor(p.p_correct * 10)), count(*),
        sum(p.p_correct), sum(p.is_correct::int)
    FROM (
        SELECT DISTINCT ON (task_id, arm) * FROM predictions WHERE completed_at IS NOT NULL
        ORDER BY task_id, arm, predicted_at, request_id
    ) p CROSS JOIN (
        SELECT window_seconds AS seconds FROM prediction_scores ORDER BY window_start DESC LIMIT 1
    ) w
    GROUP BY 1, 2, 3, 4, 5"""


def upgrade() -> None:
    op.execute("SET LOCAL statement_timeout = 0")
    op.execute("SET LOCAL work_mem = '64MB'")
    op.add_column("predictions", sa.Column("topic", sa.String(length=128), nullable=True))
    for statement in ANEW:
        op.execute(statement)
    for name, what in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON predictions {what}")
    op.create_table(
        "calibrations",
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_seconds", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("topic", sa.String(length=128), nullable=False),
        sa.Column("arm", sa.String(length=16), nullable=False),
        sa.Column("bin", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("p_sum", sa.Double(), nullable=False),
        sa.Column("correct", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "window_start", "window_seconds", "topic", "arm", "bin", name="pk_calibrations"
        ),
    )
    op.execute(SUMS)


def downgrade() -> None:
    op.drop_table("calibrations")
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
    op.drop_column("predictions", "topic")
