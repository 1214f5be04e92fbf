"""A grant on one name works in the console as it does over the API."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from control_plane.access.models import Grant
from control_plane.domain.access import Kind, Role
from control_plane.endpoints.models import Endpoint
from control_plane.registry.models import Model, ModelVersion
from control_plane.registry.services import create_model
from tests.integration.console.conftest import SAMPLES, logged_in
from tests.integration.console.test_writes import VERSION_ADD, upload


@pytest.fixture
def granted(digits: Endpoint) -> Client:
    """Who pushes versions of `digits` and moves its traffic, and no other's."""
    client = logged_in("gus", is_staff=True)
    gus = User.objects.get(username="gus")
    for role, kind in ((Role.PUBLISHER, Kind.MODEL), (Role.OPERATOR, Kind.ENDPOINT)):
        Grant.objects.create(user=gus, role=role, kind=kind, name="digits", created_by="ada")
    create_model(name="secret", actor="ada")
    Endpoint.objects.create(name="hush", created_by="ada")
    return client


def test_lists_and_home_show_what_was_granted(granted: Client) -> None:
    for record in ("registry_model", "registry_modelversion", "endpoints_endpoint"):
        page = granted.get(reverse(f"admin:{record}_changelist"))
        assert page.status_code == 200
        assert b"digits" in page.content
        assert b"secret" not in page.content
        assert b"hush" not in page.content
    home = granted.get(reverse("admin:index")).content
    assert b"Edit policy" in home
    assert b"hush" not in home
    assert b"Servers</span>" not in home


def test_the_granted_endpoint_is_theirs_to_change(granted: Client, digits: Endpoint) -> None:
    page = granted.get(reverse("admin:endpoints_endpoint_change", args=[digits.pk]))
    assert b"Edit policy" in page.content
    kill = reverse("admin:endpoints_endpoint_kill_switch", args=[digits.pk])
    assert granted.post(kill).status_code == 302
    hush = Endpoint.objects.get(name="hush")
    for name in ("edit_policy", "roll_back", "kill_switch", "delete"):
        there = reverse(f"admin:endpoints_endpoint_{name}", args=[hush.pk])
        assert granted.post(there, {"post": "yes"}).status_code in (302, 403, 404)
    hush.refresh_from_db()
    assert (hush.generation, hush.deleted_at) == (0, None)
    assert granted.get(reverse("admin:live_endpoint", args=[digits.pk])).status_code == 200
    assert "HX-Redirect" in granted.get(reverse("admin:live_endpoint", args=[hush.pk])).headers


def test_versions_are_pushed_to_the_granted_model_alone(granted: Client) -> None:
    content = (SAMPLES / "v1/model.onnx").read_bytes()
    digits, secret = Model.objects.get(name="digits"), Model.objects.get(name="secret")
    assert granted.post(VERSION_ADD, upload(secret, content)).status_code in (200, 403)
    assert ModelVersion.objects.filter(model=secret).count() == 0
    assert granted.post(VERSION_ADD, upload(digits, content)).status_code == 302
    there = reverse("admin:registry_model_upload_version", args=[digits.pk])
    assert granted.get(there).status_code == 302


def test_no_other_name_is_made(granted: Client) -> None:
    there = reverse("admin:endpoints_endpoint_add")
    assert granted.post(there, {"name": "another", "description": ""}).status_code == 403
    model = granted.post(reverse("admin:registry_model_add"), {"name": "another", "tags": "{}"})
    assert model.status_code == 403
    assert not Endpoint.objects.filter(name="another").exists()
    assert not Model.objects.filter(name="another").exists()
