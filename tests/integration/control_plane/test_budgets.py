"""Error budgets on the real store: what counts, when an alert fires, who is told, when it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from control_plane import wiring
from control_plane.endpoints.budgets import budget_of, primary_model, watch_budgets
from control_plane.endpoints.models import BudgetAlert, Endpoint
from control_plane.fleet.models import Server
from control_plane.ports.triton import Sample
from control_plane.registry.models import Model
from control_plane.telemetry.samples import rows
from control_plane.telemetry.store import TelemetryStore
from control_plane.webhooks.models import Delivery, Webhook

pytestmark = pytest.mark.django_db


@pytest.fixture
def digits() -> Endpoint:
    Model.objects.create(name="digits", sla_availability_percent=99.9, created_by="ada")
    arms = [{"name": "stable", "model": "digits", "version": 1, "weight": 100, "primary": True}]
    return Endpoint.objects.create(
        name="digits", policy={"arms": arms}, generation=1, created_by="ada"
    )


def answered(store: TelemetryStore, at: datetime, ok: int, error: int, rescued: int = 0) -> None:
    """What the router has counted until then."""
    page = [
        Sample(
            "nereid_requests_total",
            {"endpoint": "digits", "arm": "digits.v1.aaaaaa", "outcome": outcome},
            float(count),
        )
        for outcome, count in (("ok", ok), ("error", error), ("rescued", rescued))
    ]
    server, _ = Server.objects.get_or_create(
        name="local", defaults={"http": "x:1", "grpc": "x:2", "metrics": "http://x:3/metrics"}
    )
    store.write(rows(page, server.id, at))


def test_an_alert_fires_is_told_once_and_ends(digits: Endpoint, telemetry: TelemetryStore) -> None:
    now = datetime.now(UTC)
    Webhook.objects.create(name="ops", url="http://x/", events=["endpoint.*"], created_by="ada")
    answered(telemetry, now - timedelta(minutes=3, seconds=30), ok=0, error=0)
    answered(telemetry, now - timedelta(minutes=3), ok=1000, error=0)
    answered(telemetry, now - timedelta(minutes=2, seconds=30), ok=1900, error=20, rescued=80)
    for _ in range(2):
        watch_budgets(store=telemetry, now=now)
    budget = budget_of(digits, telemetry, now)
    first = budget.windows[0]
    assert (first.words, first.requests, first.errors) == ("5 min", 1920, 20)
    assert first.burn_rate == pytest.approx(20 / 1920 / 0.001)
    assert [(alert.severity, alert.long_s) for alert in budget.alerts] == [
        ("page", 6 * 3600),
        ("ticket", 24 * 3600),
        ("ticket", 72 * 3600),
    ], "10.4 times is below the 14.4 of an hour"
    assert Delivery.objects.values_list("event", flat=True).get() == "endpoint.budget_burning"
    watch_budgets(store=telemetry, now=now + timedelta(days=4))
    assert not BudgetAlert.objects.exists()
    events = Delivery.objects.order_by("created_at").values_list("event", flat=True)
    assert list(events) == ["endpoint.budget_burning", "endpoint.budget_calm"]


def test_without_an_objective_nothing_burns(digits: Endpoint, telemetry: TelemetryStore) -> None:
    answered(telemetry, datetime.now(UTC) - timedelta(seconds=5), ok=0, error=0)
    answered(telemetry, datetime.now(UTC), ok=0, error=100)
    watch_budgets(store=telemetry, now=datetime.now(UTC))
    assert BudgetAlert.objects.exists()
    for percent in (100, None):
        Model.objects.update(sla_availability_percent=percent)
        watch_budgets(store=telemetry, now=datetime.now(UTC))
        assert not BudgetAlert.objects.exists()
        assert budget_of(digits, telemetry, datetime.now(UTC)).objective_percent is None
    assert primary_model({"arms": [{"pipeline": "scan", "weight": 100}]}) == ""


def test_the_console_and_the_api_say_so(
    digits: Endpoint, telemetry: TelemetryStore, admin_client: Client
) -> None:
    answered(telemetry, wiring.clock().now() - timedelta(seconds=5), ok=0, error=0)
    answered(telemetry, wiring.clock().now(), ok=0, error=100)
    watch_budgets(store=telemetry, now=wiring.clock().now())
    concerns = admin_client.get("/console/").context["concerns"]
    assert ("page", "digits, error budget") in [(one.state, one.what) for one in concerns]
    page = admin_client.get(f"/console/endpoints/endpoint/{digits.pk}/change/").content.decode()
    assert "99.9 % available" in page
    assert "the last 5 min" in page
    said = admin_client.get("/api/v1/endpoints/digits/budget/").json()
    assert said["objective_percent"] == 99.9
    assert said["windows"][0] == {
        "window": "300s",
        "requests": 100,
        "errors": 100,
        "burn_rate": 1000,
    }
    assert said["alerts"][0]["window"] == "60m"
