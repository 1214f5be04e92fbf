"""What arms grew by, scrape by scrape and minute by minute, with their latencies."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _growth(name: str, sampled_at: str) -> None:
    op.create_table(
        name,
        sa.Column("sampled_at", sa.DateTime(timezone=True), nullable=False, comment=sampled_at),
        sa.Column("server_id", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("arm", sa.Text, nullable=False, comment="the physical model"),
        sa.Column("covers_ms", sa.Integer, nullable=False, comment="since the scrape before"),
        sa.Column("requests", sa.BigInteger, nullable=False, comment="attempts"),
        sa.Column("failures", sa.BigInteger, nullable=False, comment="the arm's own"),
        sa.Column("handed_on", sa.BigInteger, nullable=False, comment="to the primary"),
        sa.Column("errors", sa.BigInteger, nullable=False, comment="that callers got"),
        sa.Column("duration_us", sa.BigInteger, nullable=False, comment="sum"),
        sa.Column("buckets", postgresql.ARRAY(sa.SmallInteger), nullable=False),
        sa.Column("counts", postgresql.ARRAY(sa.Integer), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "arm", "server_id", "sampled_at"),
        schema="telemetry",
        postgresql_partition_by="RANGE (sampled_at)",
    )
    op.create_index(f"{name}_by_time", name, ["sampled_at"], schema="telemetry")


def upgrade() -> None:
    _growth("arm_steps", "the later of the two scrapes")
    _growth("arm_minutes", "the beginning of the minute")
    op.create_table(
        "arm_latest",
        sa.Column("server_id", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("arm", sa.Text, nullable=False, comment="the physical model"),
        sa.Column("outcomes", postgresql.JSONB, nullable=False, comment="since Triton started"),
        sa.Column("duration_us", sa.BigInteger, nullable=False, comment="sum"),
        sa.Column("buckets", postgresql.ARRAY(sa.SmallInteger), nullable=False),
        sa.Column("counts", postgresql.ARRAY(sa.BigInteger), nullable=False),
        sa.Column("breaker", sa.SmallInteger, comment="0 closed, 1 half-open, 2 open"),
        sa.Column("attempts_left", sa.BigInteger, comment="of its allowance; null: no bound"),
        sa.Column("failures_left", sa.BigInteger, comment="of its allowance; null: no bound"),
        sa.PrimaryKeyConstraint("server_id", "endpoint", "arm"),
        schema="telemetry",
    )
    op.create_table(
        "server_latest",
        sa.Column("server_id", postgresql.UUID(as_uuid=True), primary_key=True),
        sa.Column("sampled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "host", postgresql.JSONB, nullable=False, comment="memory and processors, if known"
        ),
        schema="telemetry",
    )
    op.create_table(
        "server_minutes",
        sa.Column(
            "sampled_at", sa.DateTime(timezone=True), nullable=False, comment="its beginning"
        ),
        sa.Column("server_id", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column(
            "scrapes", sa.Integer, nullable=False, comment="0 is no row: nothing was measured"
        ),
        sa.PrimaryKeyConstraint("sampled_at", "server_id"),
        schema="telemetry",
        postgresql_partition_by="RANGE (sampled_at)",
    )


def downgrade() -> None:
    for name in ("server_minutes", "server_latest", "arm_latest", "arm_minutes", "arm_steps"):
        op.drop_table(name, schema="telemetry")
