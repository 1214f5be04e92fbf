"""How sure an arm's answers were, where a policy asks for it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = {"arm_steps": sa.Integer, "arm_minutes": sa.Integer, "arm_latest": sa.BigInteger}
SUMMED = ("arm_steps", "arm_minutes")
SUMS = {
    "confidence_of": "requests of which it was read how sure their answers were",
    "confidence_sum": "how sure those were, in millionths, summed up",
}


def upgrade() -> None:
    for table, counts in TABLES.items():
        said = "of how sure answers were" if table in SUMMED else None
        for name, kind, comment in (
            ("confidence_buckets", sa.SmallInteger, said),
            ("confidence_counts", counts, None),
        ):
            column = sa.Column(
                name, postgresql.ARRAY(kind), nullable=False, server_default="{}", comment=comment
            )
            op.add_column(table, column, schema="telemetry")
    for table in SUMMED:
        for name, comment in SUMS.items():
            column = sa.Column(
                name, sa.BigInteger, nullable=False, server_default="0", comment=comment
            )
            op.add_column(table, column, schema="telemetry")


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "confidence_buckets", schema="telemetry")
        op.drop_column(table, "confidence_counts", schema="telemetry")
    for table in SUMMED:
        for name in SUMS:
            op.drop_column(table, name, schema="telemetry")
