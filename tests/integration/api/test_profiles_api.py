"""Serving profiles over the API: both kinds, revisions, and what they mean for what serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from control_plane.access.models import ApiToken
from control_plane.adapters.profiles import profile_names
from control_plane.audit.models import AuditEvent
from control_plane.endpoints.models import Endpoint, Revision
from control_plane.registry.models import ModelVersion, Profile, ProfileRevision
from tests.integration.api.conftest import SAMPLES, Api
from tests.integration.api.test_registry_api import problem

Weights = Callable[..., dict[str, Any]]
PATIENT = {"max_batch_size": 32, "dynamic_batching": {"max_queue_delay_microseconds": 1000}}
SMALLER = {**PATIENT, "max_batch_size": 16}


def put(api: Api, document: Any, name: str = "patient", **headers: str) -> Any:
    return api.call("put", f"profiles/{name}/", document, **headers)


def again(api: Api, document: Any, name: str = "patient") -> Any:
    return put(api, document, name, **{"If-Match": "*"})


def test_a_profile_is_added_changed_and_deleted(api: Api) -> None:
    made = put(api, PATIENT)
    assert (made.status_code, made.json()["revision"]) == (201, 1)
    assert made["Location"].endswith("/api/v1/profiles/patient")
    assert made.json()["document"] == PATIENT
    changed = put(api, SMALLER, **{"If-Match": made["ETag"]})
    assert (changed.status_code, changed.json()["revision"]) == (200, 2)
    read = api.get("profiles/patient")
    assert (read.json(), read["ETag"]) == (changed.json(), changed["ETag"])
    assert api.call("delete", "profiles/patient", **{"If-Match": read["ETag"]}).status_code == 204
    problem(api.get("profiles/patient"), 404)
    said = AuditEvent.objects.filter(object_name="patient").order_by("id")
    assert [(e.action, e.before, e.after) for e in said] == [
        ("profile.create", None, PATIENT),
        ("profile.update", PATIENT, SMALLER),
        ("profile.delete", SMALLER, None),
    ]


def test_the_same_again_is_no_revision(api: Api) -> None:
    tag = put(api, PATIENT)["ETag"]
    # Written in other words: a default said, and one group as a table.
    same = {**PATIENT, "description": "", "instance_group": {"count": 1}}
    repeated = put(api, same, **{"If-Match": tag})
    assert (repeated.status_code, repeated["ETag"]) == (200, tag)
    assert ProfileRevision.objects.count() == 1
    assert AuditEvent.objects.filter(object_type="profile").count() == 1


def test_a_change_says_what_it_is_based_on(api: Api) -> None:
    problem(put(api, PATIENT, **{"If-Match": "*"}), 412)
    tag = put(api, PATIENT)["ETag"]
    problem(put(api, SMALLER), 428)
    problem(put(api, SMALLER, **{"If-Match": '"another"'}), 412)
    assert put(api, SMALLER, **{"If-Match": tag}).status_code == 200
    problem(put(api, PATIENT, **{"If-Match": tag}), 412)
    problem(api.call("delete", "profiles/patient", **{"If-Match": tag}), 412)
    assert Profile.objects.get().newest == 2


def test_a_tag_tells_two_profiles_of_one_name_apart(api: Api) -> None:
    tag = put(api, PATIENT)["ETag"]
    api.call("delete", "profiles/patient")
    put(api, PATIENT)
    problem(put(api, SMALLER, **{"If-Match": tag}), 412)


def test_what_comes_with_nereid_is_read_only(api: Api) -> None:
    shown = api.get("profiles/realtime").json()
    assert (shown["built_in"], shown["revision"]) == (True, None)
    problem(put(api, PATIENT, "realtime"), 409)
    problem(api.call("delete", "profiles/realtime"), 409)
    problem(api.call("delete", "profiles/nobody"), 404)


def test_refusals_have_their_place(api: Api) -> None:
    wrong = {"max_batch_size": 8, "dynamic_batching": {"preferred_batch_size": [16]}}
    assert list(problem(put(api, wrong), 400)) == ["/dynamic_batching/preferred_batch_size/0"]
    environment = {"parameters": {"EXECUTION_ENV_PATH": "/x.tar.gz"}}
    found = problem(put(api, environment), 400)
    assert found == {"/parameters/EXECUTION_ENV_PATH": "not_allowed"}
    assert problem(put(api, {}, "No"), 400) == {"/name": "invalid_name"}
    assert not Profile.objects.exists()


def test_findings_come_with_it(api: Api) -> None:
    found = put(api, {"dynamic_batching": {}}).json()["findings"]
    assert [(one["code"], one["pointer"]) for one in found] == [
        ("batching-without-batches", "/max_batch_size")
    ]
    assert api.get("profiles/patient").json()["findings"] == found


def test_one_list_has_both_kinds_page_by_page(
    api: Api, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    own = ["aa", "patient", "zz"]
    for name in own:
        put(api, {**PATIENT, "description": "Waits a little"}, name)
    again(api, SMALLER, "zz")
    names, path = [], "profiles/?limit=4"
    while path:
        page = api.get(path).json()
        names += [one["name"] for one in page["results"]]
        path = (page["next"] or "").partition("/api/v1/")[2]
    assert names == sorted([*profile_names(), *own])
    assert page["previous"]
    assert page["results"][-1]["revision"] == 2
    found = api.get("profiles/?search=LITTLE").json()["results"]
    assert [one["name"] for one in found if not one["built_in"]] == ["aa", "patient"]
    for wrong in ("cursor=-1", "cursor=99", "limit=0"):
        problem(api.get(f"profiles/?{wrong}"), 400)
    ApiToken.objects.update(last_used_at="2999-01-01T00:00:00Z")
    with django_assert_max_num_queries(4):
        api.get("profiles/")


def test_a_document_that_a_later_nereid_refuses_is_told_not_fatal(api: Api) -> None:
    profile = Profile.objects.create(name="old", newest=1, created_by="ada")
    ProfileRevision.objects.create(profile=profile, number=1, document={"gone": 1})
    shown = api.get("profiles/old").json()
    assert (shown["document"], shown["findings"][0]["code"]) == ({"gone": 1}, "unreadable")
    assert api.get("profiles/").status_code == 200
    api.post("models/", {"name": "m"})
    answer = api.upload(
        "m",
        SAMPLES / "v1/model.onnx",
        {"profile": "old", "golden": [{"inputs": {"image": []}, "outputs": {"logits": []}}]},
    )
    assert problem(answer, 400) == {"/profile": "unreadable"}


def test_a_revision_never_changes(api: Api) -> None:
    put(api, PATIENT)
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        ProfileRevision.objects.update(document={})


def test_a_version_holds_on_to_its_profile(api: Api) -> None:
    put(api, PATIENT)
    api.post("models/", {"name": "m"})
    pushed = api.upload("m", SAMPLES / "v1/model.onnx", {"profile": "patient"})
    assert pushed.status_code == 202, pushed.content
    refused = api.call("delete", "profiles/patient")
    problem(refused, 409)
    assert "m v1" in refused.json()["detail"]
    ModelVersion.objects.all().delete()
    assert api.call("delete", "profiles/patient").status_code == 204
    gone = api.upload("m", SAMPLES / "v1/model.onnx", {"profile": "patient"})
    assert problem(gone, 400) == {"/profile": "not_found"}


def test_nothing_that_serves_changes_until_the_next_policy(digits: Api, weights: Weights) -> None:
    put(digits, PATIENT)
    ModelVersion.objects.update(profile="patient")
    digits.put_policy("digits", weights(100))
    again(digits, SMALLER)
    assert digits.get("endpoints/digits/revisions/1").json()["arms"][0]["profile_revision"] == 1
    assert Endpoint.objects.get().generation == 1
    digits.put_policy("digits", weights(90, 10))
    first, second = (r.compiled for r in Revision.objects.order_by("number"))
    assert first
    assert second
    assert [m.max_batch_size for m in first.models] == [32]
    assert [m.max_batch_size for m in second.models] == [16, 16]
    assert set(second.profiles.values()) == {2}


def test_the_way_back_takes_the_revisions_that_served(digits: Api, weights: Weights) -> None:
    put(digits, PATIENT)
    ModelVersion.objects.update(profile="patient")
    digits.put_policy("digits", weights(100))
    again(digits, SMALLER)
    digits.put_policy("digits", weights(90, 10))
    answer = digits.post("endpoints/digits/rollback/", {"revision": 1})
    assert answer.status_code == 202, answer.content
    first, _, back = (r.compiled for r in Revision.objects.order_by("number"))
    assert first
    assert back
    assert (back.models, back.profiles) == (first.models, first.profiles)


def test_a_rollback_leaves_a_bad_revision_of_the_profile_behind(
    digits: Api, weights: Weights
) -> None:
    put(digits, PATIENT)
    ModelVersion.objects.update(profile="patient")
    digits.put_policy("digits", weights(100))
    again(digits, SMALLER)
    digits.put_policy("digits", weights(100))
    Revision.objects.update(served_from=timezone.now())
    Endpoint.objects.update(observed_generation=2)
    assert digits.post("endpoints/digits/rollback/", {}).status_code == 202
    first, _, back = (r.compiled for r in Revision.objects.order_by("number"))
    assert first
    assert back
    assert back.models == first.models


def test_a_kill_loads_nothing_new(digits: Api, weights: Weights) -> None:
    put(digits, PATIENT)
    ModelVersion.objects.update(profile="patient")
    digits.put_policy("digits", weights(90, 10))
    again(digits, SMALLER)
    assert digits.post("endpoints/digits/kill/", {}).status_code == 202
    before, killed = (r.compiled for r in Revision.objects.order_by("number"))
    assert before
    assert killed
    assert (killed.models, killed.profiles) == (before.models, before.profiles)


def test_profiles_of_many_arms_are_one_query_and_the_hardware_another(
    digits: Api, weights: Weights, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    from control_plane.registry.selectors import ready_versions, version_specs

    put(digits, PATIENT)
    ModelVersion.objects.filter(number=2).update(profile="patient")
    found = ready_versions([("digits", 1), ("digits", 2)])
    with django_assert_num_queries(2):
        specs = version_specs(found)
    assert [specs["digits", n].profile_revision for n in (1, 2)] == [None, 1]
