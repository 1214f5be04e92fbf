"""The pages of pipelines, and those of endpoints whose arms are pipelines."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from control_plane import wiring
from control_plane.endpoints.models import Endpoint, Revision
from control_plane.fleet.models import Server
from control_plane.ports.triton import Sample
from control_plane.registry.models import ModelVersion, Pipeline
from control_plane.registry.pipeline_edits import put_pipeline
from control_plane.telemetry.samples import rows
from control_plane.telemetry.store import TelemetryStore
from control_plane.tuning.models import PerfRun
from tests.integration.console.conftest import apply, logged_in
from tests.support.fakes import FakeQueue

ARMS = {
    "arms": [
        {"name": "old", "pipeline": "reader", "revision": 1, "weight": 90, "primary": True},
        {"name": "new", "pipeline": "reader", "revision": 2, "weight": 10},
    ]
}


@pytest.fixture
def reader(digits: Endpoint, queue: FakeQueue) -> Pipeline:
    """A pipeline with two revisions, which both serve in the endpoint."""
    for version in (1, 2):
        step = {"name": "classify", "model": "digits", "version": version}
        put_pipeline(name="reader", document={"description": "Reads", "steps": [step]}, actor="ada")
    apply("digits", ARMS, queue)
    return Pipeline.objects.get()


def page(client: Client, pipeline: Pipeline, query: str = "") -> str:
    address = reverse("admin:registry_pipeline_change", args=[pipeline.pk])
    response = client.get(f"{address}{query}")
    assert response.status_code == 200
    return response.content.decode()


def sampled(telemetry: TelemetryStore, model: str, counted: dict[str, int]) -> None:
    """What the endpoint's server says of a model just now."""
    samples = [Sample(name, {"model": model}, float(value)) for name, value in counted.items()]
    server: Any = Endpoint.objects.get().placements.get().server_id
    telemetry.write(rows(samples, server, wiring.clock().now()))


def test_the_graph_is_drawn_with_types_and_shapes(reader: Pipeline, admin: Client) -> None:
    text = page(admin, reader)
    assert "<svg" in text
    assert "FP32[?, 1, 8, 8]" in text
    assert "digits:2" in text
    assert "not measured yet: no request reached classify of late" in text
    assert "<b>10 %</b>" in text, "where it serves"
    assert "digits:1" in page(admin, reader, "?revision=1")
    listed = admin.get(reverse("admin:registry_pipeline_changelist")).content.decode()
    assert "classify" in listed
    assert "Reads" in listed


def test_what_was_measured_stands_beside_it(
    reader: Pipeline, admin: Client, telemetry: TelemetryStore
) -> None:
    plan = Revision.objects.order_by("-number").first().compiled  # type: ignore[union-attr]
    assert plan is not None
    model = plan.versions["digits", 2]
    counted = {
        "nv_inference_request_success_total": 200,
        "nv_inference_request_failure_total": 2,
        "nv_inference_count_total": 400,
        "nv_inference_exec_count_total": 100,
        "nv_inference_request_duration_us_total": 600_000,
        "nv_inference_compute_infer_duration_us_total": 400_000,
    }
    sampled(telemetry, model, counted)
    text = page(admin, reader)
    assert "<b>3 ms</b>" in text
    assert "most of it in classify" in text
    assert "<b>99.01 %</b>" in text
    assert "2000 rows/s" in text.replace("<b>", "").replace("</b>", "")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (
            {"kind": "cascade", "confidence": {"output": "logits"}},
            ["rows less sure than 0.9", "cascade_step INT32[?, 1]", "callers send"],
        ),
        ({"kind": "weighted_average"}, ["0.5 of the mean"]),
    ],
)
def test_patterns_are_drawn_as_what_they_are(
    digits: Endpoint,
    queue: FakeQueue,
    admin: Client,
    telemetry: TelemetryStore,
    document: dict[str, Any],
    words: list[str],
) -> None:
    first = {"name": "small", "model": "digits", "version": 1}
    if document["kind"] == "cascade":
        first["at_least"] = 0.9
    steps = [first, {"name": "large", "model": "digits", "version": 2}]
    put_pipeline(name="both", document={**document, "steps": steps}, actor="ada")
    arms = [{"name": "both", "pipeline": "both", "revision": 1, "weight": 100, "primary": True}]
    apply("digits", {"arms": arms}, queue)
    pipeline = Pipeline.objects.get()
    text = page(admin, pipeline)
    for one in (*words, "not measured yet: no request reached small, large of late"):
        assert one in text
    plan = Revision.objects.order_by("-number").first().compiled  # type: ignore[union-attr]
    assert plan is not None
    [own] = plan.pipelines
    counted = {
        "nv_inference_request_success_total": 100,
        "nv_inference_count_total": 200,
        "nv_inference_exec_count_total": 100,
        "nv_inference_request_duration_us_total": 400_000,
        "nv_inference_compute_infer_duration_us_total": 100_000,
    }
    sampled(telemetry, own, counted)
    text = page(admin, pipeline)
    assert "<b>4 ms</b>" in text
    assert "the mean of its own requests" in text
    # Two instances, two rows at a time, a millisecond each.
    assert "<b>4000 rows/s</b>" in text


def test_a_revision_is_put_under_load_from_its_page(reader: Pipeline, admin: Client) -> None:
    there = reverse("admin:registry_pipeline_measure", args=[reader.pk])
    assert there in page(admin, reader)
    assert f"{there}?revision=1" in page(admin, reader, "?revision=1")
    assert b"Put pipeline reader revision 2 under load" in admin.get(there).content
    Server.objects.update(lab=True)
    asked = {"server": "local", "load": "concurrency", "levels": "1,2", "percentile": "99"}
    sent = {**asked, "window": "1s", "protocol": "grpc", "input": "", "batch": "1"}
    admin.post(f"{there}?revision=1", sent)
    admin.post(there, sent)
    made = PerfRun.objects.order_by("id")
    assert [(run.kind, run.name, run.number) for run in made] == [
        ("pipeline", "reader", 1),
        ("pipeline", "reader", 2),
    ]


def test_pages_of_traffic_name_pipelines(
    reader: Pipeline, admin: Client, telemetry: TelemetryStore
) -> None:
    endpoint = Endpoint.objects.get()
    revision = Revision.objects.order_by("-number").first()
    assert revision is not None
    for address, words in (
        (reverse("admin:index"), "reader r2"),
        (reverse("admin:endpoints_endpoint_changelist"), "reader r2"),
        (reverse("admin:endpoints_endpoint_change", args=[endpoint.pk]), "reader r2"),
        (
            reverse("admin:endpoints_endpoint_edit_policy", args=[endpoint.pk]),
            "reader r2, a pipeline",
        ),
        (reverse("admin:endpoints_endpoint_try_it", args=[endpoint.pk]), "image"),
        (reverse("admin:endpoints_endpoint_roll_back", args=[endpoint.pk]), "digits v1"),
        (reverse("admin:endpoints_endpoint_kill_switch", args=[endpoint.pk]), "reader"),
        (reverse("admin:endpoints_revision_change", args=[revision.pk]), "reader r2"),
    ):
        response = admin.get(address)
        assert response.status_code == 200, address
        assert words in response.content.decode(), address


def test_a_version_says_of_which_pipelines_it_is_a_step(reader: Pipeline, admin: Client) -> None:
    version = ModelVersion.objects.get(number=2)
    address = reverse("admin:registry_modelversion_change", args=[version.pk])
    text = admin.get(address).content.decode()
    there = reverse("admin:registry_pipeline_change", args=[reader.pk])
    assert f'<a class="n-link" href="{there}?revision=2">reader r2</a>' in text
    assert "reader r1" not in text


def test_who_sees_nothing_of_the_registry_sees_no_pipeline(reader: Pipeline) -> None:
    nobody = logged_in("nobody", is_staff=True)
    address = reverse("admin:registry_pipeline_change", args=[reader.pk])
    assert nobody.get(address).status_code == 403
