"""Models, versions, tokens and people, written in the console."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from control_plane import wiring
from control_plane.audit.models import AuditEvent
from control_plane.endpoints.models import Endpoint
from control_plane.registry.models import Artifact, Model, ModelVersion
from tests.integration.console.conftest import SAMPLES, logged_in
from tests.support.fakes import FakeQueue


def errors(page: Any) -> dict[str, list[str]]:
    form = page.context["adminform"].form
    return {name: [str(text) for text in texts] for name, texts in form.errors.items()}


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def upload(model: Model, content: bytes, **more: Any) -> dict[str, Any]:
    return {
        "model": str(model.pk),
        "file": SimpleUploadedFile("model.onnx", content),
        "framework": "onnx",
        "profile": "realtime",
        **more,
    }


TEAM = {"tag.key": ["team", ""], "tag.value": ["vision", ""]}
VERSION_ADD = "/console/registry/modelversion/add/"


@pytest.fixture
def model(admin: Client) -> Model:
    admin.post(
        reverse("admin:registry_model_add"),
        {"name": "digits", "description": "Pictures", "owner": "", **TEAM},
    )
    return Model.objects.get()


def test_a_model_is_made_by_the_service(admin: Client, model: Model) -> None:
    assert (model.owner, model.created_by, model.tags) == ("ada", "ada", {"team": "vision"})
    assert admin.get(reverse("admin:registry_model_change", args=[model.pk])).status_code == 200
    assert [event.action for event in AuditEvent.objects.all()] == ["model.create"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "../etc"}, "name"),
        ({"name": "Digits"}, "name"),
        ({"name": "digits"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a", "tag.key": "", "tag.value": "vision"}, "tags"),
        ({"name": "a", "tag.key": ["a", "a"], "tag.value": ["1", "2"]}, "tags"),
        ({"name": "a", "tag.key": "a", "tag.value": "x" * 201}, "tags"),
        ({"name": "a", "sla_p99_ms": "-1"}, "sla_p99_ms"),
    ],
)
def test_a_bad_model_is_refused_at_its_field(
    admin: Client, model: Model, fields: dict[str, str], field: str
) -> None:
    page = admin.post(reverse("admin:registry_model_add"), fields)
    assert page.status_code == 200
    assert field in errors(page)
    assert Model.objects.count() == 1
    assert AuditEvent.objects.count() == 1


def test_a_version_is_uploaded_through_the_service(
    admin: Client, model: Model, queue: FakeQueue, django_capture_on_commit_callbacks: Any
) -> None:
    content = (SAMPLES / "v1/model.onnx").read_bytes()
    said = {
        "metric.data_set": ["", "holdout"],
        "metric.name": ["accuracy", "loss"],
        "metric.value": ["0.9", "0,5"],
        "tag.key": "stage",
        "tag.value": "trial",
        "git_commit": "beef",
        "provenance.name": "sweep",
        "provenance.value": "12",
        "description": "One\r\ntwo",
    }
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        answer = admin.post(VERSION_ADD, upload(model, content, **said))
    assert answer.status_code == 302, errors(answer)
    version = ModelVersion.objects.get()
    assert (version.number, version.state, version.created_by) == (1, "validating", "ada")
    assert version.metrics == {"accuracy": 0.9, "holdout": {"loss": 0.5}}
    assert (version.tags, version.description) == ({"stage": "trial"}, "One\ntwo")
    assert version.provenance == {"git_commit": "beef", "sweep": "12"}
    assert [t["name"] for t in version.signature["inputs"]]
    assert wiring.artifact_store().path(version.artifact_id).read_bytes() == content
    assert len(callbacks) == 1, "its validation is asked for once it is committed"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"file": SimpleUploadedFile("model.onnx", b"no model at all")}, "file"),
        ({"file": ""}, "file"),
        ({"number": "0"}, "number"),
        ({"sha256": "beef"}, "sha256"),
        ({"sha256": "0" * 64}, "sha256"),
        ({"metric.data_set": "", "metric.name": "a", "metric.value": "high"}, "metrics"),
        ({"metric.data_set": "", "metric.name": "a" * 101, "metric.value": "1"}, "metrics"),
        ({"provenance.name": "author", "provenance.value": "ada"}, "provenance"),
        ({"git_commit": "of yesterday"}, "git_commit"),
        ({"input.name": "a", "input.datatype": "FP32", "input.shape": "wide"}, "inputs"),
        ({"input.name": "a", "input.datatype": "FLOAT", "input.shape": "-1"}, "inputs"),
        ({"input.name": "a", "input.datatype": "FP32", "input.shape": "-1"}, "outputs"),
        ({"framework": "pickle"}, "framework"),
        ({"profile": "none"}, "profile"),
    ],
)
def test_a_bad_upload_is_refused_at_its_field_and_stores_nothing(
    admin: Client, model: Model, more: dict[str, Any], field: str
) -> None:
    from django.conf import settings

    before = files(settings.NEREID_ARTIFACTS)
    content = (SAMPLES / "v2/model.onnx").read_bytes()
    page = admin.post(VERSION_ADD, upload(model, content, **more))
    assert page.status_code == 200
    assert field in errors(page), errors(page)
    assert ModelVersion.objects.count() == Artifact.objects.count() == 0
    assert AuditEvent.objects.count() == 1
    assert files(settings.NEREID_ARTIFACTS) == before


def test_what_is_wrong_is_said_at_its_row_and_what_was_written_stays(
    admin: Client, model: Model
) -> None:
    content = (SAMPLES / "v1/model.onnx").read_bytes()
    said = {
        "metric.data_set": ["", ""],
        "metric.name": ["accuracy", "nan"],
        "metric.value": ["0.9", "NaN"],
    }
    page = admin.post(VERSION_ADD, upload(model, content, **said)).content.decode()
    rows = page.partition('data-rows="metrics"')[2].partition("<template")[0]
    good, bad, *_ = rows.split("data-row>")[1:]
    assert 'value="accuracy"' in good
    assert 'role="alert"' not in good
    assert 'value="NaN"' in bad
    assert 'role="alert"' in bad


def test_a_signature_that_differs_from_the_file_is_refused(admin: Client, model: Model) -> None:
    content = (SAMPLES / "v1/model.onnx").read_bytes()
    said = {
        f"{side}.{part}": value
        for side, name in (("input", "picture"), ("output", "logits"))
        for part, value in (("name", name), ("datatype", "fp32"), ("shape", "[-1, 10]"))
    }
    page = admin.post(VERSION_ADD, upload(model, content, **said))
    assert "picture FP32[-1,10]" in str(errors(page))
    assert not ModelVersion.objects.exists()


def test_a_taken_number_is_a_conflict_above_the_form(digits: Endpoint, admin: Client) -> None:
    content = (SAMPLES / "v1/model.onnx").read_bytes()
    page = admin.post(VERSION_ADD, upload(Model.objects.get(), content, number="2"))
    assert "has a version 2 already" in str(errors(page)["__all__"])
    assert ModelVersion.objects.count() == 2


def test_what_serves_is_not_deleted_and_the_page_says_where(
    digits: Endpoint, admin: Client
) -> None:
    version = ModelVersion.objects.get(number=1)
    there = reverse("admin:registry_modelversion_delete", args=[version.pk])
    for page, status in ((admin.get(there), 200), (admin.post(there), 409)):
        assert page.status_code == status
        assert "digits:1 serves in endpoint digits (revision 2" in page.content.decode()
        assert ">Delete</button>" not in page.content.decode()
    there = reverse("admin:registry_model_delete", args=[version.model_id])
    for page in (admin.get(there), admin.post(there)):
        assert "has 2 versions" in page.content.decode()
        assert ">Delete</button>" not in page.content.decode()
    assert ModelVersion.objects.count() == 2


def test_a_model_without_versions_is_deleted(admin: Client, model: Model) -> None:
    there = reverse("admin:registry_model_delete", args=[model.pk])
    assert admin.get(there).status_code == 200
    assert Model.objects.exists()
    assert admin.post(there).status_code == 302
    assert not Model.objects.exists()
    assert AuditEvent.objects.first().action == "model.delete"


def test_a_new_endpoint_leads_to_its_policy(admin: Client, queue: FakeQueue) -> None:
    there = reverse("admin:endpoints_endpoint_add")
    answer = admin.post(there, {"name": "digits", "description": ""})
    endpoint = Endpoint.objects.get()
    assert answer.url == reverse("admin:endpoints_endpoint_edit_policy", args=[endpoint.pk])
    assert b"No version is ready" in admin.get(answer.url).content
    assert "name" in errors(admin.post(there, {"name": "a b"}))
    assert AuditEvent.objects.count() == 1


def test_a_token_is_shown_once_and_works_until_it_is_revoked(
    admin: Client, queue: FakeQueue
) -> None:
    answer = admin.post(
        reverse("admin:access_apitoken_add"), {"name": "ci", "role": "admin", "lifetime": "30"}
    )
    assert "no-store" in answer["Cache-Control"]
    token = re.search(rb'id="token">(nrd_[\w-]+)<', answer.content)
    assert token
    bearer = {"headers": {"Authorization": f"Bearer {token[1].decode()}"}}
    assert Client().get("/api/v1/models/", **bearer).status_code == 200
    row = apps.get_model("access.ApiToken").objects.get()
    assert row.expires_at
    page = reverse("admin:access_apitoken_change", args=[row.pk])
    assert token[1] not in admin.get(page).content
    revoke = reverse("admin:access_apitoken_revoke", args=[row.pk])
    assert admin.get(revoke).status_code == 200
    assert Client().get("/api/v1/models/", **bearer).status_code == 200, "asking revokes nothing"
    assert admin.post(revoke).status_code == 302
    assert Client().get("/api/v1/models/", **bearer).status_code == 401
    assert list(AuditEvent.objects.values_list("action", flat=True)) == [
        "token.refused",
        "token.revoke",
        "token.create",
    ]
    assert token[1].decode() not in str(list(AuditEvent.objects.values()))


def test_people_see_and_revoke_their_own_tokens_alone(admin: Client) -> None:
    admin.post(
        reverse("admin:access_apitoken_add"), {"name": "ada's", "role": "admin", "lifetime": ""}
    )
    row = apps.get_model("access.ApiToken").objects.get()
    bob = logged_in("bob", is_staff=True)
    assert b"ada&#x27;s" not in bob.get(reverse("admin:access_apitoken_changelist")).content
    assert bob.post(reverse("admin:access_apitoken_revoke", args=[row.pk])).status_code == 403
    row.refresh_from_db()
    assert row.revoked_at is None
    made = {"name": "bob's", "role": "publisher", "names": "digits, other", "lifetime": ""}
    assert bob.post(reverse("admin:access_apitoken_add"), made).status_code == 200
    own = apps.get_model("access.ApiToken").objects.get(name="bob's")
    assert (own.role, own.names) == ("publisher", ["digits", "other"])
    assert (
        b"publisher of digits, other"
        in bob.get(reverse("admin:access_apitoken_change", args=[own.pk])).content
    )
    assert bob.post(reverse("admin:access_apitoken_revoke", args=[own.pk])).status_code == 302


def test_people_are_audited_and_hand_out_no_rights_they_lack(admin: Client) -> None:
    there = reverse("admin:auth_user_add")
    fields = {"username": "cleo", "password1": "long-enough-1", "password2": "long-enough-1"}
    assert admin.post(there, {**fields, "usable_password": "true"}).status_code == 302
    assert AuditEvent.objects.first().action == "user.create"
    cleo = User.objects.get(username="cleo")
    rights = ("auth.view_user", "auth.change_user", "auth.view_group", "auth.change_group")
    clerk = logged_in("carl", *rights, is_staff=True)
    page = reverse("admin:auth_user_change", args=[cleo.pk])
    permission = Permission.objects.first()
    clerk.post(
        page,
        {
            "username": "cleo",
            "first_name": "Cleo",
            "is_active": "on",
            "is_staff": "on",
            "is_superuser": "on",
            "user_permissions": [permission.pk],
        },
    )
    cleo.refresh_from_db()
    assert cleo.first_name == "Cleo"
    assert not any((cleo.is_staff, cleo.is_superuser, cleo.user_permissions.exists()))
    boss = User.objects.get(username="ada")
    assert clerk.post(reverse("admin:auth_user_change", args=[boss.pk]), {}).status_code == 403
    assert clerk.post(reverse("admin:auth_user_delete", args=[cleo.pk])).status_code == 403
    group = Group.objects.create(name="operators")
    assert clerk.post(reverse("admin:auth_group_change", args=[group.pk])).status_code == 403
