"""What each model grew by, by the minute, and how much of a minute was measured."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MODEL_COUNTS = {
    "requests_ok": "requests that it answered, also from the response cache",
    "requests_failed": "requests that it failed",
    "inferences": "rows that it computed",
    "executions": "batches that it computed",
    "request_us": "sum of what requests took, from their arrival to their answer",
    "queue_us": "sum of what they waited",
    "compute_input_us": "sum of what their batches took to be put together",
    "compute_infer_us": "sum of what these took to be computed",
    "compute_output_us": "sum of what their answers took to be made",
    "cache_hits": "requests that the response cache answered",
    "cache_misses": "requests that it was asked and could not",
}


def upgrade() -> None:
    # What was seen last says nothing of these: the next scrape begins anew, and makes nothing up.
    op.execute("DELETE FROM telemetry.arm_latest")
    op.execute("DELETE FROM telemetry.server_latest")
    counts = (
        sa.Column(name, sa.BigInteger, nullable=False, comment=comment)
        for name, comment in MODEL_COUNTS.items()
    )
    op.create_table(
        "model_minutes",
        sa.Column(
            "sampled_at", sa.DateTime(timezone=True), nullable=False, comment="its beginning"
        ),
        sa.Column("server_id", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column(
            "model", sa.Text, nullable=False, comment="physical, or a router's: all versions"
        ),
        *counts,
        sa.Column("pending", sa.BigInteger, nullable=False, comment="in the queue, the most seen"),
        sa.PrimaryKeyConstraint("model", "server_id", "sampled_at"),
        schema="telemetry",
        postgresql_partition_by="RANGE (sampled_at)",
    )
    op.create_table(
        "model_latest",
        sa.Column("server_id", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("counts", postgresql.JSONB, nullable=False, comment="since it was loaded"),
        sa.PrimaryKeyConstraint("server_id", "model", "version"),
        schema="telemetry",
    )
    covers = sa.Column(
        "covers_ms",
        sa.Integer,
        nullable=False,
        server_default="0",
        comment="how much of the time growth is known of, counted as growth is",
    )
    op.add_column("server_minutes", covers, schema="telemetry")


def downgrade() -> None:
    op.drop_column("server_minutes", "covers_ms", schema="telemetry")
    op.drop_table("model_latest", schema="telemetry")
    op.drop_table("model_minutes", schema="telemetry")
