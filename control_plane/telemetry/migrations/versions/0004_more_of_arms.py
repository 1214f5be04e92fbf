"""First responses, shadows and the queue of each arm, beside its attempts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MORE = {
    "shadow_ok": "copies of requests that it answered",
    "shadow_failed": "copies that it failed",
    "shadow_same": "rows of them whose largest value stood where the answer's did",
    "shadow_other": "rows of them where it stood elsewhere",
    "queue_us": "sum of what its model's requests waited, whoever sent them",
    "queued": "requests that waited so long",
}


def _sketch(table: str, counts: type, comment: str | None) -> None:
    for name, kind, said in (
        ("first_buckets", sa.SmallInteger, comment),
        ("first_counts", counts, None),
    ):
        column = sa.Column(
            name, postgresql.ARRAY(kind), nullable=False, server_default="{}", comment=said
        )
        op.add_column(table, column, schema="telemetry")


def upgrade() -> None:
    # What was seen last says nothing of these: the next scrape begins anew, and makes nothing up.
    op.execute("DELETE FROM telemetry.arm_latest")
    op.execute("DELETE FROM telemetry.server_latest")
    for table in ("arm_steps", "arm_minutes"):
        _sketch(table, sa.Integer, "of the time to the first response")
        for name, comment in MORE.items():
            column = sa.Column(
                name, sa.BigInteger, nullable=False, server_default="0", comment=comment
            )
            op.add_column(table, column, schema="telemetry")
    _sketch("arm_latest", sa.BigInteger, None)
    more = sa.Column(
        "more",
        postgresql.JSONB,
        nullable=False,
        server_default="{}",
        comment="the counters beside these",
    )
    op.add_column("arm_latest", more, schema="telemetry")


def downgrade() -> None:
    op.drop_column("arm_latest", "more", schema="telemetry")
    for table in ("arm_steps", "arm_minutes", "arm_latest"):
        op.drop_column(table, "first_buckets", schema="telemetry")
        op.drop_column(table, "first_counts", schema="telemetry")
    for table in ("arm_steps", "arm_minutes"):
        for name in MORE:
            op.drop_column(table, name, schema="telemetry")
