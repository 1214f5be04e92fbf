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
from tests.integration.console.conftest import physical
from tests.support.kpis import minutes_of_traffic


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
