"""The four-eyes rule over the API: nobody moves an endpoint's traffic alone, but out of harm."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from control_plane.access.models import ApiToken, Grant
from control_plane.access.roles import role_group
from control_plane.audit.models import AuditEvent
from control_plane.domain.access import Kind, Role, Scope
from control_plane.endpoints.generations import overtake, retire_name
from control_plane.endpoints.models import ChangeRequest, Endpoint, RetiredRevision, Revision
from control_plane.endpoints.reconcile import reconcile
from control_plane.registry.models import Alias, Artifact, ModelVersion
from control_plane.wiring import print_config
from tests.integration.api.conftest import Api
from tests.integration.api.test_endpoints_api import Weights, served
from tests.integration.api.test_registry_api import problem as checked
from tests.support.fakes import FakeClock, FakeQueue

CHANGES = "endpoints/digits/changes/"


def problem(answer: Any, status: int) -> dict[str, Any]:
    """The problem document of a refusal."""
    checked(answer, status)
    return dict(answer.json())


def person(name: str, role: Role = Role.OPERATOR, scope: Scope | None = None) -> Api:
    """The API as somebody with that role; a second call gives another token of theirs."""
    user, _ = User.objects.get_or_create(username=name)
    user.groups.add(role_group(role))
    return Api(ApiToken.issue(user=user, name="t", scope=scope)[1])


@pytest.fixture
def ann(digits: Api) -> Api:
    return person("ann")


@pytest.fixture
def ben(digits: Api) -> Api:
    return person("ben")


@pytest.fixture
def watched(digits: Api, weights: Weights) -> Endpoint:
    """An endpoint that serves its second revision, and has the rule by now."""
    for percents in ((100,), (80, 20)):
        digits.put_policy("digits", weights(*percents))
        served()
    assert digits.call("patch", "endpoints/digits/", {"four_eyes": True}).status_code == 200
    return Endpoint.objects.get(name="digits")


def asked(api: Api, policy: Any, reason: str = "") -> dict[str, Any]:
    """What is answered to a policy that has to wait."""
    path = f"endpoints/digits/policy/?reason={reason}"
    answer = api.call("put", path, policy, **{"If-Match": "*"})
    assert answer.status_code == 202, answer.content
    return dict(answer.json())


def shares() -> list[float]:
    policy: Any = Endpoint.objects.get(name="digits").policy
    return [arm["weight"] for arm in policy["arms"]] if policy else []


def test_a_policy_waits_and_another_person_lets_it_through(
    watched: Endpoint, ann: Api, ben: Api, weights: Weights, queue: FakeQueue
) -> None:
    waits = asked(ann, weights(50, 50), reason="98 % right")
    assert (waits["change"], waits["generation"]) == (1, watched.generation)
    assert waits["status_url"].endswith("/api/v1/endpoints/digits/changes/1")
    assert shares() == [80, 20]
    assert ben.get("endpoints/digits/").json()["pending_change"] == 1
    change = ben.get(f"{CHANGES}1/").json()
    assert (change["state"], change["asked_by"], change["reason"]) == (
        "pending",
        "ann",
        "98 % right",
    )
    assert change["stale"] == ""
    assert {"action": "weight", "arm": "digits-v1", "part": "", "detail": "80 % -> 50 %"} in change[
        "plan"
    ]["changes"]
    assert "+slots 0:5000 1:5000" in change["plan"]["diff"]

    refused = problem(ann.post(f"{CHANGES}1/approve/"), 403)
    assert "you asked for change 1 of digits yourself" in refused["detail"]
    approved = ben.post(f"{CHANGES}1/approve/", {"reason": "looked at it"})
    assert approved.status_code == 202
    assert approved.json()["change"] is None
    assert shares() == [50, 50]

    revision = ben.get("endpoints/digits/revisions/").json()["results"][0]
    assert (revision["created_by"], revision["approved_by"]) == ("ann", "ben")
    change = ben.get(f"{CHANGES}1/").json()
    assert (change["state"], change["decided_by"], change["decided_reason"]) == (
        "approved",
        "ben",
        "looked at it",
    )
    assert change["revision"] == revision["number"]
    moved = AuditEvent.objects.get(action="endpoint.policy", actor="ben")
    assert moved.reason == "change 1, asked for by ann and approved by ben: 98 % right"
    assert moved.after == Endpoint.objects.get().policy
    decided: Any = AuditEvent.objects.get(action="endpoint.change_approve")
    assert (decided.after["asked_by"], decided.after["decided_by"]) == ("ann", "ben")
    assert decided.after["revision"] == revision["number"]


def test_what_served_when_names_both_also_when_the_endpoint_is_gone(
    watched: Endpoint, digits: Api, ann: Api, ben: Api, weights: Weights
) -> None:
    asked(ann, weights(50, 50))
    ben.post(f"{CHANGES}1/approve/")
    served()
    now = timezone.now().isoformat().replace("+00:00", "Z")
    [then] = ben.get(f"endpoints/digits/revisions/?at={now}").json()["results"]
    assert (then["created_by"], then["approved_by"]) == ("ann", "ben")
    digits.call("patch", "endpoints/digits/", {"four_eyes": False})
    retire_name(Endpoint.objects.get(), timezone.now())
    assert RetiredRevision.objects.get(number=3).approved_by == "ben"


def test_the_same_person_is_refused_whichever_way_they_come(
    watched: Endpoint, digits: Api, weights: Weights
) -> None:
    """Another token of theirs, an admin's rights, another name, an account made anew."""
    asked(person("ann"), weights(50, 50))
    problem(person("ann").post(f"{CHANGES}1/approve/"), 403)
    problem(person("ann", Role.ADMIN).post(f"{CHANGES}1/approve/"), 403)
    user = User.objects.get(username="ann")
    user.is_superuser = True
    user.username = "annabel"
    user.save()
    problem(person("annabel").post(f"{CHANGES}1/approve/"), 403)
    problem(person("ann").post(f"{CHANGES}1/approve/"), 403)
    assert shares() == [80, 20]


def test_a_token_approves_as_far_as_its_scope_goes(
    watched: Endpoint, ann: Api, weights: Weights
) -> None:
    asked(ann, weights(50, 50))
    path = f"{CHANGES}1/approve/"
    for scope in (Scope(Role.VIEWER), Scope(Role.OPERATOR, frozenset({"other"}))):
        problem(person("ben", Role.ADMIN, scope).post(path), 403)
    problem(person("vic", Role.VIEWER).post(path), 403)
    gil = User.objects.create_user("gil")
    through = Api(ApiToken.issue(user=gil, name="t")[1])
    problem(through.post(path), 403)
    Grant.objects.create(user=gil, kind=Kind.ENDPOINT, name="digits", role=Role.OPERATOR)
    assert through.post(path).status_code == 202


def test_it_is_decided_once_and_asking_again_does_nothing(
    watched: Endpoint, ann: Api, ben: Api, weights: Weights
) -> None:
    asked(ann, weights(50, 50))
    cyd = person("cyd")
    assert ben.post(f"{CHANGES}1/approve/").status_code == 202
    events = AuditEvent.objects.count()
    assert ben.post(f"{CHANGES}1/approve/").status_code == 202
    assert AuditEvent.objects.count() == events
    assert Revision.objects.count() == 3
    for api, deed in ((cyd, "approve"), (cyd, "reject"), (ann, "withdraw"), (ben, "reject")):
        refused = problem(api.post(f"{CHANGES}1/{deed}/"), 409)
        assert "is approved (ben) and stays so" in refused["detail"]


def test_rejected_and_withdrawn_changes_move_nothing(
    watched: Endpoint, ann: Api, ben: Api, weights: Weights
) -> None:
    asked(ann, weights(50, 50))
    problem(ann.post(f"{CHANGES}1/reject/"), 403)
    problem(ben.post(f"{CHANGES}1/withdraw/"), 403)
    rejected = ben.post(f"{CHANGES}1/reject/", {"reason": "not on a Friday"})
    assert rejected.json()["state"] == "rejected"
    assert rejected.json()["decided_reason"] == "not on a Friday"
    asked(ann, weights(50, 50))
    for _ in range(2):
        assert ann.post(f"{CHANGES}2/withdraw/").json()["state"] == "withdrawn"
    problem(ben.post(f"{CHANGES}2/approve/"), 409)
    problem(ben.post(f"{CHANGES}9/approve/"), 404)
    assert shares() == [80, 20]
    states = [row["state"] for row in ben.get(CHANGES).json()["results"]]
    assert states == ["withdrawn", "rejected"]
    assert ben.get(f"{CHANGES}?state=pending").json()["results"] == []
    problem(ben.get(f"{CHANGES}?state=lost"), 400)


def test_one_change_waits_at_a_time(
    watched: Endpoint, ann: Api, ben: Api, weights: Weights
) -> None:
    assert asked(ann, weights(50, 50))["change"] == 1
    assert asked(ann, weights(50, 50))["change"] == 1, "the same once more is the same change"
    refused = problem(ben.put_policy("digits", weights(100)), 409)
    assert "change 1 of digits waits, which ann asked for" in refused["detail"]
    assert asked(ann, weights(60, 40))["change"] == 2
    first = ben.get(f"{CHANGES}1/").json()
    assert (first["state"], first["decided_by"]) == ("superseded", "ann")
    problem(ben.post(f"{CHANGES}1/approve/"), 409)
    row = ChangeRequest.objects.get(number=2)
    row.pk, row.number = None, 3
    with pytest.raises(IntegrityError, match="change_waits_alone"), transaction.atomic():
        row.save(force_insert=True)


def test_a_list_leaves_what_is_long_in_the_database(
    watched: Endpoint, ann: Api, ben: Api, weights: Weights
) -> None:
    asked(ann, weights(50, 50))
    ben.post(f"{CHANGES}1/approve/")
    with CaptureQueriesContext(connection) as seen:
        [row] = ben.get(CHANGES).json()["results"]
    assert (row["revision"], "plan" in row) == (3, False)
    asks = [query["sql"] for query in seen if 'FROM "endpoints_changerequest"' in query["sql"]]
    assert len(asks) == 1
    for column in ('"effect"', '"plan"', '"diff"'):
        assert column not in asks[0]


def test_what_was_asked_before_the_policy_moved_on_is_stale(
    watched: Endpoint, ann: Api, ben: Api, weights: Weights
) -> None:
    asked(ann, weights(50, 50))
    ben.post("endpoints/digits/kill/", {"reason": "v2 times out"})
    refused = problem(ben.post(f"{CHANGES}1/approve/"), 409)
    assert "at generation 2, and the endpoint is at 3" in refused["detail"]
    assert "ask anew" in refused["detail"]
    assert ben.get(f"{CHANGES}1/").json()["stale"] == refused["detail"]
    # What is stale blocks nobody.
    assert asked(ben, weights(70, 30))["change"] == 2
    assert ben.get(f"{CHANGES}1/").json()["state"] == "superseded"
    assert ann.post(f"{CHANGES}2/approve/").status_code == 202


def test_what_is_approved_is_what_was_shown(
    watched: Endpoint, ann: Api, ben: Api, weights: Weights
) -> None:
    """A version that is another one by now is not what the second person looked at."""
    asked(ann, weights(50, 50))
    other = Artifact.objects.create(sha256="ab" * 32, size=1)
    ModelVersion.objects.filter(number=2).update(artifact=other)
    refused = problem(ben.post(f"{CHANGES}1/approve/"), 409)
    assert "compiled into something else than was shown" in refused["detail"]
    ModelVersion.objects.filter(number=2).update(state="rejected", state_reason="x")
    refused = problem(ben.post(f"{CHANGES}1/approve/"), 409)
    assert "can no longer be carried out" in refused["detail"]
    assert shares() == [80, 20]


def test_what_is_wrong_is_refused_before_anybody_is_asked(
    watched: Endpoint, ann: Api, weights: Weights
) -> None:
    problem(ann.put_policy("digits", weights(50, 40)), 400)
    problem(ann.put_policy("digits", weights(50, 50), if_match='"1"'), 412)
    problem(ann.put_policy("digits", weights(50, 50), if_match=None), 428)
    long = ann.call("put", f"endpoints/digits/policy/?reason={'x' * 10_001}", weights(50, 50))
    problem(long, 428)
    assert not ChangeRequest.objects.exists()


# Every other way to move traffic


def test_the_ways_out_stay_open_to_one_person(
    watched: Endpoint, ann: Api, weights: Weights
) -> None:
    assert ann.post("endpoints/digits/kill/").status_code == 202
    assert shares() == [100, 0]
    assert ann.post("endpoints/digits/rollback/", {"revision": 2}).status_code == 202
    assert shares() == [80, 20]


def test_a_revision_that_never_served_is_no_way_back(
    digits: Api, ann: Api, weights: Weights
) -> None:
    digits.put_policy("digits", weights(100))
    served()
    digits.put_policy("digits", weights(0, 100))
    digits.put_policy("digits", weights(90, 10))
    served()
    digits.call("patch", "endpoints/digits/", {"four_eyes": True})
    refused = problem(ann.post("endpoints/digits/rollback/", {"revision": 2}), 409)
    assert "never served" in refused["detail"]
    assert ann.post("endpoints/digits/rollback/", {"revision": 1}).status_code == 202


def test_the_endpoint_is_not_removed_and_made_anew_without_the_rule(
    watched: Endpoint, digits: Api, ann: Api, weights: Weights
) -> None:
    for api in (ann, digits):
        refused = problem(api.call("delete", "endpoints/digits/"), 409)
        assert "an admin switches the rule off first" in refused["detail"]
    problem(ann.post("endpoints/", {"name": "digits", "policy": weights(0, 100)}), 409)
    with pytest.raises(IntegrityError, match="endpoint_with_four_eyes_stays"), transaction.atomic():
        Endpoint.objects.update(deleted_at=timezone.now())
    digits.call("patch", "endpoints/digits/", {"four_eyes": False})
    assert ann.call("delete", "endpoints/digits/").status_code == 202


def test_the_first_policy_waits_as_well(digits: Api, ann: Api, weights: Weights) -> None:
    made = ann.post("endpoints/", {"name": "new", "four_eyes": True, "policy": weights(100)})
    assert made.status_code == 201
    assert (made.json()["pending_change"], made.json()["generation"]) == (1, 0)
    assert made.json()["policy"] is None
    problem(ann.post("endpoints/new/changes/1/approve/"), 403)
    assert person("ben").post("endpoints/new/changes/1/approve/").status_code == 202
    assert Endpoint.objects.get(name="new").generation == 1
    bare = ann.post("endpoints/", {"name": "bare", "four_eyes": True})
    assert bare.json()["pending_change"] is None
    answer = ann.call("put", "endpoints/bare/policy/", weights(100), **{"If-Match": "*"})
    assert answer.json()["change"] == 1
    wrong = ann.post("endpoints/", {"name": "x", "four_eyes": True, "policy": weights(40)})
    assert problem(wrong, 400)["errors"][0]["pointer"].startswith("/policy")
    assert not Endpoint.objects.filter(name="x").exists()


def test_an_alias_that_moves_meanwhile_moves_nothing(
    watched: Endpoint, digits: Api, ann: Api, ben: Api
) -> None:
    digits.call("put", "models/digits/aliases/champion/", {"version": 1})
    arms = [{"model": "digits", "version": "@champion", "weight": 100, "primary": True}]
    asked(ann, {"arms": arms})
    digits.call("put", "models/digits/aliases/champion/", {"version": 2})
    assert Alias.objects.get().version.number == 2
    assert shares() == [80, 20]
    ben.post(f"{CHANGES}1/approve/")
    policy: Any = Endpoint.objects.get().policy
    assert [arm["version"] for arm in policy["arms"]] == [1]


def test_only_an_admin_switches_the_rule_off(
    watched: Endpoint, digits: Api, ann: Api, weights: Weights
) -> None:
    off = {"four_eyes": False}
    refused = problem(ann.call("patch", "endpoints/digits/", off), 403)
    assert "ask for the role admin" in refused["detail"]
    scoped = person("ada", Role.ADMIN, Scope(Role.OPERATOR))
    problem(scoped.call("patch", "endpoints/digits/", off), 403)
    waits = asked(ann, weights(50, 50))
    assert digits.call("patch", "endpoints/digits/", off).json()["four_eyes"] is False
    change = ann.get(f"{CHANGES}{waits['change']}/").json()
    assert (change["state"], change["decided_by"]) == ("superseded", "ada")
    event = AuditEvent.objects.get(action="endpoint.four_eyes", actor="ada", after=off)
    assert event.before == {"four_eyes": True}
    assert ann.put_policy("digits", weights(50, 50)).json()["change"] is None
    # On again: whoever may change the endpoint; off, where it is off, is nobody's loss.
    assert ann.call("patch", "endpoints/digits/", off).status_code == 200
    assert ann.call("patch", "endpoints/digits/", {"four_eyes": True}).status_code == 200
    for word in ("yes", 1, None):
        problem(ann.call("patch", "endpoints/digits/", {"four_eyes": word}), 400)
    granted = User.objects.create_user("gil")
    Grant.objects.create(user=granted, kind=Kind.ENDPOINT, name="digits", role=Role.ADMIN)
    local = Api(ApiToken.issue(user=granted, name="t")[1])
    assert local.call("patch", "endpoints/digits/", off).status_code == 200


def test_the_tag_of_an_endpoint_covers_the_rule(digits: Api, ann: Api) -> None:
    before = digits.get("endpoints/digits/")["ETag"]
    digits.call("patch", "endpoints/digits/", {"four_eyes": True})
    assert digits.get("endpoints/digits/")["ETag"] != before


# What the database holds, whoever writes


def test_the_database_wants_a_second_person_for_new_traffic(watched: Endpoint) -> None:
    last = Revision.objects.first()
    assert last
    row = Revision(
        endpoint=watched,
        number=9,
        generation=9,
        policy={"arms": []},
        plan=last.plan,
        created_by="ann",
    )
    for approved_by in ("", "ann"):
        row.approved_by = approved_by
        with (
            pytest.raises(IntegrityError, match="second person approves"),
            transaction.atomic(),
        ):
            row.save(force_insert=True)
    row.approved_by = "ben"
    row.save(force_insert=True)


def test_a_generation_that_was_lifted_is_the_same_traffic(
    watched: Endpoint, queue: FakeQueue
) -> None:
    """Nodes that have seen more than the records say: nobody has to approve that."""
    assert overtake(endpoint_id=watched.id, generation=watched.generation, seen=40)
    reconcile(endpoint_id=watched.id, clock=FakeClock(), queue=queue, print_config=print_config)
    revision = Revision.objects.get(generation=41)
    assert (revision.error, revision.policy) == ("", watched.policy)


def test_the_database_keeps_a_change_as_it_was_asked_and_decided(
    watched: Endpoint, ann: Api, ben: Api, weights: Weights
) -> None:
    asked(ann, weights(50, 50))
    rows = ChangeRequest.objects.filter(number=1)
    by_ann = {"state": "approved", "decided_by": "ann", "decided_at": timezone.now()}
    last = Revision.objects.first()
    forbidden: list[tuple[str, dict[str, Any]]] = [
        ("does not change", {"policy": {"arms": []}}),
        ("does not change", {"asked_by": "ben"}),
        ("does not change", {"author": User.objects.get(username="ben")}),
        ("change_approved_by_another", {**by_ann, "revision": last}),
        ("change_approved_has_revision", {**by_ann, "decided_by": "ben"}),
        ("change_decided_by_somebody", {"state": "rejected"}),
    ]
    for says, values in forbidden:
        with pytest.raises(IntegrityError, match=says), transaction.atomic():
            rows.update(**values)
    ben.post(f"{CHANGES}1/reject/")
    for values in ({"state": "pending"}, {"decided_by": "ann"}, {"decided_reason": "x"}):
        with pytest.raises(IntegrityError, match="stays so"), transaction.atomic():
            rows.update(**values)
    User.objects.filter(username__in=["ann", "ben"]).delete()
    assert rows.get().asked_by == "ann"
    assert rows.get().author is None


# At the same time


def together(*calls: Callable[[], Any]) -> list[int]:
    """The statuses of calls that are made at the same moment."""
    found: list[int] = []
    start = threading.Barrier(len(calls))

    def make(call: Callable[[], Any]) -> None:
        start.wait()
        try:
            found.append(call().status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=make, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(found)


@pytest.mark.django_db(transaction=True)
def test_of_several_who_decide_at_once_one_does(
    watched: Endpoint, ann: Api, ben: Api, weights: Weights
) -> None:
    cyd = person("cyd")
    path = f"{CHANGES}1/"
    asked(ann, weights(50, 50))
    both = together(lambda: ben.post(f"{path}approve/"), lambda: cyd.post(f"{path}approve/"))
    assert both == [202, 409]
    assert Revision.objects.count() == 3
    asked(ann, weights(60, 40))
    path = f"{CHANGES}2/"
    statuses = together(
        lambda: ben.post(f"{path}approve/"),
        lambda: ann.post(f"{path}withdraw/"),
        lambda: cyd.post(f"{path}reject/"),
    )
    assert statuses.count(409) == 2
    approved = ChangeRequest.objects.get(number=2).state == "approved"
    assert shares() == ([60, 40] if approved else [50, 50])


@pytest.mark.django_db(transaction=True)
def test_two_who_ask_at_once_leave_one_change(
    watched: Endpoint, ann: Api, ben: Api, weights: Weights
) -> None:
    statuses = together(
        lambda: ann.put_policy("digits", weights(50, 50)),
        lambda: ben.put_policy("digits", weights(60, 40)),
    )
    assert statuses == [202, 409]
    assert ChangeRequest.objects.get().state == "pending"
