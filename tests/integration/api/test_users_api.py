"""People and grants over the API: what admins see and change, what is refused, what is recorded."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from control_plane.access.models import ApiToken, Grant, Identity
from control_plane.access.rights import take_grant
from control_plane.access.roles import role_group, roles_of
from control_plane.audit.models import AuditEvent
from control_plane.domain.access import Role
from control_plane.domain.violations import NotFoundError
from tests.integration.api.conftest import Api, token_of
from tests.integration.api.test_registry_api import problem

GRANT = {"user": "eve", "role": "operator", "kind": "endpoint", "name": "digits"}


@pytest.fixture
def eve(api: Api) -> User:
    eve = User.objects.create_user("eve", email="eve@x.org", first_name="Eve")
    eve.groups.add(role_group(Role.VIEWER), Group.objects.create(name="vision"))
    Identity.objects.create(user=eve, issuer="https://id.example.com", subject="7")
    return eve


def change(api: Api, username: str, **body: Any) -> Any:
    return api.call("patch", f"users/{username}/", body)


def admin_of(username: str) -> Api:
    """Somebody with the role, and not with all rights."""
    clear = token_of(username)
    User.objects.get(username=username).groups.add(role_group(Role.ADMIN))
    return Api(clear)


def test_a_person_in_full(api: Api, eve: User) -> None:
    shown = api.get("users/eve/").json()
    assert shown.pop("date_joined")
    assert shown == {
        "username": "eve",
        "name": "Eve",
        "email": "eve@x.org",
        "active": True,
        "console": False,
        "all_rights": False,
        "roles": ["viewer"],
        "groups": ["vision"],
        "publish_code": False,
        "signs_in_at": ["https://id.example.com"],
        "last_login": None,
    }
    assert "password" not in api.get("users/").content.decode()
    problem(api.get("users/nobody/"), 404)


def test_lists_search_filter_and_order(api: Api, eve: User) -> None:
    def listed(query: str = "") -> list[str]:
        return [row["username"] for row in api.get(f"users/{query}").json()["results"]]

    assert listed() == ["ada", "eve"]
    assert listed("?ordering=-username") == ["eve", "ada"]
    assert listed("?limit=1&ordering=date_joined") == ["ada"]
    assert listed("?role=viewer") == listed("?group=vision") == listed("?search=x.org") == ["eve"]
    assert listed("?active=false") == []
    assert listed("?active=true") == ["ada", "eve"]
    for wrong in ("?role=king", "?colour=red", "?active=maybe", "?group=", "?ordering=password"):
        problem(api.get(f"users/{wrong}"), 400)


def test_a_list_asks_the_database_as_often_for_many_as_for_one(api: Api, eve: User) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert api.get("users/").status_code == 200
        return len(seen)

    queries()
    few = queries()
    for number in range(20):
        User.objects.create_user(f"u{number}").groups.add(role_group(Role.OPERATOR))
    assert queries() == few


def test_rights_are_changed_and_recorded(api: Api, eve: User) -> None:
    Group.objects.create(name="audio")
    body = {"roles": ["publisher", "operator"], "groups": ["audio"], "publish_code": True}
    shown = change(api, "eve", console=True, **body).json()
    assert (shown["roles"], shown["groups"]) == (["publisher", "operator"], ["audio"])
    assert shown["publish_code"] is shown["console"] is True
    event = AuditEvent.objects.get(action="user.update")
    assert (event.actor, event.object_name) == ("ada", "eve")
    assert (event.before["roles"], event.after["roles"]) == (["viewer"], ["publisher", "operator"])
    assert event.after["permissions"] == ["registry.publish_code"]
    # What is not named stays, and what changes nothing is not recorded.
    assert change(api, "eve", console=True).json()["roles"] == ["publisher", "operator"]
    assert AuditEvent.objects.filter(action="user.update").count() == 1
    assert change(api, "eve", roles=[], publish_code=False).json()["roles"] == []


def test_who_is_switched_off_is_out_at_once(api: Api, eve: User) -> None:
    theirs = Api(ApiToken.issue(user=eve, name="t")[1])
    assert theirs.get("models/").status_code == 200
    change(api, "eve", active=False)
    problem(theirs.get("models/"), 401)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"roles": ["king"]}, "/roles/0"),
        ({"roles": "admin"}, "/roles"),
        ({"roles": None}, "/roles"),
        ({"groups": ["nobodies"]}, "/groups"),
        ({"groups": ["admin"]}, "/groups"),  # a role is no group
        ({"groups": ["a\0"]}, "/groups/0"),
        ({"active": "no"}, "/active"),
        ({"console": 1}, "/console"),
        ({"is_superuser": True}, "/is_superuser"),
        ({"password": "x"}, "/password"),
    ],
)
def test_what_cannot_be_so(api: Api, eve: User, body: dict[str, Any], pointer: str) -> None:
    assert pointer in problem(change(api, "eve", **body), 400)
    assert roles_of(User.objects.get(pk=eve.pk)) == [Role.VIEWER]


def test_an_edit_of_what_somebody_changed_is_refused(api: Api, eve: User) -> None:
    tag = api.get("users/eve/")["ETag"]
    change(api, "eve", roles=["operator"])
    stale = api.call("patch", "users/eve/", {"roles": ["viewer"]}, **{"If-Match": tag})
    problem(stale, 412)


def test_nobody_reaches_above_themselves_or_locks_themselves_out(api: Api, eve: User) -> None:
    boss = admin_of("ben")
    problem(change(boss, "ada", active=False), 403)
    assert change(boss, "eve", roles=["admin"]).status_code == 200
    problem(change(boss, "ben", active=False), 409)
    problem(change(boss, "ben", roles=["viewer"]), 409)
    assert change(boss, "ben", roles=["admin", "viewer"]).status_code == 200
    problem(change(api, "ada", active=False), 409)
    assert User.objects.get(username="ada").is_active


def test_a_grant_is_given_found_and_taken(api: Api, eve: User) -> None:
    made = api.post("grants/", GRANT)
    assert made.status_code == 201, made.content
    shown = made.json()
    assert made["Location"].endswith(f"/api/v1/grants/{shown['id']}")
    assert (shown["user"], shown["group"], shown["created_by"]) == ("eve", None, "ada")
    assert User.objects.get(pk=eve.pk).has_perm(
        "endpoints.change_endpoint", Grant.objects.get().target
    )
    problem(api.post("grants/", GRANT), 409)
    team = api.post("grants/", {**GRANT, "user": None, "group": "vision"}).json()
    assert (team["user"], team["group"]) == (None, "vision")

    def listed(query: str) -> list[str]:
        return [row["id"] for row in api.get(f"grants/?{query}").json()["results"]]

    assert listed("") == [team["id"], shown["id"]]
    assert listed("user=eve") == [shown["id"]]
    assert listed("group=vision&role=operator&kind=endpoint&name=digits") == [team["id"]]
    assert listed("kind=model") == []
    assert api.get(f"grants/{shown['id']}/").json() == shown
    assert api.call("delete", f"grants/{shown['id']}/").status_code == 204
    problem(api.call("delete", f"grants/{shown['id']}/"), 404)
    deeds = AuditEvent.objects.filter(object_id=shown["id"]).values_list("action", flat=True)
    assert list(deeds) == ["grant.delete", "grant.create"]


def test_of_two_who_take_a_grant_one_did(api: Api, eve: User) -> None:
    one = Grant.objects.get(pk=api.post("grants/", GRANT).json()["id"])
    other = Grant.objects.get(pk=one.pk)
    take_grant(grant=one, actor="ada")
    with pytest.raises(NotFoundError, match="any more"):
        take_grant(grant=other, actor="ben")
    assert AuditEvent.objects.filter(action="grant.delete").count() == 1


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"user": "nobody"}, "/user"),
        ({"user": None}, "/user"),
        ({"group": "vision"}, "/user"),
        ({"user": None, "group": "admin"}, "/group"),
        ({"role": "king"}, "/role"),
        ({"kind": "server"}, "/kind"),
        ({"name": "A b"}, "/name"),
        ({"name": 7}, "/name"),
        ({"expires": "soon"}, "/expires"),
    ],
)
def test_what_makes_no_grant(api: Api, eve: User, change: dict[str, Any], pointer: str) -> None:
    assert pointer in problem(api.post("grants/", {**GRANT, **change}), 400)
    assert not Grant.objects.exists()
