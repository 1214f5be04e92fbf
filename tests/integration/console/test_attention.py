"""What needs attention: named with its reason, and a link to where one can act."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from control_plane import wiring
from control_plane.endpoints.models import Endpoint, Placement
from control_plane.fleet.models import Server
from control_plane.ports.triton import Sample
from control_plane.registry.models import Model, ModelVersion, VersionState
from control_plane.telemetry.samples import rows
from control_plane.telemetry.store import TelemetryStore
from tests.integration.console.conftest import logged_in, physical, ready_version

HOME = "/console/"


def lines(client: Client) -> list[tuple[str, str, str]]:
    found: Any = client.get(HOME).context["concerns"]
    return [(concern.state, concern.what, concern.why) for concern in found]


def test_when_all_is_well_it_says_so(
    digits: Endpoint, admin: Client, telemetry: TelemetryStore
) -> None:
    assert lines(admin) == []
    assert (
        "Nothing. Endpoints, error budgets, rollouts, servers" in admin.get(HOME).content.decode()
    )


def test_endpoints_servers_and_versions(
    digits: Endpoint, admin: Client, telemetry: TelemetryStore
) -> None:
    model = Model.objects.get()
    version = ready_version(model, 3)
    ModelVersion.objects.filter(pk=version.pk).update(
        state=VersionState.REJECTED, state_reason="it has no weights"
    )
    Endpoint.objects.update(status="Degraded", reason="local: no memory")
    Placement.objects.update(failed=2, failure="no memory")
    Server.objects.update(last_seen_at=wiring.clock().now() - timedelta(minutes=5))
    found = lines(admin)
    assert [line[:2] for line in found] == [
        ("Degraded", "digits"),
        ("Unknown", "server local"),
        ("rejected", "digits v3"),
    ], "the failed preparation is the endpoint's own reason already"
    assert found[2][2] == "it has no weights"
    page = admin.get(HOME).content.decode()
    assert reverse("admin:registry_modelversion_change", args=[version.pk]) in page
    Endpoint.objects.update(status="Progressing")
    assert ("Failed", "digits on local", "no memory") in lines(admin)
    ready_version(model, 4)
    assert not [line for line in lines(admin) if line[0] == "rejected"], "a newer one came"


def test_open_breakers_and_spent_allowances_of_the_arms_in_force(
    digits: Endpoint, admin: Client, telemetry: TelemetryStore
) -> None:
    server = Server.objects.get()
    arms = {physical(1): (2, 5.0), physical(2): (0, 0.0), "digits.v9.aaaaaa": (2, 0.0)}
    samples = []
    for arm, (breaker, left) in arms.items():
        of = {"endpoint": "digits", "arm": arm}
        samples += [
            Sample("nereid_breaker_state", of, breaker),
            Sample("nereid_allowance_left", {**of, "of": "attempts"}, left),
        ]
    telemetry.write(rows(samples, server.pk, wiring.clock().now()))
    assert lines(admin) == [
        (
            "breaker",
            "digits, arm digits-v1",
            "its breaker is open on local: other arms have its requests",
        ),
        (
            "allowance",
            "digits, arm digits-v2",
            "its allowance is spent on local: the primary has its share",
        ),
    ]
    edit = reverse("admin:endpoints_endpoint_edit_policy", args=[digits.pk])
    assert admin.get(HOME).context["concerns"][1].url == edit


def test_people_see_what_they_may(digits: Endpoint, telemetry: TelemetryStore) -> None:
    Endpoint.objects.update(status="Degraded", reason="local: no memory")
    Server.objects.update(last_seen_at=None)
    reader = logged_in("rita", "fleet.view_server", is_staff=True)
    assert [line[0] for line in lines(reader)] == ["Unknown"]
    other = logged_in("omar", "endpoints.view_endpoint", is_staff=True)
    assert [line[0] for line in lines(other)] == ["Degraded"]


def test_latencies_stand_beside_the_traffic(
    digits: Endpoint, admin: Client, telemetry: TelemetryStore
) -> None:
    server, now = Server.objects.get(), wiring.clock().now()
    for seconds, count in ((20, 0), (5, 100)):
        samples = []
        for arm, le in ((physical(1), "2000"), (physical(2), "50000")):
            of = {"endpoint": "digits", "arm": arm}
            samples += [
                Sample("nereid_requests_total", {**of, "outcome": "ok"}, count),
                Sample("nereid_request_duration_us_bucket", {**of, "le": le}, count),
                Sample("nereid_request_duration_us_bucket", {**of, "le": "+Inf"}, count),
            ]
        telemetry.write(rows(samples, server.pk, now - timedelta(seconds=seconds)))
    context: Any = admin.get(HOME).context
    [card] = context["cards"]
    assert [arm.p99_us for arm in card.arms] == [
        pytest.approx(2000, rel=0.06),
        pytest.approx(50_000, rel=0.06),
    ]
    low, high = card.latency
    assert (low, high) == (pytest.approx(2000, rel=0.06), pytest.approx(50_000, rel=0.06))
    assert context["latency"] == card.latency


def test_requests_that_wait_longer_than_they_are_worked_on(
    digits: Endpoint, admin: Client, telemetry: TelemetryStore
) -> None:
    server, now = Server.objects.get(), wiring.clock().now()

    def asked(queue_us: int) -> list[tuple[str, str, str]]:
        for i in range(3):
            count = 400 * i
            of = {"model": physical(2), "version": "1"}
            arm = {"endpoint": "digits", "arm": physical(2), "outcome": "ok"}
            samples = [
                Sample("nv_inference_request_success", of, count),
                Sample("nv_inference_queue_duration_us", of, count * queue_us),
                Sample("nv_inference_compute_infer_duration_us", of, count * 8000),
                Sample("nereid_requests_total", arm, count),
            ]
            telemetry.write(rows(samples, server.id, now - timedelta(seconds=5 * (2 - i))))
        return [line for line in lines(admin) if line[0] == "waiting"]

    assert asked(7000) == []
    now += timedelta(seconds=20)
    found = asked(60_000)
    assert [line[1] for line in found] == ["digits, arm digits-v2"]
    assert "of work" in found[0][2]
    there = reverse("admin:endpoints_endpoint_figures", args=[digits.pk])
    assert there in admin.get(HOME).content.decode()
