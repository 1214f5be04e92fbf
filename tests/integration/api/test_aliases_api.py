"""Aliases over the API, in policies, and what the database holds of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from control_plane.audit.models import AuditEvent
from control_plane.endpoints.models import Endpoint
from control_plane.registry.models import Alias, Artifact, Model, ModelVersion, VersionState
from tests.integration.api.conftest import Api
from tests.integration.api.test_registry_api import problem

ALIASES = "models/digits/aliases/"


def put(api: Api, alias: str, version: Any) -> Any:
    return api.call("put", f"{ALIASES}{alias}/", {"version": version})


def test_an_alias_is_set_moved_listed_and_removed(digits: Api) -> None:
    made = put(digits, "champion", 1)
    assert made.status_code == 201
    assert made["Location"].endswith("/api/v1/models/digits/aliases/champion")
    assert made.json()["version"] == 1
    moved = put(digits, "champion", 2)
    assert (moved.status_code, moved.json()["version"]) == (200, 2)
    put(digits, "challenger", 1)
    listed = digits.get(ALIASES).json()["results"]
    assert [(a["alias"], a["version"]) for a in listed] == [("challenger", 1), ("champion", 2)]
    assert digits.get(f"{ALIASES}champion").json() == moved.json()
    assert digits.call("delete", f"{ALIASES}champion/").status_code == 204
    problem(digits.get(f"{ALIASES}champion"), 404)
    problem(digits.call("delete", f"{ALIASES}champion/"), 404)
    events = AuditEvent.objects.filter(action__startswith="alias").order_by("id")
    assert [(e.action, e.before, e.after) for e in events] == [
        ("alias.set", None, {"champion": 1}),
        ("alias.set", {"champion": 1}, {"champion": 2}),
        ("alias.set", None, {"challenger": 1}),
        ("alias.delete", {"champion": 2}, None),
    ]


def test_the_same_again_writes_nothing(digits: Api) -> None:
    first = put(digits, "champion", 1).json()
    before = AuditEvent.objects.count()
    again = put(digits, "champion", 1)
    assert (again.status_code, again.json()) == (200, first)
    assert AuditEvent.objects.count() == before


@pytest.mark.parametrize("alias", ["latest", "v3", "V3", "a%20b", "x" * 256, "ä"])
def test_names_that_break_the_rule(digits: Api, alias: str) -> None:
    assert "/alias" in problem(put(digits, alias, 1), 400)
    problem(digits.get(f"{ALIASES}{alias}"), 404)


@pytest.mark.parametrize("version", [None, "1", 0, 1.5, True, 10**12, "@champion"])
def test_an_alias_points_to_a_number(digits: Api, version: object) -> None:
    assert "/version" in problem(put(digits, "champion", version), 400)


def test_an_alias_points_to_what_may_serve(digits: Api) -> None:
    assert problem(put(digits, "champion", 9), 400) == {"/version": "not_found"}
    problem(digits.call("put", "models/none/aliases/a/", {"version": 1}), 404)
    for state in (VersionState.REJECTED, VersionState.ARCHIVED):
        ModelVersion.objects.filter(number=2).update(state=state, state_reason="x")
        assert str(state) in put(digits, "champion", 2).json()["detail"]
    ModelVersion.objects.filter(number=2).update(state=VersionState.VALIDATING)
    assert put(digits, "champion", 2).status_code == 201


def test_readers_move_nothing(digits: Api, reader: Api) -> None:
    put(digits, "champion", 1)
    problem(put(reader, "champion", 2), 403)
    problem(reader.call("delete", f"{ALIASES}champion/"), 403)
    assert reader.get(f"{ALIASES}champion").json()["version"] == 1


def test_a_version_is_reached_by_its_alias(digits: Api) -> None:
    put(digits, "champion", 2)
    assert digits.get("models/digits/versions/@champion").json()["version"] == 2
    assert "no alias 'gone'" in digits.get("models/digits/versions/@gone").json()["detail"]
    download = digits.get("models/digits/versions/@champion/download")
    assert download.status_code == 200
    download.close()


def test_a_policy_keeps_the_number_that_an_alias_meant(
    digits: Api, weights: Callable[..., dict[str, Any]]
) -> None:
    put(digits, "champion", 1)
    document = weights(100)
    document["arms"][0]["version"] = "@champion"
    plan = digits.post("endpoints/digits/plan/", document)
    assert plan.status_code == 200, plan.content
    accepted = digits.put_policy("digits", document)
    assert accepted.status_code == 202, accepted.content
    [arm] = accepted.json()["policy"]["arms"]
    assert (arm["name"], arm["version"]) == ("digits-v1", 1)
    put(digits, "champion", 2)
    endpoint = Endpoint.objects.get()
    assert endpoint.policy is not None
    assert endpoint.policy["arms"][0]["version"] == 1
    # The same words mean another version now.
    [arm] = digits.put_policy("digits", document).json()["policy"]["arms"]
    assert arm["version"] == 2


def test_what_is_wrong_with_a_policy_is_told_at_once(digits: Api) -> None:
    document = {
        "arms": [
            {"model": "digits", "version": "@gone", "weight": 50, "primary": True},
            {"model": "digits", "version": "champion", "weight": 900},
        ]
    }
    assert problem(digits.put_policy("digits", document), 400) == {
        "/arms/0/version": "not_found",
        "/arms/1/version": "invalid",
        "/arms/1/weight": "range",
    }
    made = digits.post("endpoints/", {"name": "e", "policy": document})
    assert problem(made, 400)["/policy/arms/0/version"] == "not_found"


def test_a_list_needs_as_many_queries_for_many_as_for_one(digits: Api) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            assert digits.get(ALIASES).status_code == 200
        return len(caught)

    put(digits, "champion", 1)
    few = queries()
    for i in range(10):
        put(digits, f"alias-{i}", 2)
    assert queries() == few


@pytest.mark.django_db(transaction=True)
def test_the_database_holds_what_an_alias_is() -> None:
    artifact = Artifact.objects.create(sha256="0" * 64, size=1)
    model, other = (Model.objects.create(name=name) for name in ("digits", "other"))
    version = ModelVersion.objects.create(model=other, number=1, artifact=artifact)

    def refused(model: Model, name: str, constraint: str) -> None:
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            Alias.objects.create(model=model, name=name, version=version)

    refused(model, "champion", "alias_of_own_version")
    for name in ("latest", "Latest", "V3", "", "a b", "a\nb"):
        refused(other, name, "alias_follows_the_rule")
    Alias.objects.create(model=other, name="champion", version=version)
    refused(other, "champion", "alias_once_in_model")
