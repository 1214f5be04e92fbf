"""An endpoint's charts: what the telemetry has, over which time, for whom."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from control_plane import wiring
from control_plane.console.endpoint_charts import SPANS, Charts
from control_plane.endpoints.models import Endpoint
from control_plane.fleet.models import Server
from control_plane.ports.triton import Sample
from control_plane.telemetry.samples import rows
from control_plane.telemetry.store import TelemetryStore
from tests.integration.console.conftest import logged_in, physical

WANTED = {"span": "1h"}


def charts_url(endpoint: Endpoint) -> str:
    return reverse("admin:live_charts", args=[endpoint.pk])


def traffic(store: TelemetryStore, per_arm: dict[str, tuple[int, int]]) -> None:
    """A quarter of an hour of scrapes: ok and rescued requests of 2 ms in each."""
    server, now = Server.objects.get(), wiring.clock().now()
    for i in range(181):
        samples = []
        for arm, (ok, rescued) in per_arm.items():
            of = {"endpoint": "digits", "arm": arm}
            took = (ok + rescued) * i
            samples += [
                Sample("nereid_requests_total", {**of, "outcome": "ok"}, ok * i),
                Sample("nereid_requests_total", {**of, "outcome": "rescued"}, rescued * i),
                Sample("nereid_request_duration_us_bucket", {**of, "le": "2000"}, took),
                Sample("nereid_request_duration_us_bucket", {**of, "le": "+Inf"}, took),
                Sample("nereid_request_duration_us_sum", of, took * 2000),
            ]
        store.write(rows(samples, server.id, now - timedelta(seconds=5 * (180 - i))))


def test_shows_split_latency_and_failures_of_each_arm(
    digits: Endpoint, admin: Client, telemetry: TelemetryStore
) -> None:
    traffic(telemetry, {physical(1): (92, 0), physical(2): (8, 2)})
    for span in SPANS:
        answer = admin.get(charts_url(digits), {"span": span.key})
        drawn: Charts = answer.context["drawn"]
        assert drawn.span == span
        first, second = drawn.arms
        # 90 and 10 were theirs: two of the primary's 92 were rescues.
        assert (first.name, second.name) == ("digits-v1", "digits-v2")
        assert (first.share, second.share) == (pytest.approx(90), pytest.approx(10))
        assert (first.failed_percent, second.failed_percent) == (0, pytest.approx(20))
        assert first.p99_us == pytest.approx(2000, rel=0.05)
        rate, latency, failed = drawn.charts
        assert len(rate.shapes) == 2
        assert len(latency.shapes) == 4
        assert len(failed.shapes) == 2
    hour: Charts = admin.get(charts_url(digits), WANTED).context["drawn"]
    assert hour.charts[0].summary.startswith("Now digits-v1 1"), hour.charts[0].summary
    assert hour.charts[0].columns[-3].text.endswith("digits-v1: 18/s\ndigits-v2: 2/s")
    assert hour.arms[0].requests == pytest.approx(180 * 90, rel=0.01)


def test_the_page_has_them_in_the_asked_span(
    digits: Endpoint, admin: Client, telemetry: TelemetryStore
) -> None:
    there = reverse("admin:endpoints_endpoint_change", args=[digits.pk])
    page = admin.get(there, WANTED).content.decode()
    assert f'hx-get="{charts_url(digits)}?span=1h" hx-trigger="every 15s"' in page
    assert "no requests" in page
    assert 'hx-trigger="every 5s"' in admin.get(there, {"span": "<script>"}).content.decode()


def test_without_the_telemetry_it_says_so(digits: Endpoint, admin: Client) -> None:
    answer = admin.get(charts_url(digits))
    assert answer.status_code == 200
    assert "telemetry store does not answer" in answer.content.decode()


def test_only_who_may_see_the_endpoint(
    digits: Endpoint, stranger: Client, telemetry: TelemetryStore
) -> None:
    assert stranger.get(charts_url(digits)).status_code == 403
    reader = logged_in("rita", "endpoints.view_endpoint", is_staff=True)
    assert reader.get(charts_url(digits)).status_code == 200
    assert Client().get(charts_url(digits))["HX-Redirect"].startswith("/console/login/")
