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


MORE = {
    "shadow_ok": "copies of requests that it answered",
    "shadow_failed": "copies that it failed",
    "shadow_same": "rows of them whose largest value stood where the answer's did",
    "shadow_other": "rows of them where it stood elsewhere",
    "queue_us": "sum of what its model's requests waited, whoever sent them",
    "queued": "requests that waited so long",
    "keys_good": "sticky keys of which the first request to end was answered",
    "keys_bad": "sticky keys of which the arm failed the first request to end",
    "confidence_of": "requests of which it was read how sure their answers were",
    "confidence_sum": "how sure those were, in millionths, summed up",
}
"""What is counted of an arm beside its attempts."""


def _growth(name: str, sampled_at: str) -> sa.Table:
    """What each arm's counters grew by; a row where there was something to count."""
    return sa.Table(
        name,
        metadata,
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
        sa.Column(
            "first_buckets",
            postgresql.ARRAY(sa.SmallInteger),
            nullable=False,
            server_default="{}",
            comment="of the time to the first response",
        ),
        sa.Column(
            "first_counts", postgresql.ARRAY(sa.Integer), nullable=False, server_default="{}"
        ),
        sa.Column(
            "shadow_buckets",
            postgresql.ARRAY(sa.SmallInteger),
            nullable=False,
            server_default="{}",
            comment="of how long copies took",
        ),
        sa.Column(
            "shadow_counts", postgresql.ARRAY(sa.Integer), nullable=False, server_default="{}"
        ),
        sa.Column(
            "confidence_buckets",
            postgresql.ARRAY(sa.SmallInteger),
            nullable=False,
            server_default="{}",
            comment="of how sure answers were",
        ),
        sa.Column(
            "confidence_counts", postgresql.ARRAY(sa.Integer), nullable=False, server_default="{}"
        ),
        *(
            sa.Column(name, sa.BigInteger, nullable=False, server_default="0", comment=comment)
            for name, comment in MORE.items()
        ),
        sa.PrimaryKeyConstraint("endpoint", "arm", "server_id", "sampled_at"),
        sa.Index(f"{name}_by_time", "sampled_at"),
        postgresql_partition_by="RANGE (sampled_at)",
    )


arm_steps = _growth("arm_steps", "the later of the two scrapes")
arm_minutes = _growth("arm_minutes", "the beginning of the minute")

arm_latest = sa.Table(
    "arm_latest",
    metadata,
    sa.Column("server_id", postgresql.UUID(as_uuid=True), nullable=False),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("arm", sa.Text, nullable=False, comment="the physical model"),
    sa.Column("outcomes", postgresql.JSONB, nullable=False, comment="since Triton started"),
    sa.Column("duration_us", sa.BigInteger, nullable=False, comment="sum"),
    sa.Column("buckets", postgresql.ARRAY(sa.SmallInteger), nullable=False),
    sa.Column("counts", postgresql.ARRAY(sa.BigInteger), nullable=False),
    sa.Column(
        "first_buckets", postgresql.ARRAY(sa.SmallInteger), nullable=False, server_default="{}"
    ),
    sa.Column("first_counts", postgresql.ARRAY(sa.BigInteger), nullable=False, server_default="{}"),
    sa.Column(
        "shadow_buckets", postgresql.ARRAY(sa.SmallInteger), nullable=False, server_default="{}"
    ),
    sa.Column(
        "shadow_counts", postgresql.ARRAY(sa.BigInteger), nullable=False, server_default="{}"
    ),
    sa.Column(
        "confidence_buckets", postgresql.ARRAY(sa.SmallInteger), nullable=False, server_default="{}"
    ),
    sa.Column(
        "confidence_counts", postgresql.ARRAY(sa.BigInteger), nullable=False, server_default="{}"
    ),
    sa.Column(
        "more",
        postgresql.JSONB,
        nullable=False,
        server_default="{}",
        comment="the counters beside these",
    ),
    sa.Column("breaker", sa.SmallInteger, comment="0 closed, 1 half-open, 2 open"),
    sa.Column("attempts_left", sa.BigInteger, comment="of its allowance; null: no bound"),
    sa.Column("failures_left", sa.BigInteger, comment="of its allowance; null: no bound"),
    sa.PrimaryKeyConstraint("server_id", "endpoint", "arm"),
)

server_latest = sa.Table(
    "server_latest",
    metadata,
    sa.Column("server_id", postgresql.UUID(as_uuid=True), primary_key=True),
    sa.Column("sampled_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("host", postgresql.JSONB, nullable=False, comment="memory and processors, if known"),
)

server_minutes = sa.Table(
    "server_minutes",
    metadata,
    sa.Column("sampled_at", sa.DateTime(timezone=True), nullable=False, comment="its beginning"),
    sa.Column("server_id", postgresql.UUID(as_uuid=True), nullable=False),
    sa.Column("scrapes", sa.Integer, nullable=False, comment="0 is no row: nothing was measured"),
    sa.Column(
        "covers_ms",
        sa.Integer,
        nullable=False,
        server_default="0",
        comment="how much of the time growth is known of, counted as growth is",
    ),
    sa.PrimaryKeyConstraint("sampled_at", "server_id"),
    postgresql_partition_by="RANGE (sampled_at)",
)

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
"""What Triton counts of a model; times are microseconds, of every request its whole batch's."""

model_minutes = sa.Table(
    "model_minutes",
    metadata,
    sa.Column("sampled_at", sa.DateTime(timezone=True), nullable=False, comment="its beginning"),
    sa.Column("server_id", postgresql.UUID(as_uuid=True), nullable=False),
    sa.Column("model", sa.Text, nullable=False, comment="physical, or a router's: all versions"),
    *(
        sa.Column(name, sa.BigInteger, nullable=False, comment=comment)
        for name, comment in MODEL_COUNTS.items()
    ),
    sa.Column("pending", sa.BigInteger, nullable=False, comment="in the queue, the most seen"),
    sa.PrimaryKeyConstraint("model", "server_id", "sampled_at"),
    sa.Index("model_minutes_by_time", "sampled_at"),
    postgresql_partition_by="RANGE (sampled_at)",
)

model_latest = sa.Table(
    "model_latest",
    metadata,
    sa.Column("server_id", postgresql.UUID(as_uuid=True), nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("counts", postgresql.JSONB, nullable=False, comment="since it was loaded"),
    sa.PrimaryKeyConstraint("server_id", "model", "version"),
)

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("counted_at", sa.DateTime(timezone=True), comment="when its arm was known"),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("arm", sa.Text, comment="the physical model; null: not known yet, or never"),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("of", sa.Integer, nullable=False, comment="answers judged"),
    sa.Column("count", sa.Integer, nullable=False, comment="of them, those with the outcome"),
    sa.Column("request_id", sa.Text, comment="of the one request that it is about"),
    sa.CheckConstraint('"of" >= 1 AND "count" BETWEEN 0 AND "of"', name="feedback_is_a_share"),
    sa.CheckConstraint("(arm IS NULL) = (counted_at IS NULL)", name="feedback_counts_for_an_arm"),
    sa.CheckConstraint(
        'CASE WHEN request_id IS NULL THEN arm IS NOT NULL ELSE "of" = 1 END',
        name="feedback_of_one_request",
    ),
    sa.Index("feedback_by_moment", "endpoint", "counted_at"),
    sa.Index("feedback_by_request", "endpoint", "request_id"),
    sa.Index("feedback_waiting", "received_at", postgresql_where=sa.text("arm IS NULL")),
    postgresql_partition_by="RANGE (received_at)",
)

perf_levels = sa.Table(
    "perf_levels",
    metadata,
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
)

perf_files = sa.Table(
    "perf_files",
    metadata,
    sa.Column("run", postgresql.UUID(as_uuid=True), nullable=False),
    sa.Column("position", sa.SmallInteger, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False, comment="gzipped"),
    sa.PrimaryKeyConstraint("run", "position", "name"),
    sa.Index("perf_files_by_time", "measured_at"),
)

PARTITIONED = (
    model_samples,
    arm_samples,
    arm_steps,
    arm_minutes,
    model_minutes,
    server_minutes,
    feedback,
)
