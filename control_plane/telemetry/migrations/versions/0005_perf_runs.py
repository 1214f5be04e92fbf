"""What perf runs measured, level by level, and what the load generator wrote."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "perf_levels",
        sa.Column("run", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("position", sa.SmallInteger, nullable=False, comment="in the order of measuring"),
        sa.Column("value", sa.Double, nullable=False, comment="callers, or requests a second"),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("throughput", sa.Double, nullable=False, comment="inferences a second"),
        sa.Column("mean_us", sa.Double, nullable=False),
        sa.Column("p50_us", sa.Double, nullable=False),
        sa.Column("p90_us", sa.Double, nullable=False),
        sa.Column("p95_us", sa.Double, nullable=False),
        sa.Column("p99_us", sa.Double, nullable=False),
        sa.Column("queue_us", sa.Double, nullable=False, comment="mean"),
        sa.Column("compute_input_us", sa.Double, nullable=False, comment="mean"),
        sa.Column("compute_infer_us", sa.Double, nullable=False, comment="mean"),
        sa.Column("compute_output_us", sa.Double, nullable=False, comment="mean"),
        sa.Column("network_us", sa.Double, nullable=False, comment="mean"),
        sa.Column("client_us", sa.Double, nullable=False, comment="mean"),
        sa.Column("spread", sa.Double, nullable=False, comment="between its windows, percent"),
        sa.Column("delayed", sa.Double, nullable=False, comment="requests, percent"),
        sa.Column("batch", sa.Double, comment="rows of an execution, mean; null: not known"),
        sa.Column("cpu", sa.Double, comment="0 to 1, of the server's machine; null: not known"),
        sa.Column("gpu", sa.Double, comment="0 to 1; null: not known"),
        sa.Column("left_out", sa.Text, nullable=False, comment="files that were too large"),
        sa.PrimaryKeyConstraint("run", "position"),
        schema="telemetry",
    )
    op.create_table(
        "perf_files",
        sa.Column("run", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("position", sa.SmallInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False, comment="gzipped"),
        sa.PrimaryKeyConstraint("run", "position", "name"),
        schema="telemetry",
    )
    op.create_index("perf_files_by_time", "perf_files", ["measured_at"], schema="telemetry")


def downgrade() -> None:
    for name in ("perf_files", "perf_levels"):
        op.drop_table(name, schema="telemetry")
