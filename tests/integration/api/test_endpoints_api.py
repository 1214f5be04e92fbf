from collections.abc import Callable
from typing import Any

import pytest

from control_plane import wiring
from control_plane.audit.models import AuditEvent
from control_plane.endpoints.models import Endpoint, Revision
from control_plane.fleet.models import Server
from control_plane.registry.models import Model, ModelVersion, VersionState
from tests.integration.api.conftest import Api
from tests.integration.api.test_registry_api import problem
from tests.support.fakes import FakeQueue

Weights = Callable[..., dict[str, Any]]


def test_a_policy_becomes_the_intent(digits: Api, weights: Weights) -> None:
    response = digits.put_policy("digits", weights(90, 10))
    assert response.status_code == 202, response.content
    body = response.json()
    assert (body["generation"], body["status"]) == (1, "Progressing")
    assert response["ETag"] == '"1"'
    endpoint = digits.get("endpoints/digits/").json()
    assert [(arm["version"], arm["weight"], arm["primary"]) for arm in endpoint["arms"]] == [
        (1, 90, True),
        (2, 10, False),
    ]


@pytest.mark.django_db(transaction=True)
def test_the_worker_is_told_after_the_commit(
    digits: Api, weights: Weights, queue: FakeQueue
) -> None:
    digits.put_policy("digits", weights(100))
    assert queue.reconciles == [Endpoint.objects.get().id]


def test_an_edit_says_what_it_is_based_on(digits: Api, weights: Weights) -> None:
    policy = weights(100)
    read = digits.get("endpoints/digits/policy")
    assert (read.json(), read["ETag"]) == ({"arms": []}, '"0"')
    problem(digits.put_policy("digits", policy, if_match=None), 428)
    assert digits.put_policy("digits", policy, if_match=read["ETag"]).status_code == 202
    problem(digits.put_policy("digits", policy, if_match=read["ETag"]), 412)
    problem(digits.put_policy("digits", policy, if_match="nonsense"), 400)
    assert digits.put_policy("digits", policy, if_match="*").json()["generation"] == 2


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (lambda p: p["arms"][0].update(weight=80), "/arms"),
        (lambda p: p["arms"][1].update(version=9), "/arms/1/version"),
        (lambda p: p["arms"][1].update(model="none"), "/arms/1/version"),
        (lambda p: p["arms"][1].update(model="../x"), "/arms/1/model"),
        (lambda p: p.update(breaker={"window": 10}), "/breaker/window"),
    ],
    ids=["weights", "version", "model", "name", "breaker"],
)
def test_a_broken_policy_changes_nothing(
    digits: Api, weights: Weights, change: Callable[[Any], None], pointer: str
) -> None:
    digits.put_policy("digits", weights(100))
    before = Endpoint.objects.values().get()
    policy = weights(90, 10)
    change(policy)
    assert pointer in problem(digits.put_policy("digits", policy), 400)
    assert Endpoint.objects.values().get() == before


def test_a_version_that_is_not_ready_serves_nowhere(digits: Api, weights: Weights) -> None:
    ModelVersion.objects.filter(number=2).update(state=VersionState.VALIDATING)
    assert "/arms/1/version" in problem(digits.put_policy("digits", weights(90, 10)), 400)


def test_arms_with_other_signatures_are_refused(digits: Api, weights: Weights) -> None:
    version = ModelVersion.objects.get(number=2)
    assert version.signature is not None
    version.signature["outputs"][0]["shape"] = [-1, 11]
    version.save()
    errors = problem(digits.put_policy("digits", weights(90, 10)), 400)
    assert errors == {"/arms/1": "signature"}


def test_an_unknown_endpoint(digits: Api, weights: Weights) -> None:
    problem(digits.put_policy("nothing", weights(100)), 404)
    problem(digits.get("endpoints/nothing/"), 404)
    problem(digits.post("endpoints/nothing/plan/", weights(100)), 404)


def test_an_endpoint_with_a_broken_policy_is_not_made(digits: Api, weights: Weights) -> None:
    response = digits.post("endpoints/", {"name": "other", "policy": weights(90)})
    assert "/policy/arms" in problem(response, 400)
    assert not Endpoint.objects.filter(name="other").exists()
    made = digits.post("endpoints/", {"name": "other", "policy": weights(100)})
    assert (made.status_code, made.json()["generation"]) == (201, 1)


def test_a_plan_shows_everything_and_writes_nothing(digits: Api, weights: Weights) -> None:
    before = Endpoint.objects.values().get(), AuditEvent.objects.count()
    plan = digits.post("endpoints/digits/plan/", weights(90, 10)).json()
    assert [change["action"] for change in plan["changes"]] == ["add", "add"]
    assert len(plan["loads"]) == 2
    assert "+++ b/digits/config.pbtxt" in plan["diff"]
    assert plan["unloads"] == plan["findings"] == []
    assert (Endpoint.objects.values().get(), AuditEvent.objects.count()) == before


def test_a_plan_says_what_the_linter_finds_of_every_profile_once(
    digits: Api, weights: Weights
) -> None:
    Model.objects.filter(name="digits").update(sla_p99_ms=0.5)
    Server.objects.update(cores=2)
    found = digits.post("endpoints/digits/plan/", weights(90, 10)).json()["findings"]
    assert [(one["code"], one["severity"], one["pointer"]) for one in found] == [
        ("delay-over-sla", "error", "/arms/0"),
        ("endless-queue", "info", "/arms/0"),
    ]
    assert "profile realtime /dynamic_batching/max_queue_delay_microseconds" in found[0]["detail"]
    assert found[0]["fix"].startswith("keep the delay under a quarter")


def served(name: str = "digits") -> None:
    """Says that the present revision serves."""
    generation = Endpoint.objects.get(name=name).generation
    Revision.objects.filter(generation=generation).update(served_from=wiring.clock().now())


def test_a_rollback_is_a_change_like_any_other(digits: Api, weights: Weights) -> None:
    problem(digits.post("endpoints/digits/rollback/"), 409)
    digits.put_policy("digits", weights(100))
    served()
    problem(digits.post("endpoints/digits/rollback/"), 409)
    digits.put_policy("digits", weights(50, 50))
    served()
    back = digits.post("endpoints/digits/rollback/", {"reason": "too slow"})
    assert back.status_code == 202
    assert back.json()["policy"]["arms"][0]["weight"] == 100
    assert AuditEvent.objects.filter(reason="too slow").exists()
    revisions = digits.get("endpoints/digits/revisions/").json()["results"]
    assert [(r["number"], r["served_from"] is not None) for r in revisions] == [
        (3, False),
        (2, True),
        (1, True),
    ]
    problem(digits.post("endpoints/digits/rollback/", {"revision": 9}), 404)
    again = digits.post("endpoints/digits/rollback/", {"revision": 2})
    assert again.json()["policy"]["arms"][1]["weight"] == 50


def test_a_rollback_passes_over_revisions_with_the_same_policy(
    digits: Api, weights: Weights
) -> None:
    for percents in ((100,), (50, 50), (50, 50)):
        digits.put_policy("digits", weights(*percents))
        served()
    back = digits.post("endpoints/digits/rollback/")
    assert [arm["weight"] for arm in back.json()["policy"]["arms"]] == [100]


def test_rolling_back_twice_never_returns_to_what_was_left(digits: Api, weights: Weights) -> None:
    for percents in ((100,), (90, 10), (50, 50)):
        digits.put_policy("digits", weights(*percents))
        served()

    def rolled_back_to() -> float:
        response = digits.post("endpoints/digits/rollback/")
        assert response.status_code == 202, response.content
        return float(response.json()["policy"]["arms"][0]["weight"])

    # A double click: the second request finds the first one under way.
    assert [rolled_back_to(), rolled_back_to()] == [90, 90]
    served()
    # Later, the way back goes further back.
    assert rolled_back_to() == 100
    served()
    problem(digits.post("endpoints/digits/rollback/"), 409)
    # The same policy once more is no step forward.
    digits.put_policy("digits", weights(100))
    served()
    problem(digits.post("endpoints/digits/rollback/"), 409)
    # A change after it has the ordinary way back again.
    digits.put_policy("digits", weights(20, 80))
    served()
    assert rolled_back_to() == 100


def test_an_accepted_policy_holds_on_to_its_versions(digits: Api, weights: Weights) -> None:
    assert digits.put_policy("digits", weights(90, 10)).status_code == 202
    problem(digits.call("delete", "models/digits/versions/2/"), 409)


def test_what_is_being_deleted_is_not_changed(digits: Api, weights: Weights) -> None:
    digits.put_policy("digits", weights(100))
    assert digits.call("delete", "endpoints/digits/").status_code == 202
    problem(digits.call("delete", "endpoints/digits/"), 404)
    problem(digits.put_policy("digits", weights(100)), 404)
    problem(digits.post("endpoints/", {"name": "digits"}), 409)


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_down_does_not_fail_a_change(
    digits: Api, weights: Weights, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(**_: object) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(queue, "reconcile", down)
    assert digits.put_policy("digits", weights(100)).status_code == 202
    assert digits.get("endpoints/digits/").json()["generation"] == 1


def test_a_version_that_a_revision_uses_cannot_be_deleted(digits: Api, weights: Weights) -> None:
    digits.put_policy("digits", weights(100))
    served()
    response = digits.call("delete", "models/digits/versions/1/")
    problem(response, 409)
    assert "endpoint digits (revision 1, arm digits-v1" in response.json()["detail"]
    assert digits.call("delete", "models/digits/versions/2/").status_code == 204


def test_a_deleted_endpoint_is_gone_for_readers_at_once(digits: Api, weights: Weights) -> None:
    assert digits.call("delete", "endpoints/digits/").status_code == 202
    problem(digits.get("endpoints/digits/"), 404)


def test_who_did_what(digits: Api, weights: Weights) -> None:
    digits.put_policy("digits", weights(100))
    [event] = digits.get("audit/?action=endpoint.policy").json()["results"]
    assert (event["actor"], event["before"]) == ("ada", None)
    assert event["after"]["arms"][0]["version"] == 1


def test_the_audit_record_is_append_only(digits: Api) -> None:
    from django.db import DatabaseError, transaction

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        AuditEvent.objects.update(actor="nobody")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        AuditEvent.objects.all().delete()


def test_servers_are_listed(digits: Api) -> None:
    from control_plane.fleet.services import heartbeat, register_server

    addresses = {"http": "127.0.0.1:1", "grpc": "127.0.0.1:2", "metrics": "http://127.0.0.1:3/m"}
    register_server(name="lab-1", accelerator="cpu", actor="ada", **addresses)
    assert digits.get("servers/lab-1").json()["status"] == "Unknown"
    heartbeat(
        name="lab-1",
        now=wiring.clock().now(),
        ready=True,
        reason="",
        triton_version="2.51.0",
        held=[],
        cores=4,
    )
    [server] = digits.get("servers/").json()["results"]
    assert (server["status"], server["triton_version"]) == ("Ready", "2.51.0")
    assert server["cores"] == 4
    problem(digits.get("servers/none"), 404)


def test_the_openapi_document_covers_every_path(digits: Api) -> None:
    import yaml
    from django.test import Client

    response = Client().get("/api/schema/")
    assert response.status_code == 200
    document = yaml.safe_load(response.content)
    for path in ("/api/v1/endpoints/{name}/policy", "/api/v1/models/{name}/versions"):
        assert path in {p.rstrip("/") for p in document["paths"]}
    summaries = [
        operation.get("summary")
        for methods in document["paths"].values()
        for operation in methods.values()
    ]
    assert all(summaries)
    assert Client().get("/api/docs/").status_code == 200
