"""The pages of tunes: asked for, watched, applied, cancelled."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from control_plane import wiring
from control_plane.endpoints.models import Endpoint
from control_plane.fleet.models import Server
from control_plane.registry.models import ModelVersion
from control_plane.telemetry.store import TelemetryStore
from control_plane.tuning.models import Tune
from tests.support.fakes import FakeQueue
from tests.support.perf import recording
from tests.support.tunes import tune_record

pytestmark = pytest.mark.django_db


@pytest.fixture
def tune(digits: Endpoint, telemetry: TelemetryStore) -> Tune:
    made: Tune = tune_record(store=telemetry)
    return made


def page(tune: Tune, what: str = "change") -> str:
    return reverse(f"admin:tuning_tune_{what}", args=[tune.pk])


def test_a_tune_is_drawn_with_its_front_and_its_diff(tune: Tune, admin: Client) -> None:
    shown = admin.get(page(tune)).content.decode()
    assert shown.count('class="n-point"') == 12  # of three trials, four loads each
    assert shown.count("n-k-chosen") == 2  # in the picture and its legend
    for text in ("batch 16, delay 0.2 ms, 2 instances", "as it is", "1 →", "+56", "Apply"):
        assert text in shown, text
    assert reverse("admin:tuning_perfrun_change", args=[tune.trials.first().run_id]) in shown  # type: ignore[union-attr]
    listed = admin.get(reverse("admin:tuning_tune_changelist")).content.decode()
    assert "most throughput, p99 within 20 ms" in listed


def test_the_live_part_ends_with_the_tune(tune: Tune, admin: Client, stranger: Client) -> None:
    there = reverse("admin:live_tune", args=[tune.pk])
    assert admin.get(there)["HX-Refresh"] == "true"
    Tune.objects.update(state="running", finished_at=None, result=None)
    shown = admin.get(there).content
    assert b"data-live" in shown
    assert b"Trial 4" in shown
    assert stranger.get(there).status_code == 403


def test_a_tune_is_asked_for_on_the_page_of_its_version(
    tune: Tune, admin: Client, queue: FakeQueue
) -> None:
    version = ModelVersion.objects.order_by("number")[0]
    there = reverse("admin:registry_modelversion_tune", args=[version.pk])
    now = wiring.clock().now()
    Server.objects.update_or_create(
        name="lab-1",
        defaults={"http": "h:1", "grpc": "h:2", "metrics": "http://h:3/m", "last_seen_at": now},
    )
    assert b"Look for the best way" in admin.get(there).content
    asked: dict[str, Any] = {
        **{"server": "lab-1", "objective": "throughput", "latency_limit": "20ms"},
        **{"percentile": "99", "trials": "8", "time": "5m", "window": "1s", "protocol": "grpc"},
    }
    refused = admin.post(there, asked)
    assert refused.status_code == 409
    assert b"not marked as a lab" in refused.content
    Server.objects.filter(name="lab-1").update(lab=True)
    assert b"is not within" in admin.post(there, {**asked, "time": "1s"}).content
    wrong = admin.post(there, {**asked, "objective": "latency"})
    assert b"at which latency is minimised" in wrong.content
    recording()
    assert "recording mondays, 120 requests" in admin.get(there).content.decode()
    started = admin.post(there, {**asked, "input": "recording:mondays"})
    made = Tune.objects.latest("id")
    assert started["Location"] == page(made)
    assert made.request["input"] == "recording:mondays"
    assert made.request["latency_limit"] == "20ms"
    assert b"no further one begins" in admin.get(page(made, "cancel")).content
    admin.post(page(made, "cancel"))
    assert Tune.objects.get(pk=made.pk).state == "cancelled"


def test_what_was_found_is_applied_after_it_was_shown(
    tune: Tune, admin: Client, digits: Endpoint, queue: FakeQueue
) -> None:
    there = page(tune, "apply")
    shown = admin.get(there).content.decode()
    assert "Serve digits:1 on digits" in shown
    assert "instance_group" in shown
    before = Endpoint.objects.get(pk=digits.pk)
    done = admin.post(there, {"endpoint": "digits", "generation": before.generation})
    assert done.status_code == 302
    after = Endpoint.objects.get(pk=digits.pk)
    assert after.generation == before.generation + 1
    [arm] = [one for one in after.policy["arms"] if one["version"] == 1]
    assert arm["overrides"] == (tune.result or {})["overrides"]
    stale = admin.post(there, {"endpoint": "digits", "generation": before.generation})
    assert stale.status_code == 409
    assert admin.post(there, {"endpoint": "other"}).status_code == 403
    Tune.objects.update(result={**(tune.result or {}), "overrides": {}})
    assert b"nothing better" in admin.get(there).content
