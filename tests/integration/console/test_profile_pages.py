"""Serving profiles in the console: looked at, made, changed, and who uses them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from control_plane.access.roles import role_group
from control_plane.domain.access import Role
from control_plane.endpoints.models import Endpoint
from control_plane.registry.models import ModelVersion, Profile, ProfileRevision
from control_plane.registry.profile_edits import put_profile
from tests.integration.console.conftest import logged_in

DOCUMENT = {"max_batch_size": 8, "dynamic_batching": {"max_queue_delay_microseconds": 1000}}


def page(profile: Profile, action: str = "change") -> str:
    return reverse(f"admin:registry_profile_{action}", args=[profile.pk])


def saved(client: Client, profile: Profile, document: Any, seen: int) -> Any:
    text = document if isinstance(document, str) else json.dumps(document)
    return client.post(page(profile), {"document": text, "seen": seen})


@pytest.fixture
def patient(digits: Endpoint) -> Profile:
    put_profile(name="patient", document=DOCUMENT, actor="ada")
    ModelVersion.objects.filter(number=2).update(profile="patient")
    return Profile.objects.get()


def test_both_kinds_are_listed(patient: Profile, admin: Client) -> None:
    answer = admin.get(reverse("admin:registry_profile_changelist"))
    content = answer.content.decode()
    assert page(patient) in content
    assert reverse("admin:registry_profile_built_in", args=["throughput"]) in content


def test_a_built_in_one_is_explained_and_is_the_beginning_of_another(admin: Client) -> None:
    shown = admin.get(reverse("admin:registry_profile_built_in", args=["realtime"]))
    words = {word.place: word.value for word in shown.context["words"]}
    assert words["dynamic_batching.max_queue_delay_microseconds"] == "500"
    content = shown.content.decode()
    assert "How long the first request of a batch waits for others" in content
    assert "?like=realtime" in content
    form = admin.get(reverse("admin:registry_profile_add"), {"like": "realtime"})
    assert "max_queue_delay_microseconds&quot;: 500" in form.content.decode()
    assert admin.get("/console/registry/profile/built-in/none/").status_code == 404


def test_who_uses_it_and_how_it_changed(patient: Profile, admin: Client) -> None:
    put_profile(name="patient", document={**DOCUMENT, "max_batch_size": 16}, actor="ben")
    shown = admin.get(page(patient))
    [user] = shown.context["users"]
    assert (user.version.number, [place.endpoint for place in user.places]) == (2, ["digits"])
    newest, first = shown.context["revisions"]
    assert (newest.number, newest.created_by) == (2, "ben")
    assert '-  "max_batch_size": 8,' in newest.diff
    assert '+  "max_batch_size": 16,' in newest.diff
    assert first.diff.startswith("--- /dev/null")
    assert "digits v2" in shown.content.decode()


def test_it_is_made_and_changed_and_refused_at_its_field(admin: Client, digits: Endpoint) -> None:
    add = reverse("admin:registry_profile_add")
    made = admin.post(add, {"name": "mine", "document": json.dumps(DOCUMENT)})
    assert made.status_code == 302
    mine = Profile.objects.get()
    assert saved(admin, mine, {**DOCUMENT, "max_batch_size": 4}, seen=1).status_code == 302
    mine.refresh_from_db()
    assert mine.newest == 2
    for document, words in (
        ("{", "this is no JSON"),
        ({"max_batch": 4}, "max_batch: &#x27;max_batch&#x27; is no word"),
        ({"dynamic_batching": {"priority_levels": 2}}, "dynamic_batching.default_priority_level"),
        ({"parameters": {"EXECUTION_ENV_PATH": "x"}}, "points at a file"),
    ):
        refused = saved(admin, mine, document, seen=2)
        assert refused.status_code == 200
        assert words in refused.content.decode()
    again = admin.post(add, {"name": "mine", "document": json.dumps(DOCUMENT)})
    assert "there is a profile" in again.content.decode()
    taken = admin.post(add, {"name": "realtime", "document": json.dumps(DOCUMENT)})
    assert "comes with Nereid" in taken.content.decode()
    mine.refresh_from_db()
    assert mine.newest == 2


def test_what_somebody_else_saved_meanwhile_is_not_overwritten(
    patient: Profile, admin: Client
) -> None:
    put_profile(name="patient", document={"max_batch_size": 2}, actor="ben")
    late = saved(admin, patient, {"max_batch_size": 3}, seen=1)
    assert "somebody saved revision 2 meanwhile" in late.content.decode()
    assert patient.revisions.count() == 2


def test_one_that_a_version_names_stays(patient: Profile, admin: Client) -> None:
    assert "1 version name it" in admin.get(page(patient, "delete")).content.decode()
    assert admin.post(page(patient, "delete")).status_code == 409
    ModelVersion.objects.update(profile="realtime")
    assert admin.post(page(patient, "delete")).status_code == 302
    assert not Profile.objects.exists()


def test_findings_are_shown_and_what_cannot_be_read_any_more(
    patient: Profile, admin: Client
) -> None:
    queue = {"default_queue_policy": {"default_timeout_microseconds": 9000}}
    put_profile(name="patient", document={**DOCUMENT, "dynamic_batching": queue}, actor="ada")
    assert "queue-timeout-stall" in admin.get(page(patient)).content.decode()
    ProfileRevision.objects.create(profile=patient, number=9, document={"gone": 1})
    Profile.objects.update(newest=9)
    assert "unreadable" in admin.get(page(patient)).content.decode()


def test_a_viewer_sees_no_form(patient: Profile) -> None:
    client = logged_in("vera", is_staff=True)
    User.objects.get(username="vera").groups.add(role_group(Role.VIEWER))
    content = client.get(page(patient)).content.decode()
    assert "dynamic_batching.max_queue_delay_microseconds" in content
    assert "<textarea" not in content


def test_a_versions_page_says_what_its_overrides_make_of_the_profile(
    patient: Profile, admin: Client
) -> None:
    version = ModelVersion.objects.get(number=2)
    there = reverse("admin:registry_modelversion_change", args=[version.pk])
    assert "with overrides" not in admin.get(there).content.decode()
    said = {"max_batch_size": 4, "dynamic_batching": None}
    ModelVersion.objects.filter(number=2).update(overrides=said)
    shown = admin.get(there)
    assert json.loads(shown.context["overrides"]) == said
    assert json.loads(shown.context["effective"]) == {"max_batch_size": 4}
    put_profile(name="patient", document={"model_warmup": {"batch_sizes": [8]}}, actor="ada")
    ModelVersion.objects.filter(number=2).update(overrides={"max_batch_size": 4})
    assert "do not fit the profile of today" in admin.get(there).content.decode()
