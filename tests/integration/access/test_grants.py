"""Roles, grants and tokens over the API: one backend answers, and a token only takes away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import IntegrityError, transaction
from django.test import Client

from control_plane import wiring
from control_plane.access.models import ApiToken, Grant
from control_plane.access.roles import give_roles_their_permissions, role_group
from control_plane.access.selectors import allowed_names
from control_plane.domain.access import PUBLISH_CODE, Kind, Role, Scope, Target
from control_plane.registry.models import Model
from control_plane.registry.services import create_model
from tests.support.fakes import FakeQueue

DIGITS = Target(Kind.MODEL, "digits")


@pytest.fixture(autouse=True)
def queue(monkeypatch: pytest.MonkeyPatch) -> FakeQueue:
    fake = FakeQueue()
    monkeypatch.setattr(wiring, "queue", lambda: fake)
    return fake


@pytest.fixture
def bob(db: None) -> User:
    for name in ("digits", "other"):
        create_model(name=name, actor="ada")
    return User.objects.create_user("bob", password="x")


def grant(user: User, role: Role, name: str = "digits", kind: Kind = Kind.MODEL) -> None:
    Grant.objects.create(user=user, role=role, kind=kind, name=name, created_by="ada")


def api(user: User, scope: Scope | None = None) -> Callable[..., Any]:
    token = ApiToken.issue(user=user, name="t", scope=scope)[1]

    def call(method: str, path: str, body: Any = None) -> Any:
        client = Client(raise_request_exception=False)
        return getattr(client, method)(
            f"/api/v1/{path}",
            data=body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {token}"},
        )

    return call


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row["name"] for row in answer.json()["results"]]


def test_who_has_no_role_sees_nothing(bob: User) -> None:
    call = api(bob)
    assert call("get", "models/").status_code == 403
    assert (
        "ask for the role viewer, reporter, publisher"
        in call("get", "models/digits/").json()["detail"]
    )


def test_a_role_is_a_group_with_its_permissions(bob: User) -> None:
    bob.groups.add(role_group(Role.PUBLISHER))
    assert bob.has_perm("registry.add_modelversion")
    assert not bob.has_perm("endpoints.change_endpoint")
    assert not bob.has_perm(PUBLISH_CODE)
    assert names(api(bob)("get", "models/")) == ["digits", "other"]


def test_publishing_code_is_given_by_itself(bob: User) -> None:
    bob.groups.add(role_group(Role.PUBLISHER))
    bob.user_permissions.add(Permission.objects.get(codename="publish_code"))
    assert User.objects.get(pk=bob.pk).has_perm(PUBLISH_CODE)
    assert role_group(Role.ADMIN).permissions.filter(codename="publish_code").exists()


def test_a_role_that_was_bent_is_put_right(bob: User) -> None:
    from django.apps import apps

    group = role_group(Role.VIEWER)
    group.permissions.set(Permission.objects.filter(codename="delete_model"))
    give_roles_their_permissions(app_config=apps.get_app_config("registry"))
    assert not group.permissions.filter(codename="delete_model").exists()
    assert group.permissions.filter(codename="view_model").exists()


def test_a_grant_reaches_one_name_and_no_other(bob: User) -> None:
    grant(bob, Role.PUBLISHER)
    call = api(bob)
    assert names(call("get", "models/")) == ["digits"]
    assert call("get", "models/digits/").status_code == 200
    assert call("get", "models/digits/versions/").status_code == 200
    assert call("patch", "models/digits/", {"owner": "bob"}).status_code == 200
    assert call("get", "models/other/").status_code == 403
    assert call("patch", "models/other/", {"owner": "bob"}).status_code == 403
    # An endpoint of the same name is another thing.
    assert call("get", "endpoints/digits/").status_code == 403
    assert call("get", "endpoints/").status_code == 403
    assert call("get", "servers/").status_code == 403


def test_a_grant_on_a_name_that_is_not_there_makes_it(bob: User) -> None:
    grant(bob, Role.PUBLISHER, "mine")
    call = api(bob)
    assert call("post", "models/", {"name": "mine"}).status_code == 201
    assert call("post", "models/", {"name": "yours"}).status_code == 403
    assert call("post", "models/", {}).status_code == 403
    assert call("post", "endpoints/", {"name": "mine"}).status_code == 403


def test_a_grant_of_a_group_is_its_members(bob: User) -> None:
    team = Group.objects.create(name="vision")
    Grant.objects.create(
        group=team, role=Role.OPERATOR, kind=Kind.ENDPOINT, name="digits", created_by="ada"
    )
    assert allowed_names(bob, "endpoints.change_endpoint", Kind.ENDPOINT) == frozenset()
    bob.groups.add(team)
    fresh = User.objects.get(pk=bob.pk)
    assert allowed_names(fresh, "endpoints.change_endpoint", Kind.ENDPOINT) == {"digits"}
    assert fresh.has_perm("endpoints.change_endpoint", Target(Kind.ENDPOINT, "digits"))


def test_records_are_asked_about_by_the_name_they_belong_to(bob: User) -> None:
    grant(bob, Role.ADMIN)
    assert bob.has_perm("registry.delete_model", Model.objects.get(name="digits"))
    assert not bob.has_perm("registry.delete_model", Model.objects.get(name="other"))
    assert bob.has_perm(PUBLISH_CODE, DIGITS)
    assert not bob.has_perm("registry.delete_model")


def test_who_is_not_active_may_nothing(bob: User) -> None:
    grant(bob, Role.ADMIN)
    bob.is_active = False
    bob.save()
    assert not bob.has_perm("registry.view_model", DIGITS)
    assert allowed_names(bob, "registry.view_model", Kind.MODEL) == frozenset()


def test_a_token_takes_away_and_adds_nothing(bob: User) -> None:
    boss = User.objects.create_superuser("boss", password="x")
    viewer = api(boss, Scope(Role.VIEWER))
    assert names(viewer("get", "models/")) == ["digits", "other"]
    refused = viewer("patch", "models/digits/", {"owner": "x"})
    assert refused.status_code == 403
    assert "this token is for viewer" in refused.json()["detail"]
    narrow = api(boss, Scope(Role.PUBLISHER, frozenset({"digits", "new"})))
    assert names(narrow("get", "models/")) == ["digits"]
    assert narrow("patch", "models/digits/", {"owner": "x"}).status_code == 200
    assert narrow("patch", "models/other/", {"owner": "x"}).status_code == 403
    assert narrow("post", "models/", {"name": "new"}).status_code == 201
    assert narrow("post", "models/", {"name": "newer"}).status_code == 403
    assert narrow("get", "servers/").status_code == 403
    assert narrow("get", "audit/").status_code == 403
    # A token of all rights has those of its user.
    assert api(bob, Scope())("get", "models/digits/").status_code == 403


@pytest.mark.parametrize(
    "fields",
    [{"role": "king"}, {"kind": "server"}, {"user": None}],
    ids=["role", "kind", "nobody"],
)
def test_the_database_keeps_grants_sane(bob: User, fields: dict[str, Any]) -> None:
    row = {"user": bob, "role": "viewer", "kind": "model", "name": "digits", **fields}
    with pytest.raises(IntegrityError), transaction.atomic():
        Grant.objects.create(**row)


def test_a_grant_is_given_once(bob: User) -> None:
    grant(bob, Role.VIEWER)
    with pytest.raises(IntegrityError), transaction.atomic():
        grant(bob, Role.VIEWER)
