"""The page that says how well an endpoint is served."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from sqlalchemy.exc import OperationalError

from control_plane import wiring
from control_plane.endpoints.models import Endpoint
from control_plane.fleet.models import Server
from control_plane.telemetry.store import TelemetryStore
from control_plane.tuning.models import PerfRun
from tests.integration.console.conftest import physical
from tests.support.kpis import minutes_of_traffic
from tests.support.perf import measure


def page(endpoint: Endpoint) -> str:
    return reverse("admin:endpoints_endpoint_figures", args=[endpoint.pk])


def test_shows_where_time_goes_and_the_figures_of_arms_and_models(
    digits: Endpoint, admin: Client, telemetry: TelemetryStore
) -> None:
    now = wiring.clock().now()
    minutes_of_traffic(telemetry, Server.objects.get().id, now, physical(1), physical(2), minutes=6)
    answer = admin.get(page(digits))
    first, second = answer.context["time_rows"]
    assert (first.name, second.name) == ("digits-v1", "digits-v2")
    said = [text for _, text in first.legend]
    # 1,940 us of the router's request: 40 its own, 100 the hand-over, 1,000 the queue.
    assert said[:2] == ["router 140 µs, 7 %", "queue 1 ms, 49 %"]
    models = answer.context["models"]
    assert [row.figures.batch_requests for row in models] == [2, 2]
    # Ten requests a second in batches of two, half a millisecond each.
    assert models[0].percents["utilisation"] == pytest.approx(0.25, rel=0.02)
    assert "Busiest minute" in answer.content.decode()
    link = f"{page(digits)}?window=5m"
    shown = admin.get(reverse("admin:endpoints_endpoint_change", args=[digits.pk]))
    assert link in shown.content.decode()


def test_a_finding_is_measured_from_the_page(
    digits: Endpoint, admin: Client, telemetry: TelemetryStore
) -> None:
    now = wiring.clock().now()
    server = Server.objects.get()
    minutes_of_traffic(telemetry, server.id, now, physical(1), physical(2), minutes=6)
    there = reverse("admin:endpoints_endpoint_try_finding", args=[digits.pk])
    finding = {"code": "more-instances", "arm": "digits-v1", "step": "", "window": "5m"}
    assert there in admin.get(page(digits)).content.decode()
    refused = admin.post(there, finding, follow=True).content.decode()
    assert "no server is marked as a lab" in refused
    Server.objects.update(lab=True)
    gone = admin.post(there, {**finding, "code": "copies"}, follow=True).content.decode()
    assert "say nothing of copies at digits-v1" in gone
    started = admin.post(there, finding, follow=True).content.decode()
    before, after = PerfRun.objects.order_by("id")
    assert f"Perf runs {before.pk} and {after.pk} measure it on local." in started
    assert "Being measured on local: waiting for a worker" in started
    for run, base_us in ((before, 900.0), (after, 600.0)):
        measure(run, telemetry, base_us)
    PerfRun.objects.update(state="succeeded", finished_at=now)
    shown = admin.get(page(digits)).content.decode()
    assert "33 % less" in shown
    assert "Measure again" in shown
    answer = admin.get(reverse("api:kpis", args=["digits"])).json()
    [found] = [one for one in answer["findings"] if one["tried"]]
    assert (found["code"], found["tried"]["ratio"]) == ("more-instances", pytest.approx(2 / 3))
    again = admin.post(
        reverse("api:kpis-tries", args=["digits"]),
        {"code": "more-instances", "arm": "digits-v1"},
        content_type="application/json",
    )
    assert again.status_code == 202
    one = admin.get(again["Location"]).json()
    assert (one["state"], one["ratio"], one["id"]) == ("queued", None, again.json()["id"])
    assert admin.get(again["Location"].replace("digits", "other")).status_code == 404


def test_says_what_it_cannot_answer(
    digits: Endpoint, admin: Client, telemetry: TelemetryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Nothing was asked of it" in admin.get(page(digits)).content.decode()
    wrong = admin.get(page(digits), {"window": "1y"})
    assert "a window looks like 5m" in wrong.content.decode()
    between = {"since": "2020-01-01T00:00", "until": ""}
    assert "kept for 14 days" in admin.get(page(digits), between).content.decode()

    def broken(*_: Any) -> Any:
        raise OperationalError("SELECT", {}, Exception("no telemetry"))

    monkeypatch.setattr(telemetry, "counted", broken)
    assert "does not answer" in admin.get(page(digits)).content.decode()
