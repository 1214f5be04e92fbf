"""How well an endpoint is served: what is asked for, and who asks wrongly."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from control_plane import wiring
from control_plane.telemetry.store import TelemetryStore
from tests.integration.api.conftest import Api
from tests.integration.api.test_registry_api import problem
from tests.support.kpis import minutes_of_traffic
from tests.support.perf import measure, perf_run

KPIS = "endpoints/digits/kpis/"
ARM = "digits.v1.aaaaaa"


def test_the_figures_of_a_span(digits: Api, reader: Api, telemetry: TelemetryStore) -> None:
    now = wiring.clock().now()
    minutes_of_traffic(telemetry, uuid4(), now, ARM, minutes=6)
    run = perf_run(kind="endpoint", number=None, plan=None, physical="digits")
    measure(run, telemetry)
    found = reader.get(KPIS).json()
    assert found["figures"]["rps"] == pytest.approx(10, rel=0.01)
    assert found["figures"]["p99_us"] == pytest.approx(2000, rel=0.06)
    assert (found["figures"]["failed_share"], found["figures"]["degradation"]) == (0, None)
    assert found["network"]["perf_run"] == run.pk
    assert found["network"]["level"] == "1 caller"
    [arm] = found["arms"]  # no plan serves: it is one of before
    assert (arm["name"], arm["physical"], arm["share"]) == ("", ARM, 1)
    since, until = now - timedelta(minutes=4), now - timedelta(minutes=2)
    between = digits.get(
        f"{KPIS}?since={since:%Y-%m-%dT%H:%M:%SZ}&until={until:%Y-%m-%dT%H:%M:%SZ}"
    ).json()
    assert 110 <= between["measured_seconds"] <= 190


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("window=soon", "/window"),
        ("window=15d", "/window"),
        ("window=5m&since=2026-01-01T00:00:00Z", "/window"),
        ("since=yesterday", "/since"),
        ("since=2020-01-01T00:00:00Z", "/since"),
        ("until=2026-01-01T00:00:00Z", "/since"),
    ],
)
def test_a_span_that_cannot_be_answered_for(
    digits: Api, telemetry_there: None, query: str, pointer: str
) -> None:
    assert list(problem(digits.get(f"{KPIS}?{query}"), 400)) == [pointer]


def test_of_no_endpoint_nothing_is_known(digits: Api, telemetry_there: None) -> None:
    problem(digits.get("endpoints/other/kpis/"), 404)
