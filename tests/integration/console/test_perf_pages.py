"""The pages of perf runs: asked for, watched, compared, cancelled; and latency beside versions."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from control_plane import wiring
from control_plane.console.perf_curve import Plotted, curve
from control_plane.endpoints.models import Endpoint
from control_plane.fleet.models import Server
from control_plane.registry.models import ModelVersion
from control_plane.telemetry.store import TelemetryStore
from control_plane.tuning.models import PerfRun
from tests.support.fakes import FakeQueue
from tests.support.perf import measure, perf_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def version(digits: Endpoint) -> ModelVersion:
    return ModelVersion.objects.select_related("model").order_by("number")[0]


@pytest.fixture
def run(version: ModelVersion, telemetry: TelemetryStore) -> PerfRun:
    made: PerfRun = perf_run(version=version)
    measure(made, telemetry)
    return made


def page(run: PerfRun) -> str:
    return reverse("admin:tuning_perfrun_change", args=[run.pk])


def test_a_run_is_drawn_with_its_levels_and_where_time_goes(
    run: PerfRun, admin: Client, telemetry: TelemetryStore
) -> None:
    shown = admin.get(page(run)).content.decode()
    assert "2,222" in shown  # the peak
    assert shown.count('class="n-point"') == 4
    assert "compute infer 810 µs, 45 %" in shown
    assert "unsteady" in shown
    assert "every level was measured" in shown
    assert reverse("api:perf-file", args=[run.pk, 0, "report.csv"]) in shown
    other = perf_run()
    measure(other, telemetry, 1400.0)
    both = admin.get(page(run), {"with": [other.pk, "x", run.pk]}).content.decode()
    assert both.count('class="n-point"') == 8
    assert "1,429/s" in both
    listed = admin.get(reverse("admin:tuning_perfrun_changelist")).content.decode()
    assert "2,222/s" in listed


def test_the_live_part_ends_with_the_run(run: PerfRun, admin: Client, stranger: Client) -> None:
    there = reverse("admin:live_perf_run", args=[run.pk])
    PerfRun.objects.update(state="running", finished_at=None, progress={"done": 1, "of": 4})
    assert b"data-live" in admin.get(there).content
    PerfRun.objects.update(state="failed", finished_at=run.started_at, reason="unexpected shape")
    over = admin.get(there).content
    assert b"data-live" not in over
    assert b"unexpected shape" in over
    assert stranger.get(there).status_code == 403


def test_a_run_is_asked_for_on_the_page_of_its_version(
    version: ModelVersion, admin: Client, queue: FakeQueue
) -> None:
    there = reverse("admin:registry_modelversion_measure", args=[version.pk])
    now = wiring.clock().now()
    Server.objects.update_or_create(
        name="lab-1",
        defaults={"http": "h:1", "grpc": "h:2", "metrics": "http://h:3/m", "last_seen_at": now},
    )
    assert b"Put digits" in admin.get(there).content
    asked: dict[str, Any] = {
        **{"server": "lab-1", "load": "concurrency", "levels": "1-16:5", "percentile": "99"},
        **{"window": "1s", "protocol": "grpc", "input": "", "batch": "1"},
    }
    refused = admin.post(there, asked)
    assert refused.status_code == 409
    assert b"not marked as a lab" in refused.content
    Server.objects.filter(name="lab-1").update(lab=True)
    wrong = admin.post(there, {**asked, "levels": "many", "window": "9h"})
    assert b"levels are" in wrong.content
    assert b"is not within" in admin.post(there, {**asked, "window": "9h"}).content
    started = admin.post(there, asked)
    made = PerfRun.objects.get()
    assert started["Location"] == page(made)
    assert made.request["concurrency"] == {"from": 1, "to": 16, "step": 5}
    ending = reverse("admin:tuning_perfrun_cancel", args=[made.pk])
    assert b"Its load stops" in admin.get(ending).content
    assert PerfRun.objects.get().state == "queued"
    admin.post(ending)
    assert PerfRun.objects.get().state == "cancelled"
    assert admin.post(ending).status_code == 302  # once more changes nothing


def test_a_run_is_accepted_once(run: PerfRun, admin: Client) -> None:
    there = reverse("admin:tuning_perfrun_accept", args=[run.pk])
    assert there in admin.get(page(run)).content.decode()
    assert b"Later versions of digits are held against it" in admin.get(there).content
    assert admin.post(there)["Location"] == page(run)
    shown = admin.get(page(run)).content.decode()
    assert "accepted by ada" in shown
    assert there not in shown


def test_versions_side_by_side_have_the_latency_of_their_newest_run(
    run: PerfRun, admin: Client, version: ModelVersion
) -> None:
    there = reverse("admin:registry_model_change", args=[version.model.pk])
    shown = admin.get(there).content.decode()
    assert "1.62 ms, 4.68 ms" in shown
    assert "not measured" in shown
    PerfRun.objects.update(state="failed")
    assert "Under load" not in admin.get(there).content.decode()


def test_a_curve_stays_within_its_plot(run: PerfRun, telemetry: TelemetryStore) -> None:
    levels = telemetry.perf_levels([run.key])[run.key]
    drawn = curve([Plotted("one", levels, "concurrency")], limit_us=5000)
    [dashed, line] = drawn.lines
    assert (dashed.dashed, dashed.points, len(line.points)) == (True, [], 4)
    assert all(0 <= p.x <= 100 and 0 <= p.y <= 100 for p in line.points)
    assert line.points[0].x < line.points[1].x
    assert drawn.limit is not None
    assert 0 < drawn.limit < 100
    assert curve([Plotted("one", levels, "concurrency")], limit_us=1e9).limit is None
    assert curve([]).empty
