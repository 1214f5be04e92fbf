"""The pages of recordings: asked for on an endpoint, looked at, ended, deleted, and sent."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from control_plane.endpoints.models import Endpoint
from control_plane.fleet.models import Server
from control_plane.registry.models import ModelVersion
from control_plane.tuning.models import PerfRun, Recording
from tests.integration.console.conftest import logged_in
from tests.support.fakes import FakeQueue
from tests.support.perf import recording

pytestmark = pytest.mark.django_db


def page(row: Recording, action: str = "change") -> str:
    return reverse(f"admin:tuning_recording_{action}", args=[row.pk])


def test_one_is_asked_for_looked_at_stopped_and_deleted(
    digits: Endpoint, admin: Client, queue: FakeQueue
) -> None:
    there = reverse("admin:endpoints_endpoint_record_requests", args=[digits.pk])
    endpoint = reverse("admin:endpoints_endpoint_change", args=[digits.pk])
    assert there in admin.get(endpoint).content.decode()
    asked = {"requests": "50", "mebibytes": "2", "length": "5m", "percent": "10", "server": ""}
    wrong = admin.post(there, {**asked, "length": "soon", "name": "No!"}).content.decode()
    assert "1 to 63 characters" in wrong
    started = admin.post(there, asked)
    row = Recording.objects.get()
    assert started["Location"] == page(row)
    assert (row.name, row.most_bytes, row.parts) == ("digits-1", 2 << 20, 1000)
    again = admin.post(there, asked)
    assert again.status_code == 409
    assert b"is being recorded" in again.content
    assert b"50 requests, 2.0 MiB, 300s; 10 % of the requests" in admin.get(page(row)).content
    assert b"What it has by now is kept" in admin.get(page(row, "stop")).content
    admin.post(page(row, "stop"))
    assert Recording.objects.get().stopped_by == "ada"
    assert b"What callers sent is gone" in admin.get(page(row, "delete")).content
    admin.post(page(row, "delete"))
    assert not Recording.objects.exists()


def test_it_is_offered_to_be_sent_to_whoever_may_record(digits: Endpoint, admin: Client) -> None:
    row = recording()
    shown = admin.get(page(row)).content.decode()
    for said in ("120 requests, 69.3 KiB", "2 in the mean, 4 at most", "image FP32[1-4,1,8,8]"):
        assert said in shown
    assert "nereid perf run digits --input recording:mondays" in shown
    version = ModelVersion.objects.order_by("number")[0]
    measure = reverse("admin:registry_modelversion_measure", args=[version.pk])
    assert "recording mondays, 120 requests" in admin.get(measure).content.decode()
    pia = logged_in("pia", "tuning.add_perfrun", "registry.view_modelversion", is_staff=True)
    assert "recording mondays" not in pia.get(measure).content.decode()
    Server.objects.update(lab=True)
    asked = {"server": "local", "load": "concurrency", "levels": "1", "percentile": "99"}
    asked |= {"window": "1s", "protocol": "grpc", "input": "recording:mondays", "batch": "1"}
    assert b"Select a valid choice" in pia.post(measure, asked).content
    admin.post(measure, asked)
    assert PerfRun.objects.get().request["input"] == "recording:mondays"
