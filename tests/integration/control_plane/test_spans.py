"""What arms and models did within a span: by the minute, over servers, resets and gaps."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from control_plane import wiring
from control_plane.domain.kpis.counted import Counted
from control_plane.domain.latency import quantile
from control_plane.telemetry.growth import LONGEST
from control_plane.telemetry.samples import rows
from control_plane.telemetry.store import TelemetryStore
from tests.support.kpis import minutes_of_traffic, page

ARM, OTHER = "digits.v1.aaaaaa", "digits.v2.bbbbbb"


@pytest.fixture
def noon() -> datetime:
    """A minute of the past half hour."""
    now = wiring.clock().now().replace(second=0, microsecond=0)
    return now - timedelta(minutes=30)


def counted(store: TelemetryStore, noon: datetime, minutes: int = 20) -> Counted:
    since = noon - timedelta(minutes=10)
    return store.counted("digits", [ARM, OTHER], since, since + timedelta(minutes=minutes))


def test_rates_are_exact_over_servers(telemetry: TelemetryStore, noon: datetime) -> None:
    for _ in range(2):
        minutes_of_traffic(telemetry, uuid4(), noon, ARM, OTHER)
    found = counted(telemetry, noon)
    assert found.seconds == 600
    assert list(found.servers.values()) == [600, 600]
    assert found.arms[ARM].requests == 2 * 10 * 600
    assert found.whole.requests == 2 * found.arms[ARM].requests
    assert found.whole.busiest_rps == pytest.approx(40)
    assert found.arms[ARM].busiest_rps == pytest.approx(20)
    assert [piece.requests for piece in found.arms[ARM].pieces] == [1200] * 10
    assert sum(found.whole.latencies.values()) == found.whole.requests
    assert quantile(found.arms[ARM].latencies, 0.5) == pytest.approx(2000, rel=0.05)
    model, router = found.models[ARM], found.models["digits"]
    assert (model.requests_ok, model.executions, model.pending) == (12_000, 6000, 3)
    assert model.queue_us == 12_000 * 1000
    assert router.requests_ok == 24_000


def test_only_the_minutes_asked_for_count(telemetry: TelemetryStore, noon: datetime) -> None:
    minutes_of_traffic(telemetry, uuid4(), noon, ARM)
    half = telemetry.counted(
        "digits", [ARM], noon - timedelta(minutes=4, seconds=30), noon - timedelta(minutes=2)
    )
    assert half.since == noon - timedelta(minutes=5)
    assert (half.seconds, half.arms[ARM].requests) == (180, 1800)
    assert half.models[ARM].requests_ok == 1800
    nothing = telemetry.counted("other", [], noon - timedelta(minutes=5), noon)
    assert (nothing.arms, nothing.models, nothing.whole.requests) == ({}, {}, 0)


def test_failures_and_the_cache(telemetry: TelemetryStore, noon: datetime) -> None:
    server = uuid4()
    telemetry.write(rows(page(0, ARM), server, noon))
    telemetry.write(rows(page(100, ARM, failed=7, hits=40), server, noon + timedelta(seconds=5)))
    found = counted(telemetry, noon)
    assert (found.arms[ARM].failures, found.whole.failures) == (7, 7)
    model = found.models[ARM]
    assert (model.cache_hits, model.cache_misses, model.computed) == (40, 60, 60)


def test_a_model_that_is_loaded_anew_counts_anew(telemetry: TelemetryStore, noon: datetime) -> None:
    server = uuid4()
    for second, requests in ((0, 100), (5, 150), (10, 20), (15, 30)):
        telemetry.write(rows(page(requests, ARM), server, noon + timedelta(seconds=second)))
    found = counted(telemetry, noon)
    assert found.models[ARM].requests_ok == 50 + 20 + 10
    assert found.seconds == 15


def test_a_gap_is_not_measured(telemetry: TelemetryStore, noon: datetime) -> None:
    server = uuid4()
    late = noon + LONGEST + timedelta(seconds=1)
    for at, requests in ((noon, 0), (late, 900), (late + timedelta(seconds=5), 910)):
        telemetry.write(rows(page(requests, ARM), server, at))
    found = counted(telemetry, noon)
    assert (found.seconds, found.models[ARM].requests_ok, found.arms[ARM].requests) == (5, 10, 10)
