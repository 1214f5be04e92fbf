"""The console's addresses with what nobody types: never a 500, and nothing that a browser runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin as django_admin
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils.http import urlencode

from tests.integration.console.test_pages import everything  # noqa: F401 - a fixture
from tests.integration.console.test_role_matrix import MAY

SCRIPT = "<script>alert(1)</script>"


def looked_at(client: Client, path: str) -> Any:
    """The answer; what a page did to the session is undone."""
    with transaction.atomic():
        answer = client.get(path)
        transaction.set_rollback(True)
    assert answer.status_code < 500, path
    assert SCRIPT.encode() not in answer.content, path
    return answer


@pytest.fixture
def client(admin: Client) -> Client:
    admin.raise_request_exception = False
    return admin


@pytest.mark.parametrize("record", MAY)
def test_the_pages_of_a_record(client: Client, record: str) -> None:
    base = f"/console/{record.replace('.', '/')}/"
    for place in ("%00", "9" * 30, "_2F..", "%ff", SCRIPT.replace("/", "_2F")):
        looked_at(client, f"{base}{place}/change/")
    model = next(m for m in django_admin.site._registry if m._meta.label_lower == record)
    field = next(f.name for f in model._meta.fields if f.name != "id")
    for key, value in (
        ("q", "\0"),
        ("q", SCRIPT),
        ("id", "9" * 30),
        (field, SCRIPT),
        ("o", SCRIPT),
    ):
        looked_at(client, f"{base}?{urlencode({key: value})}")


@pytest.mark.parametrize("character", ["%00", "%7f"])
def test_a_control_character_is_refused_in_words(client: Client, character: str) -> None:
    for path in ("/console/audit/auditevent/?actor=", "/console/registry/model/?q=", "/console/"):
        answer = client.get(f"{path}{character}")
        assert answer.status_code == 400
        assert b"<h1" in answer.content


def test_what_a_form_is_prefilled_with_is_looked_at(client: Client) -> None:
    for value in (SCRIPT, "9" * 30, "..", "00000000-0000-0000-0000-000000000000"):
        looked_at(client, f"/console/registry/modelversion/add/?{urlencode({'model': value})}")


def test_a_list_takes_what_it_has_no_filter_for(
    client: Client,
    everything: Callable[[str], Any],  # noqa: F811
) -> None:
    version = everything("registry.modelversion")
    listed = reverse("admin:registry_modelversion_changelist")
    answer = looked_at(client, f"{listed}?state__exact={version.state}")
    assert answer.status_code == 200
