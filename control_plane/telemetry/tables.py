"""The tables of the schema `telemetry`, one partition a day.

They share no foreign key with the registry: they join on the server's UUID.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

SCHEMA = "telemetry"

metadata = sa.MetaData(schema=SCHEMA)

model_samples = sa.Table(
    "model_samples",
    metadata,
    sa.Column("sampled_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("server_id", postgresql.UUID(as_uuid=True), nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("requests_ok", sa.BigInteger, nullable=False, comment="since the model was loaded"),
    sa.Column("requests_failed", sa.BigInteger, nullable=False),
    sa.Column("inferences", sa.BigInteger, nullable=False, comment="rows, batches counted out"),
    sa.Column("executions", sa.BigInteger, nullable=False, comment="batches"),
    sa.Column("request_us", sa.BigInteger, nullable=False, comment="sum, microseconds"),
    sa.Column("queue_us", sa.BigInteger, nullable=False, comment="sum, microseconds"),
    sa.Column("compute_us", sa.BigInteger, nullable=False, comment="sum, microseconds"),
    sa.Column("pending", sa.BigInteger, nullable=False, comment="requests in the queue"),
    sa.PrimaryKeyConstraint("server_id", "model", "version", "sampled_at"),
    postgresql_partition_by="RANGE (sampled_at)",
)

arm_samples = sa.Table(
    "arm_samples",
    metadata,
    sa.Column("sampled_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("server_id", postgresql.UUID(as_uuid=True), nullable=False),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("arm", sa.Text, nullable=False, comment="the physical model"),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("requests", sa.BigInteger, nullable=False, comment="since Triton started"),
    sa.PrimaryKeyConstraint("endpoint", "arm", "outcome", "server_id", "sampled_at"),
    postgresql_partition_by="RANGE (sampled_at)",
)

PARTITIONED = (model_samples, arm_samples)
