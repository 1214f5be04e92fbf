"""The console over a real database, a real artifact store and a real inspector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from control_plane import wiring
from control_plane.adapters.clock import SystemClock
from control_plane.endpoints.intent import set_policy
from control_plane.endpoints.models import Endpoint, Placement, Revision
from control_plane.endpoints.reconcile import reconcile
from control_plane.endpoints.services import create_endpoint
from control_plane.fleet.models import Server
from control_plane.fleet.services import register_server
from control_plane.registry.models import Artifact, Model, ModelVersion, VersionState
from control_plane.registry.services import create_model
from control_plane.wiring import print_config
from tests.support.fakes import FakeQueue
from tests.support.plans import DIGITS

SAMPLES = Path(__file__).resolve().parents[3] / "model_repository" / "samples" / "digits"


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> FakeQueue:
    fake = FakeQueue()
    monkeypatch.setattr(wiring, "queue", lambda: fake)
    return fake


def logged_in(username: str, *permissions: str, **rights: bool) -> Client:
    """A browser with a person's session; permissions as `registry.view_model`."""
    user = User.objects.create_user(username, password="x", **rights)
    for permission in permissions:
        app, codename = permission.split(".")
        user.user_permissions.add(
            Permission.objects.get(content_type__app_label=app, codename=codename)
        )
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def admin(db: None, queue: FakeQueue) -> Client:
    return logged_in("ada", is_staff=True, is_superuser=True)


@pytest.fixture
def stranger(db: None, queue: FakeQueue) -> Client:
    """Somebody who may come in and nothing else."""
    return logged_in("sam", is_staff=True)


def ready_version(model: Model, number: int, sample: int = 1) -> ModelVersion:
    with (SAMPLES / f"v{sample}/model.onnx").open("rb") as file:
        sha256, size = wiring.artifact_store().add(file)
    return ModelVersion.objects.create(
        model=model,
        number=number,
        framework="onnx",
        artifact=Artifact.objects.get_or_create(sha256=sha256, defaults={"size": size})[0],
        filename="model.onnx",
        profile="realtime",
        state=VersionState.READY,
        signature=DIGITS.to_document(),
        metrics={"accuracy": 0.9 + number / 100},
        created_by="ada",
    )


def policy(*percents: float, model: str = "digits") -> dict[str, Any]:
    return {
        "arms": [
            {"model": model, "version": i + 1, "weight": p, "primary": i == 0}
            for i, p in enumerate(percents)
        ]
    }


def apply(endpoint: str, document: dict[str, Any], queue: FakeQueue) -> None:
    """Sets a policy and lets it become the revision that serves on every server."""
    row = set_policy(
        name=endpoint, document=document, actor="ada", queue=queue, print_config=print_config
    )
    clock = SystemClock()
    for server in Server.objects.all():
        Placement.objects.update_or_create(
            server=server,
            endpoint=row,
            defaults={"prepared": row.generation, "switched": row.generation},
        )
    reconcile(endpoint_id=row.id, clock=clock, queue=queue, print_config=wiring.print_config)


@pytest.fixture
def digits(admin: Client, queue: FakeQueue) -> Endpoint:
    """Two ready versions, a server that is up, and an endpoint that serves its second policy."""
    register_server(
        name="local",
        http="127.0.0.1:1",
        grpc="127.0.0.1:2",
        metrics="http://127.0.0.1:3/metrics",
        accelerator="cpu",
        actor="ada",
    )
    Server.objects.update(
        ready=True,
        last_seen_at=SystemClock().now(),
        held=[{"name": "digits", "version": "1", "state": "READY"}],
    )
    model = create_model(name="digits", actor="ada")
    for number in (1, 2):
        ready_version(model, number, sample=number)
    create_endpoint(name="digits", actor="ada", queue=queue, print_config=print_config)
    apply("digits", policy(100), queue)
    apply("digits", policy(90, 10), queue)
    return Endpoint.objects.get(name="digits")


def physical(number: int) -> str:
    plan: Any = Revision.objects.order_by("-number").first().plan
    return next(arm["physical"] for arm in plan["arms"] if arm["version"] == number)
