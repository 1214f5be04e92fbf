"""What callers say of the answers they got."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "feedback",
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counted_at", sa.DateTime(timezone=True), comment="when its arm was known"),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("arm", sa.Text, comment="the physical model; null: not known yet, or never"),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("of", sa.Integer, nullable=False, comment="answers judged"),
        sa.Column("count", sa.Integer, nullable=False, comment="of them, those with the outcome"),
        sa.Column("request_id", sa.Text, comment="of the one request that it is about"),
        sa.CheckConstraint('"of" >= 1 AND "count" BETWEEN 0 AND "of"', name="feedback_is_a_share"),
        sa.CheckConstraint(
            "(arm IS NULL) = (counted_at IS NULL)", name="feedback_counts_for_an_arm"
        ),
        sa.CheckConstraint(
            'CASE WHEN request_id IS NULL THEN arm IS NOT NULL ELSE "of" = 1 END',
            name="feedback_of_one_request",
        ),
        schema="telemetry",
        postgresql_partition_by="RANGE (received_at)",
    )
    op.create_index(
        "feedback_by_moment", "feedback", ["endpoint", "counted_at"], schema="telemetry"
    )
    op.create_index(
        "feedback_by_request", "feedback", ["endpoint", "request_id"], schema="telemetry"
    )
    op.create_index(
        "feedback_waiting",
        "feedback",
        ["received_at"],
        schema="telemetry",
        postgresql_where=sa.text("arm IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("feedback", schema="telemetry")
