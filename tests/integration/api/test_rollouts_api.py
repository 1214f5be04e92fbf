"""Rollouts over the API: started, looked at, controlled, and by whom."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from pytest_django import DjangoAssertNumQueries

from control_plane.access.models import Grant
from control_plane.analysis.models import AnalysisLook, AnalysisRun
from control_plane.api.rollout_schema import DOCUMENT, STEP, STRATEGY
from control_plane.audit.models import AuditEvent
from control_plane.domain.rollout import document as documents
from control_plane.domain.rollout import read_steps
from control_plane.domain.rollout.states import CONTROLS
from control_plane.domain.rollout.steps import Kind
from control_plane.rollouts.models import Rollout, RolloutRun
from tests.integration.api.conftest import Api, token_of
from tests.integration.api.test_registry_api import problem

START = {"endpoint": "digits", "to": {"model": "digits", "version": 2}}
NOW = datetime(2026, 11, 26, tzinfo=UTC)
LOOK = {
    "phase": "Running",
    "reason": "not decided yet",
    "seconds": 4.0,
    "metrics": [
        {
            "name": "errors",
            "kind": "error_rate",
            "phase": "Running",
            "reason": "not decided yet",
            "required": True,
            "compare": "baseline",
            "better": "lower",
            "unit": "request",
            "scale": "difference",
            "candidate": {"of": 100, "count": 3, "estimate": 0.03},
            "baseline": {"of": 1900, "count": 19, "estimate": 0.01},
            "estimate": 0.02,
            "lower": -0.01,
            "upper": None,
            "limit": 0.005,
            "statistic": 2.5,
            "needed": 20.0,
            "for_passing": 0.1,
            "needed_for_passing": 20.0,
        }
    ],
}


@pytest.fixture
def served(digits: Api, weights: Any) -> Api:
    """An administrator, and `digits` with version 1 serving."""
    assert digits.put_policy("digits", weights(100)).status_code == 202
    return digits


def started(api: Api, **more: Any) -> dict[str, Any]:
    response = api.post("rollouts/", {**START, **more})
    assert response.status_code == 201, response.content
    document: dict[str, Any] = response.json()
    return document


def control(api: Api, rollout: dict[str, Any], name: str, **body: Any) -> Any:
    return api.post(f"rollouts/{rollout['id']}/{name}/", body)


def measured(rollout: dict[str, Any], step: int = 1, looks: int = 3) -> AnalysisRun:
    run = AnalysisRun.objects.create(
        endpoint="digits",
        template_name="default",
        template={"metrics": []},
        candidate="digits.v2.aaaaaa",
        baseline="digits.v1.bbbbbb",
        looks_taken=looks,
        began_at=NOW,
        looked_at=NOW,
    )
    for number in range(1, looks + 1):
        document = {**LOOK, "number": number, "seconds": float(number)}
        AnalysisLook.objects.create(run=run, number=number, at=NOW, document=document)
    RolloutRun.objects.create(rollout_id=rollout["id"], run=run, step=step)
    return run


def test_a_rollout_is_started_with_every_default(served: Api) -> None:
    response = served.post("rollouts/", {**START, "reason": "98.4 % right"})
    assert response.status_code == 201
    rollout = response.json()
    assert response["Location"] == rollout["status_url"]
    assert rollout["status_url"].endswith(f"/api/v1/rollouts/{rollout['id']}")
    assert (rollout["endpoint"], rollout["number"], rollout["state"]) == ("digits", 1, "pending")
    assert (rollout["active"], rollout["started_by"], rollout["why"]) == (
        True,
        "ada",
        "98.4 % right",
    )
    assert rollout["harm"] == {"budget": 20, "spent": 0}
    assert rollout["share"] is None
    assert rollout["steps"][0] == {"text": "setWeight 5 %", "standing": "ahead"}
    assert rollout["document"]["to"] == {"model": "digits", "version": 2}
    assert rollout["controls"].keys() == {control.value for control in CONTROLS}
    assert (rollout["controls"]["abort"], rollout["runs"]) == ("", [])
    assert rollout["controls"]["resume"] != ""
    assert served.get(f"rollouts/{rollout['id']}").json() == rollout
    said = AuditEvent.objects.get(action="rollout.start")
    assert (said.actor, said.reason) == ("ada", "98.4 % right")


def test_what_is_read_back_may_be_sent_again(served: Api) -> None:
    strategy = {
        "canary": {
            "steps": [
                {"setShadow": {"percent": 20, "max_in_flight": 4, "compare": "logits"}},
                {"setRule": {"when": {"header:x-tenant-id": {"in": ["acme"]}}}},
                {"setWeight": 12.5},
                {"pause": {"duration": "90s"}},
                {"pause": {}},
                {"approval": {}},
            ]
        }
    }
    first = started(served, strategy=strategy, watch="0s", dryRun=True)
    again = started(served, **{**first["document"], "supersede": True})
    assert again["document"] == first["document"]
    assert again["supersedes"] == first["id"]
    assert served.get(f"rollouts/{first['id']}").json()["state"] == "aborted"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ([], ""),
        ({"endpoint": "digits"}, "/to"),
        ({**START, "endpoint": "A B"}, "/endpoint"),
        ({**START, "to": {"model": "digits", "version": 9}}, "/to/version"),
        ({**START, "strategy": {"canary": {"steps": [{"setWeight": 101}]}}}, "/strategy/"),
        ({**START, "strategy": {"canary": {"steps": [{}]}}}, "/strategy/"),
        (
            {**START, "strategy": {"canary": {"steps": [{"analysis": {"template": "no"}}]}}},
            "/strategy",
        ),
        ({**START, "harmBudget": {"failedRequests": 0}}, "/harmBudget/failedRequests"),
        ({**START, "watch": "soon"}, "/watch"),
        ({**START, "speed": 9}, "/speed"),
    ],
)
def test_what_breaks_a_rule_is_refused_at_its_place(served: Api, body: Any, where: str) -> None:
    found = problem(served.post("rollouts/", body), 400)
    assert any(pointer.startswith(where) for pointer in found), found
    assert not Rollout.objects.exists()


def test_there_is_one_at_a_time(served: Api) -> None:
    first = started(served)
    problem(served.post("rollouts/", START), 409)
    assert control(served, first, "abort", reason="not today").status_code == 202
    assert started(served)["number"] == 2


def test_an_endpoint_that_is_not_there_or_serves_nothing(digits: Api) -> None:
    missing = digits.post("rollouts/", {**START, "endpoint": "none"})
    assert problem(missing, 400) == {"/endpoint": "not_found"}
    problem(digits.post("rollouts/", START), 409)


def test_controls_are_taken_where_the_state_allows_them(served: Api) -> None:
    rollout = started(served)
    refused = control(served, rollout, "resume")
    assert "not paused" in refused.json()["detail"]
    problem(refused, 409)
    done = control(served, rollout, "abort", reason="v2 is wrong")
    assert (done.status_code, done["Location"]) == (202, rollout["status_url"])
    body = done.json()
    assert (body["state"], body["active"]) == ("aborted", False)
    assert body["reason"] == "ada aborted it: v2 is wrong"
    assert body["controls"]["retry"] == ""
    again = control(served, rollout, "retry").json()
    assert (again["state"], again["attempt"]) == ("pending", 2)
    events = served.get(f"rollouts/{rollout['id']}/events").json()["results"]
    assert [(e["event"], e["actor"]) for e in events] == [
        ("retry", "ada"),
        ("abort", "ada"),
        ("start", "ada"),
    ]


@pytest.mark.parametrize("body", [[], {"reason": 1}, {"why": "x"}])
def test_a_controls_body_is_checked(served: Api, body: Any) -> None:
    problem(served.post(f"rollouts/{started(served)['id']}/abort/", body), 400)


def test_under_four_eyes_another_person_approves(served: Api) -> None:
    served.call("patch", "endpoints/digits/", {"four_eyes": True})
    rollout = started(served)
    assert rollout["state"] == "awaitingApproval"
    assert "yourself" in rollout["controls"]["approve"]
    problem(control(served, rollout, "approve"), 403)
    bob = Api(token_of("bob", is_superuser=True))
    assert bob.get(f"rollouts/{rollout['id']}").json()["controls"]["approve"] == ""
    approved = control(bob, rollout, "approve").json()
    assert (approved["state"], approved["approved_by"]) == ("pending", "bob")


def test_a_start_sent_twice_starts_one(served: Api) -> None:
    key = {"Idempotency-Key": "once"}
    first, again = (served.call("post", "rollouts/", START, **key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["id"] == first.json()["id"]
    assert again["Location"] == first["Location"]


def test_the_list_is_narrowed(served: Api) -> None:
    old = started(served)
    control(served, old, "abort")
    new = started(served)

    def numbers(query: str) -> list[int]:
        return [row["number"] for row in served.get(f"rollouts/?{query}").json()["results"]]

    assert numbers("") == [2, 1]
    assert numbers("active=true") == [new["number"]]
    assert numbers("active=false") == [old["number"]]
    assert numbers("state=aborted") == [old["number"]]
    assert numbers("endpoint=digits&limit=1") == [2]
    assert numbers("endpoint=other") == []
    for query in ("state=gone", "active=1", "speed=9", "endpoint="):
        problem(served.get(f"rollouts/?{query}"), 400)


def test_lists_and_rollouts_take_as_many_queries_however_much_there_is(
    served: Api, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    def asked(path: str) -> int:
        with CaptureQueriesContext(connection) as found:
            assert served.get(path).status_code == 200
        return len(found)

    first = started(served)
    measured(first)
    paths = ("rollouts/", f"rollouts/{first['id']}/")
    before = [asked(path) for path in paths]
    control(served, first, "abort")
    for _ in range(4):
        control(served, started(served), "abort")
        measured(first)
    assert [asked(path) for path in paths] == before


def test_a_rollout_shows_the_newest_look_of_each_run(served: Api) -> None:
    rollout = started(served)
    run = measured(rollout, step=1, looks=3)
    (shown,) = served.get(f"rollouts/{rollout['id']}").json()["runs"]
    assert (shown["step"], shown["attempt"], shown["run"]["id"]) == (1, 1, str(run.id))
    assert (shown["look"]["number"], shown["look"]["seconds"]) == (3, 3.0)
    assert shown["look"]["metrics"] == LOOK["metrics"]


def test_a_run_is_read_with_its_looks(served: Api) -> None:
    run = measured(started(served), looks=3)
    shown = served.get(f"analysis-runs/{run.id}").json()
    assert (shown["template"], shown["phase"], shown["looks"]) == ("default", "Running", 3)
    assert (shown["template_document"], shown["look"]["number"]) == ({"metrics": []}, 3)
    page = served.get(f"analysis-runs/{run.id}/looks/?ordering=number&limit=2").json()
    assert [look["number"] for look in page["results"]] == [1, 2]
    assert page["results"][0]["metrics"] == LOOK["metrics"]
    rest = served.get(page["next"].partition("/api/v1/")[2]).json()
    assert [look["number"] for look in rest["results"]] == [3]


def test_what_is_not_there(served: Api) -> None:
    for path in ("rollouts/{}", "rollouts/{}/events", "analysis-runs/{}", "analysis-runs/{}/looks"):
        problem(served.get(path.format(uuid.uuid4())), 404)
    problem(served.post(f"rollouts/{uuid.uuid4()}/promote/"), 404)
    assert served.get("rollouts/digits").status_code == 404


def test_a_grant_on_the_endpoint_is_enough(served: Api) -> None:
    rollout = started(served)
    token = token_of("olga")
    olga = get_user_model().objects.get(username="olga")
    Grant.objects.create(user=olga, kind="endpoint", name="digits", role="operator", created_by="a")
    api = Api(token)
    assert [row["id"] for row in api.get("rollouts/").json()["results"]] == [rollout["id"]]
    assert control(api, rollout, "abort").status_code == 202
    problem(api.post("rollouts/", {**START, "endpoint": "other"}), 403)
    assert api.post("rollouts/", START).status_code == 201


def test_readers_start_and_control_nothing(served: Api, reader: Api) -> None:
    rollout = started(served)
    assert reader.get(f"rollouts/{rollout['id']}").status_code == 200
    problem(reader.post("rollouts/", START), 403)
    problem(control(reader, rollout, "abort"), 403)


def test_the_schema_has_every_field_that_is_read() -> None:
    assert DOCUMENT["properties"].keys() == documents._FIELDS
    assert STEP["properties"].keys() == read_steps._READERS.keys()
    assert STRATEGY["properties"].keys() == {kind.value for kind in Kind}
