"""Archive, unarchive and delete; what is still said of a version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from control_plane.audit.models import AuditEvent
from control_plane.registry.models import ModelVersion, VersionState
from tests.integration.api.conftest import Api
from tests.integration.api.test_endpoints_api import served
from tests.integration.api.test_registry_api import problem
from tests.support.fakes import FakeQueue

Weights = Callable[..., dict[str, Any]]

ONE, TWO = "models/digits/versions/1", "models/digits/versions/2"


def test_a_version_is_archived_and_brought_back(
    digits: Api, queue: FakeQueue, django_capture_on_commit_callbacks: Any
) -> None:
    archived = digits.post(f"{TWO}/archive/", {"reason": "superseded"})
    assert archived.status_code == 200, archived.content
    assert (archived.json()["state"], archived.json()["state_reason"]) == ("archived", "superseded")
    assert "already" in digits.post(f"{TWO}/archive/").json()["detail"]
    with django_capture_on_commit_callbacks(execute=True):
        back = digits.post(f"{TWO}/unarchive/")
    assert (back.status_code, back.json()["state"]) == (202, "validating")
    assert back["Location"] == back.json()["status_url"]
    assert queue.validations == [ModelVersion.objects.get(number=2).id]
    problem(digits.post(f"{TWO}/unarchive/"), 409)
    problem(digits.post(f"{TWO}/archive/"), 409)  # not while it is checked
    events = AuditEvent.objects.filter(object_type="version").order_by("id")
    assert [(e.action, e.reason) for e in events] == [
        ("version.archive", "superseded"),
        ("version.unarchive", "brought back by ada"),
    ]


def test_only_what_is_archived_comes_back(digits: Api) -> None:
    assert "is ready" in digits.post(f"{TWO}/unarchive/").json()["detail"]
    for state in (VersionState.UPLOADING, VersionState.REJECTED):
        ModelVersion.objects.filter(number=2).update(state=state, state_reason="x")
        problem(digits.post(f"{TWO}/unarchive/"), 409)


def test_what_serves_stays_and_the_error_says_where(digits: Api, weights: Weights) -> None:
    digits.put_policy("digits", weights(90, 10))
    for call in (
        lambda: digits.post(f"{TWO}/archive/"),
        lambda: digits.call("delete", TWO),
    ):
        problem(call(), 409)
        assert (
            "endpoint digits (revision 1, arm digits-v2, 10 %, on its way)"
            in (call().json()["detail"])
        )
    served()
    digits.put_policy("digits", weights(100))
    # Servers still route to the revision before.
    assert "revision 1, arm digits-v2, 10 %)" in digits.post(f"{TWO}/archive/").json()["detail"]
    served()
    assert digits.post(f"{TWO}/archive/").status_code == 200
    assert "used by digits revision 1" in digits.call("delete", TWO).json()["detail"]
    errors = problem(digits.post("endpoints/digits/rollback/", {"revision": 1}), 400)
    assert "/arms/1/version" in errors


def test_what_an_alias_points_to_stays(digits: Api) -> None:
    digits.call("put", "models/digits/aliases/champion/", {"version": 2})
    for response in (digits.post(f"{TWO}/archive/"), digits.call("delete", TWO)):
        problem(response, 409)
        assert "@champion" in response.json()["detail"]
    digits.call("delete", "models/digits/aliases/champion/")
    assert digits.call("delete", TWO).status_code == 204
    assert AuditEvent.objects.first().action == "version.delete"


def test_readers_archive_nothing(digits: Api, reader: Api) -> None:
    for verb in ("archive", "unarchive"):
        problem(reader.post(f"{TWO}/{verb}/"), 403)
    problem(reader.call("patch", TWO, {"description": "x"}), 403)
    problem(digits.post("models/digits/versions/9/archive/"), 404)
    assert problem(digits.post(f"{TWO}/archive/", {"why": "x"}), 400) == {"/why": "unknown"}


def test_the_database_itself_keeps_what_serves(digits: Api, weights: Weights) -> None:
    digits.put_policy("digits", weights(100))
    rows = ModelVersion.objects.filter(number=1)
    with pytest.raises(IntegrityError, match="serves"), transaction.atomic():
        rows.update(state="archived", state_reason="behind the back")
    with pytest.raises(IntegrityError, match="says_why"), transaction.atomic():
        ModelVersion.objects.filter(number=2).update(state="archived", state_reason="")
    with pytest.raises(IntegrityError, match="is_known"), transaction.atomic():
        rows.update(state="gone")


def test_a_version_says_where_it_serves(digits: Api, weights: Weights) -> None:
    digits.put_policy("digits", weights(90, 10))
    served()
    digits.call("put", "models/digits/aliases/champion/", {"version": 1})
    body = digits.get(ONE).json()
    assert body["aliases"] == ["champion"]
    assert body["serves_in"] == [
        {
            "endpoint": "digits",
            "revision": 1,
            "arm": "digits-v1",
            "pipeline": "",
            "share": 90.0,
            "live": True,
        }
    ]
    listed = digits.get("models/digits/versions/").json()["results"]
    assert [v["serves_in"][0]["share"] for v in listed] == [10.0, 90.0]


def test_a_version_is_described_and_measured_again(digits: Api) -> None:
    first = {
        "description": "# better",
        "tags": {"stage": "trial", "team": "vision"},
        "metrics": {"accuracy": 0.98, "holdout-2026": {"accuracy": 0.97}},
        "provenance": {"git_commit": "9f2c1a7", "gpu": "none"},
    }
    patched = digits.call("patch", TWO, first)
    assert patched.status_code == 200, patched.content
    assert {name: patched.json()[name] for name in first} == first
    more = {
        "tags": {"stage": None},
        "metrics": {"holdout-2026": {"loss": 0.1}, "accuracy": None},
        "provenance": {"run_id": "a1"},
    }
    body = digits.call("patch", TWO, more).json()
    assert body["tags"] == {"team": "vision"}
    assert body["metrics"] == {"holdout-2026": {"accuracy": 0.97, "loss": 0.1}}
    assert body["provenance"] == {"git_commit": "9f2c1a7", "gpu": "none", "run_id": "a1"}
    assert body["description"] == "# better"
    last = AuditEvent.objects.first()
    assert (last.action, sorted(last.before)) == (
        "version.update",
        ["metrics", "provenance", "tags"],
    )
    count = AuditEvent.objects.count()
    assert digits.call("patch", TWO, more).json() == body
    assert digits.call("patch", TWO, {}).status_code == 200
    assert AuditEvent.objects.count() == count, "where nothing differs nothing is written"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"metrics": {"a": "x"}}, "/metrics/a"),
        ({"metrics": {"s": {"a": True}}}, "/metrics/s/a"),
        ({"metrics": {"default": {"a": 1}}}, "/metrics/default"),
        ({"metrics": [1]}, "/metrics"),
        ({"provenance": {"git_commit": "main"}}, "/provenance/git_commit"),
        ({"provenance": 1}, "/provenance"),
        ({"tags": {"a": 1}}, "/tags/a"),
        ({"tags": {"a": "x" * 201}}, "/tags/a"),
        ({"tags": {f"t{i}": "" for i in range(65)}}, "/tags"),
        ({"description": "x" * 10_001}, "/description"),
        ({"description": None}, "/description"),
        ({"framework": "onnx"}, "/framework"),
        ({"state": "ready"}, "/state"),
    ],
)
def test_what_cannot_be_said_is_refused_at_its_place(
    digits: Api, changes: dict[str, Any], pointer: str
) -> None:
    before = ModelVersion.objects.filter(number=2).values().get()
    assert pointer in problem(digits.call("patch", TWO, changes), 400)
    assert ModelVersion.objects.filter(number=2).values().get() == before


def test_provenance_is_said_once(digits: Api) -> None:
    digits.call("patch", TWO, {"provenance": {"run_id": "a1"}})
    refusal = digits.call("patch", TWO, {"provenance": {"run_id": "a2"}})
    problem(refusal, 409)
    assert "run_id" in refusal.json()["detail"]


def test_versions_need_as_many_queries_for_fifty_as_for_one(digits: Api) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            assert digits.get("models/digits/versions/?limit=100").status_code == 200
        return len(caught)

    few = queries()
    first = ModelVersion.objects.get(number=1)
    for number in range(3, 53):
        ModelVersion.objects.create(
            model=first.model, number=number, artifact=first.artifact, signature=first.signature
        )
        digits.call("put", f"models/digits/aliases/a{number}/", {"version": number})
    assert queries() == few
