"""Samples per server and model, and per server and arm, one partition a day."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "model_samples",
        sa.Column("sampled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("server_id", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column(
            "requests_ok", sa.BigInteger, nullable=False, comment="since the model was loaded"
        ),
        sa.Column("requests_failed", sa.BigInteger, nullable=False),
        sa.Column(
            "inferences", sa.BigInteger, nullable=False, comment="rows, batches counted out"
        ),
        sa.Column("executions", sa.BigInteger, nullable=False, comment="batches"),
        sa.Column("request_us", sa.BigInteger, nullable=False, comment="sum, microseconds"),
        sa.Column("queue_us", sa.BigInteger, nullable=False, comment="sum, microseconds"),
        sa.Column("compute_us", sa.BigInteger, nullable=False, comment="sum, microseconds"),
        sa.Column("pending", sa.BigInteger, nullable=False, comment="requests in the queue"),
        sa.PrimaryKeyConstraint("server_id", "model", "version", "sampled_at"),
        schema="telemetry",
        postgresql_partition_by="RANGE (sampled_at)",
    )
    op.create_table(
        "arm_samples",
        sa.Column("sampled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("server_id", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("arm", sa.Text, nullable=False, comment="the physical model"),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False, comment="since Triton started"),
        sa.PrimaryKeyConstraint("endpoint", "arm", "outcome", "server_id", "sampled_at"),
        schema="telemetry",
        postgresql_partition_by="RANGE (sampled_at)",
    )


def downgrade() -> None:
    op.drop_table("arm_samples", schema="telemetry")
    op.drop_table("model_samples", schema="telemetry")
