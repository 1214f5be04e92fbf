"""Whose requests wait just now is asked of all models at once."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("model_minutes_by_time", "model_minutes", ["sampled_at"], schema="telemetry")


def downgrade() -> None:
    op.drop_index("model_minutes_by_time", "model_minutes", schema="telemetry")
