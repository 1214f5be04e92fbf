"""How long copies of requests took, beside how long requests did."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = {"arm_steps": sa.Integer, "arm_minutes": sa.Integer, "arm_latest": sa.BigInteger}


def upgrade() -> None:
    for table, counts in TABLES.items():
        said = None if table == "arm_latest" else "of how long copies took"
        for name, kind, comment in (
            ("shadow_buckets", sa.SmallInteger, said),
            ("shadow_counts", counts, None),
        ):
            column = sa.Column(
                name, postgresql.ARRAY(kind), nullable=False, server_default="{}", comment=comment
            )
            op.add_column(table, column, schema="telemetry")


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "shadow_buckets", schema="telemetry")
        op.drop_column(table, "shadow_counts", schema="telemetry")
