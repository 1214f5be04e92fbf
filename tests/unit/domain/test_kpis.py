"""The figures of an endpoint: each by a worked example, and what is not measured is not zero."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from control_plane.domain.kpis import figures
from control_plane.domain.kpis.counted import ArmCounts, ArmPiece, Counted, ModelCounts
from control_plane.domain.kpis.report import Network, Served, report
from control_plane.domain.kpis.span import read_span
from control_plane.domain.kpis.time_parts import Part, StepWork, arm_parts, model_parts
from control_plane.domain.violations import InvalidInputError

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MS_1, MS_2, MS_3 = 62, 76, 84
"""Buckets whose upper edges are 1.03, 2.04 and 3.01 ms."""

# 4,000 requests in 1,000 batches of 4: each waited 1 ms, and its batch took 6 ms.
BATCHED = ModelCounts(
    requests_ok=4000,
    inferences=8000,
    executions=1000,
    request_us=28_400_000,
    queue_us=4_000_000,
    compute_input_us=2_000_000,
    compute_infer_us=20_000_000,
    compute_output_us=2_000_000,
)


def test_rates_leave_out_what_failed_and_what_was_refused() -> None:
    # Of 60 failures 10 were handed on; callers got 50 of them and 40 refusals as errors.
    arm = ArmCounts(requests=3000, failures=60, handed_on=10, errors=90)
    assert figures.rate(arm, 60) == 50
    assert figures.success_rate(arm, 60) == pytest.approx((3000 - 60 - 40) / 60)
    assert figures.failed_share(arm) == pytest.approx(0.02)
    assert arm.calls == 2990


def test_what_a_model_did() -> None:
    model = replace(BATCHED, instance_seconds=60.0)
    assert figures.queue_us(model) == 1000
    assert figures.processing_us(model) == 6000
    assert figures.queue_share(model) == pytest.approx(1 / 7)
    assert figures.batch_rows(model) == 8
    assert figures.batch_requests(model) == 4
    assert figures.utilisation(model) == pytest.approx(0.1)  # 1,000 batches of 6 ms in a minute
    assert figures.cache_hit_share(model) is None


def test_what_the_cache_answers_is_neither_computed_nor_work() -> None:
    cached = replace(
        BATCHED, requests_ok=8000, cache_hits=4000, cache_misses=4000, instance_seconds=60.0
    )
    assert figures.cache_hit_share(cached) == 0.5
    assert figures.batch_requests(cached) == 4
    assert figures.utilisation(cached) == pytest.approx(0.1)
    assert figures.processing_us(cached) == 6000


def test_what_was_not_measured_is_not_zero() -> None:
    arm, model = ArmCounts(), ModelCounts()
    said = [figures.rate(arm, 0), figures.failed_share(arm), figures.latency_us(arm, 0.5)]
    said += [figures.degradation(arm), figures.sustained_peak(arm), figures.utilisation(model)]
    said += [figures.queue_us(model), figures.batch_rows(model), figures.queue_share(model)]
    assert said == [None] * len(said)
    assert model_parts(model) == () == arm_parts(arm, None, None)


def pieces(*load: tuple[int, int]) -> tuple[ArmPiece, ...]:
    """(requests in a minute, bucket of all of them), piece by piece."""
    return tuple(ArmPiece(60, count, {bucket: float(count)}) for count, bucket in load)


def test_degradation_is_of_the_busy_quarter_against_the_quiet_one() -> None:
    busy = ArmCounts(pieces=pieces((600, MS_3), (300, MS_2), (400, MS_2), (450, MS_2)))
    assert figures.degradation(busy) == pytest.approx(1.5, rel=0.05)
    level = pieces((600, MS_3), (500, MS_2), (520, MS_2), (550, MS_2))
    assert figures.degradation(ArmCounts(pieces=level)) is None
    few = pieces((600, MS_3), (99, MS_1), (300, MS_2), (400, MS_2))
    assert figures.degradation(ArmCounts(pieces=few)) is None


def test_where_the_time_of_an_arm_goes() -> None:
    # Of each request the router needs 50 us itself, and the hand-over 100 us more.
    router = ModelCounts(4000, queue_us=80_000, compute_input_us=40_000, compute_output_us=80_000)
    arm = ArmCounts(requests=4000, duration_us=28_800_000, latencies={MS_3: 4000})
    parts = {part.name: part.us for part in arm_parts(arm, router, BATCHED, (), 300.0)}
    assert parts == pytest.approx(
        {
            **{"network": 300, "router": 150, "queue": 1000, "copy_in": 500},
            **{"compute": 5000, "copy_out": 500, "rest": 100},
        }
    )
    assert "network" not in {part.name for part in arm_parts(arm, router, BATCHED)}


def test_the_time_of_a_pipeline_is_that_of_its_steps_as_often_as_they_are_asked() -> None:
    whole = ModelCounts(requests_ok=1000, request_us=8_000_000, compute_infer_us=7_000_000)
    first = ModelCounts(1000, queue_us=1_000_000, compute_infer_us=2_000_000)
    dear = ModelCounts(250, compute_infer_us=2_000_000)  # 8 ms, of a quarter of the requests
    steps = [StepWork(first), StepWork(dear, 0.25)]
    parts = {part.name: part.us for part in arm_parts(ArmCounts(), None, whole, steps)}
    assert parts["queue"] == 1000
    assert parts["compute"] == pytest.approx(2000 + 2000)
    assert parts["rest"] == pytest.approx(3000)
    # Side by side they add up to more than the request.
    both = arm_parts(ArmCounts(), None, whole, [StepWork(dear), StepWork(dear)])
    assert {part.name: part.us for part in both}["rest"] == 0


def test_a_report_joins_what_serves_with_what_was_measured() -> None:
    arms = {
        "digits.v1.a": ArmCounts(requests=300, latencies={MS_1: 300}),
        "digits.v9.z": ArmCounts(requests=100, latencies={MS_2: 100}),
    }
    models = {"digits.v1.a": replace(BATCHED, requests_ok=400), "digits": ModelCounts(400)}
    whole = ArmCounts(requests=400, latencies={MS_1: 300, MS_2: 100})
    counted = Counted(
        NOON, NOON + timedelta(minutes=1), 60, whole, arms, models, {"a": 60, "b": 30}
    )
    served = [Served("stable", "digits:1", "digits.v1.a", {"a": 2, "b": 2}, primary=True)]
    found = report("digits", counted, served, Network(300, 7, "4 callers"))
    stable, gone = found.arms
    assert (stable.share, stable.shared, stable.primary) == (0.75, True, True)
    assert stable.model is not None
    assert stable.model.instances == 4
    # Two instances for 60 s on one server and for 30 s on the other.
    assert stable.model.utilisation == pytest.approx(24 * 1000 / 400 / (2 * 60 + 2 * 30))
    assert (gone.name, gone.physical, gone.model, gone.time) == ("", "digits.v9.z", None, ())
    assert found.figures.rps == pytest.approx(400 / 60)
    assert found.time == stable.time
    assert Part("network", 300) in found.time


@pytest.mark.parametrize(
    ("said", "minutes"),
    [
        ((None, None, None), 5),
        (("2h", None, None), 120),
        ((None, NOON - timedelta(hours=3), NOON - timedelta(hours=2)), 60),
        ((None, NOON - timedelta(hours=3), None), 180),
        ((None, NOON - timedelta(hours=3), NOON + timedelta(hours=1)), 180),
    ],
)
def test_spans(said: tuple[str | None, datetime | None, datetime | None], minutes: int) -> None:
    span = read_span(*said, now=NOON, kept=timedelta(days=14))
    assert span.until - span.since == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    "said",
    [
        ("90s", None, None),
        ("0m", None, None),
        ("15d", None, None),
        ("5m", NOON - timedelta(hours=1), None),
        (None, None, NOON),
        (None, NOON, NOON),
        (None, NOON - timedelta(minutes=5), NOON - timedelta(minutes=9)),
        (None, NOON - timedelta(days=15), None),
    ],
)
def test_spans_that_nothing_is_kept_of(
    said: tuple[str | None, datetime | None, datetime | None],
) -> None:
    with pytest.raises(InvalidInputError):
        read_span(*said, now=NOON, kept=timedelta(days=14))
