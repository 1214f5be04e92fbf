"""Sticky keys of each arm, each counted once under one load of its router."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

KEYS = {
    "keys_good": "sticky keys of which the first request to end was answered",
    "keys_bad": "sticky keys of which the arm failed the first request to end",
}


def upgrade() -> None:
    for table in ("arm_steps", "arm_minutes"):
        for name, comment in KEYS.items():
            column = sa.Column(
                name, sa.BigInteger, nullable=False, server_default="0", comment=comment
            )
            op.add_column(table, column, schema="telemetry")


def downgrade() -> None:
    for table in ("arm_steps", "arm_minutes"):
        for name in KEYS:
            op.drop_column(table, name, schema="telemetry")
