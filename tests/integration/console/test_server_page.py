"""A server's page: what it holds, what went wrong on it, when it was last heard of."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from control_plane import wiring
from control_plane.domain.planning.backends import Backend, BackendKind
from control_plane.domain.planning.drift import Drift, DriftKind
from control_plane.endpoints.models import Endpoint, Placement
from control_plane.fleet.cordoning import cordon_server, drain_server
from control_plane.fleet.drift_records import note_drift
from control_plane.fleet.models import Server
from control_plane.fleet.services import heartbeat
from control_plane.ports.triton import HeldModel, Sample
from control_plane.registry.models import Pipeline
from control_plane.registry.pipeline_edits import put_pipeline
from control_plane.telemetry.samples import rows
from control_plane.telemetry.store import TelemetryStore
from tests.integration.console.conftest import logged_in, physical


def live_url(server: Server) -> str:
    return reverse("admin:live_server", args=[server.pk])


@pytest.fixture
def server(digits: Endpoint) -> Server:
    heartbeat(
        name="local",
        now=wiring.clock().now(),
        ready=True,
        reason="",
        triton_version="2.51.0",
        held=[
            HeldModel("digits", "1000000000", "READY", ""),
            HeldModel("digits", "2", "READY", ""),
            HeldModel(physical(1), "1", "READY", ""),
            HeldModel(physical(2), "1", "UNAVAILABLE", "no memory left"),
        ],
        backends=[Backend("onnxruntime", BackendKind.PYTHON, "1.2.3")],
    )
    return Server.objects.get()


def test_models_are_shown_with_what_they_are_and_did(
    server: Server, admin: Client, telemetry: TelemetryStore
) -> None:
    labels = {"model": physical(1), "version": "1"}
    page = [
        Sample("nv_inference_request_success", labels, 70),
        Sample("nv_inference_request_failure", labels, 3),
        Sample("nv_cpu_memory_used_bytes", {}, 3 << 30),
    ]
    telemetry.write(rows(page, server.pk, wiring.clock().now()))
    answer = admin.get(live_url(server))
    held = answer.context["held"]
    assert [(m.name, m.kind, str(m.record), m.ok, m.failed) for m in held] == [
        (physical(2), "model", "digits v2", None, None),
        ("digits", "router", "digits", None, None),
        ("digits", "router", "digits", None, None),
        (physical(1), "model", "digits v1", 70, 3),
    ]
    text = answer.content.decode()
    assert "no memory left" in text
    assert "by the policy" in text
    assert "version 2 itself" in text
    assert "3.0\u00a0GiB" in text
    whole = admin.get(reverse("admin:fleet_server_change", args=[server.pk]))
    assert "server-live" in whole.content.decode()


def test_a_pipelines_model_is_the_pipeline_for_who_may_see_pipelines(
    server: Server, admin: Client
) -> None:
    put_pipeline(
        name="reader", document={"steps": [{"model": "digits", "version": 1}]}, actor="ada"
    )
    Server.objects.update(
        held=[{"name": "reader.v1.aaaaaa", "version": "1", "state": "READY", "reason": ""}]
    )
    [held] = admin.get(live_url(server)).context["held"]
    assert (str(held.record), held.kind) == ("reader", "model")
    there = reverse("admin:registry_pipeline_change", args=[Pipeline.objects.get().pk])
    assert there in admin.get(live_url(server)).content.decode()
    reader = logged_in("rita", "fleet.view_server", is_staff=True)
    assert there not in reader.get(live_url(server)).content.decode()


def test_failures_and_silence_are_said(server: Server, admin: Client) -> None:
    Placement.objects.update(failed=2, failure="digits.v2: no memory", failed_at=server.created_at)
    Server.objects.update(last_seen_at=wiring.clock().now() - timedelta(minutes=5))
    text = admin.get(live_url(server)).content.decode()
    assert "Last errors" in text
    assert "digits.v2: no memory" in text
    assert "5 min ago" in text
    assert "start its node worker again" in text


def test_what_was_changed_by_hand_is_said_here_and_on_the_endpoint(
    server: Server, digits: Endpoint, admin: Client
) -> None:
    endpoint = reverse("admin:endpoints_endpoint_change", args=[digits.pk])
    assert b"Changed by hand" not in admin.get(endpoint).content
    now = wiring.clock().now()
    drift = Drift(DriftKind.UNLOADED, physical(1), "unloaded by hand", endpoints=("digits",))
    note_drift(server="local", present=[drift], done=[], now=now)
    for there, said in ((live_url(server), "unloaded by hand"), (endpoint, "on local: unloaded")):
        shown = admin.get(there).content.decode()
        assert "Changed by hand" in shown
        assert said in shown


def test_a_silent_server_can_be_removed_and_another_not(
    digits: Endpoint, server: Server, admin: Client
) -> None:
    there = reverse("admin:fleet_server_delete", args=[server.pk])
    refused: Any = admin.post(there)
    assert "was heard of" in refused.content.decode()
    Server.objects.update(last_seen_at=wiring.clock().now() - timedelta(minutes=5))
    asked = admin.get(there).content.decode()
    assert "the only server that holds digits" in asked
    assert 'class="n-button n-danger"' not in asked
    assert admin.post(there).status_code == 409
    assert Server.objects.exists()
    other = Server.objects.create(name="lab", http="h:1", grpc="h:2", metrics="http://h:3/metrics")
    Placement.objects.create(server=other, endpoint=digits, switched=1)
    assert "Changes of digits wait for it no longer" in admin.get(there).content.decode()
    assert admin.post(there).status_code == 302
    other.delete()
    assert not Server.objects.exists()
    gone = admin.get(live_url(server))
    assert gone["HX-Redirect"] == reverse("admin:fleet_server_changelist")


def test_a_server_is_not_edited_or_made(server: Server, admin: Client) -> None:
    assert admin.get(reverse("admin:fleet_server_add")).status_code == 403
    there = reverse("admin:fleet_server_change", args=[server.pk])
    assert admin.post(there, {"name": "other"}).status_code == 403


@pytest.mark.parametrize(
    ("done", "offered"),
    [
        (None, {"cordon", "drain"}),
        (cordon_server, {"drain", "uncordon"}),
        (drain_server, {"cordon", "uncordon"}),
    ],
)
def test_what_would_change_nothing_is_not_offered(
    server: Server, admin: Client, done: Any, offered: set[str]
) -> None:
    if done:
        done(name=server.name, actor="ada", now=wiring.clock().now())
    page = admin.get(reverse("admin:fleet_server_change", args=[server.pk])).content.decode()
    links = {
        one: reverse(f"admin:fleet_server_{one}", args=[server.pk])
        for one in ("cordon", "drain", "uncordon")
    }
    assert {one for one, link in links.items() if link in page} == offered


def test_only_who_may_see_servers(server: Server, stranger: Client) -> None:
    assert stranger.get(live_url(server)).status_code == 403
    reader = logged_in("rita", "fleet.view_server", is_staff=True)
    text = reader.get(live_url(server)).content.decode()
    assert "nothing that you can see" in text
    assert reverse("admin:endpoints_endpoint_changelist") not in text
    assert Client().get(live_url(server))["HX-Redirect"].startswith("/console/login/")


def test_backends_are_shown_or_said_to_be_unknown(server: Server, admin: Client) -> None:
    assert "Python-based 1.2.3" in admin.get(live_url(server)).content.decode()
    Server.objects.update(backends=None)
    assert "NEREID_TRITON_BACKENDS" in admin.get(live_url(server)).content.decode()


def test_a_fault_is_said_everywhere_with_how_long_it_lasts_and_what_happens_by_itself(
    server: Server, admin: Client
) -> None:
    now = wiring.clock().now()
    reason = "no answer from Triton at http://127.0.0.1:1"

    def said(ago: int, *, ready: bool, version: str = "") -> None:
        heartbeat(
            name="local",
            now=now - timedelta(seconds=ago),
            ready=ready,
            reason="" if ready else reason,
            triton_version=version,
            held=[],
        )

    for ago in (90, 40, 0):
        said(ago, ready=False)
    assert Server.objects.get().not_ready_since == now - timedelta(seconds=90), "not since the last"
    home = admin.get(reverse("admin:index")).content.decode()
    assert f"{reason}, for 1 min 3" in home
    page = admin.get(live_url(server)).content.decode()
    assert "starts it again (make serve and Kubernetes do), and its node loads" in page
    assert "Not known: its Triton does not answer" in page
    assert "not ready" in page.lower()
    # A part of an endpoint there is not said to serve.
    card = admin.get(reverse("admin:index")).context["cards"][0]
    assert [(part.name, part.status) for part in card.servers] == [("local", "NotReady")]
    said(0, ready=False, version="2.51.0")
    assert (
        "Its node loads what is missing by itself" in admin.get(live_url(server)).content.decode()
    )
    said(0, ready=True, version="2.51.0")
    assert Server.objects.get().not_ready_since is None
    assert ", for " not in admin.get(reverse("admin:live")).content.decode()
    Server.objects.update(last_seen_at=now - timedelta(minutes=1))
    [part] = admin.get(reverse("admin:index")).context["cards"][0].servers
    assert (part.status, "may go on serving" in part.reason) == ("Unknown", True)
