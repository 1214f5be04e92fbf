"""Roles and grants given with clicks: what the pages say, what is recorded, who may not."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from control_plane.access.models import Grant
from control_plane.access.roles import role_group
from control_plane.audit.models import AuditEvent
from control_plane.domain.access import PUBLISH_CODE, Kind, Role, Target
from tests.integration.console.conftest import logged_in


@pytest.fixture
def cleo(db: None) -> User:
    return User.objects.create_user("cleo", password="old-password-1")


@pytest.fixture
def boss(db: None) -> Client:
    """Somebody with the role admin, and no superuser."""
    client = logged_in("bea", is_staff=True)
    User.objects.get(username="bea").groups.add(role_group(Role.ADMIN))
    return client


def page_of(user: User) -> str:
    return reverse("admin:auth_user_change", args=[user.pk])


def fresh(user: User) -> User:
    return User.objects.get(pk=user.pk)


def test_an_admin_gives_roles_groups_and_code(boss: Client, cleo: User) -> None:
    team = Group.objects.create(name="vision")
    assert b"moves traffic" in boss.get(page_of(cleo)).content
    fields = {"username": "cleo", "is_active": "on", "is_staff": "on"}
    given = {"roles": ["publisher", "operator"], "publishes_code": "on", "teams": [team.pk]}
    assert boss.post(page_of(cleo), {**fields, **given}).status_code == 302
    changed = fresh(cleo)
    assert {group.name for group in changed.groups.all()} == {"publisher", "operator", "vision"}
    assert changed.has_perm(PUBLISH_CODE)
    assert changed.is_staff
    event = AuditEvent.objects.get(action="user.update")
    assert (event.actor, event.before["roles"]) == ("bea", [])
    assert event.after["roles"] == ["publisher", "operator"]
    assert event.after["groups"] == ["vision"]
    assert event.after["permissions"] == [PUBLISH_CODE]
    assert event.request_id
    shown = boss.get(reverse("admin:auth_user_changelist")).content
    assert b"publisher" in shown
    assert boss.post(page_of(cleo), {**fields, "roles": ["viewer"]}).status_code == 302
    assert [group.name for group in fresh(cleo).groups.all()] == ["viewer"]
    assert not fresh(cleo).has_perm(PUBLISH_CODE)


def test_a_save_without_a_change_is_no_event(boss: Client, cleo: User) -> None:
    fields = {"username": "cleo", "is_active": "on"}
    assert boss.post(page_of(cleo), fields).status_code == 302
    assert not AuditEvent.objects.exists()


def test_all_rights_are_given_by_who_has_them(boss: Client, cleo: User) -> None:
    boss.post(page_of(cleo), {"username": "cleo", "is_active": "on", "is_superuser": "on"})
    assert not fresh(cleo).is_superuser


def test_nobody_locks_themselves_out(boss: Client) -> None:
    bea = User.objects.get(username="bea")
    kept = {"username": "bea", "is_active": "on", "is_staff": "on", "roles": ["admin"]}
    without_role = {**kept, "roles": ["viewer"]}
    switched_off = {name: value for name, value in kept.items() if name != "is_active"}
    for fields, words in ((without_role, b"the role admin"), (switched_off, b"your own account")):
        refused = boss.post(page_of(bea), fields)
        assert refused.status_code == 200
        assert words in refused.content
    assert fresh(bea).is_active
    assert [group.name for group in fresh(bea).groups.all()] == ["admin"]
    assert boss.post(page_of(bea), {**kept, "first_name": "Bea"}).status_code == 302


def test_who_edits_people_takes_over_nobody(boss: Client, cleo: User) -> None:
    clerk = logged_in("carl", "auth.view_user", "auth.change_user", is_staff=True)
    passwords = {"password1": "another-one-1", "password2": "another-one-1"}
    bea = User.objects.get(username="bea")
    there = reverse("admin:auth_user_password_change", args=[bea.pk])
    assert clerk.post(there, {**passwords, "usable_password": "true"}).status_code == 403
    assert clerk.post(page_of(bea), {"username": "bea"}).status_code == 403
    # Nor somebody who was switched off: they would be switched on with it, as what they were.
    User.objects.filter(pk=bea.pk).update(is_active=False)
    assert clerk.post(there, {**passwords, "usable_password": "true"}).status_code == 403
    on = {"username": "bea", "is_active": "on"}
    assert clerk.post(page_of(bea), on).status_code == 403
    assert not fresh(bea).is_active
    User.objects.filter(pk=bea.pk).update(is_active=True)
    own = {"username": "cleo", "first_name": "Cleo", "is_active": "on", "roles": ["admin"]}
    assert clerk.post(page_of(cleo), own).status_code == 302
    assert fresh(cleo).first_name == "Cleo"
    assert not fresh(cleo).groups.exists()
    assert not fresh(cleo).is_staff
    add = reverse("admin:access_grant_add")
    grant = {"user": cleo.pk, "role": "admin", "kind": "model", "name": "digits"}
    assert clerk.post(add, grant).status_code == 403


def test_a_password_is_recorded_and_not_what_it_is(boss: Client, cleo: User) -> None:
    there = reverse("admin:auth_user_password_change", args=[cleo.pk])
    passwords = {"password1": "another-one-1", "password2": "another-one-1"}
    assert boss.post(there, {**passwords, "usable_password": "true"}).status_code == 302
    assert fresh(cleo).check_password("another-one-1")
    event = AuditEvent.objects.get()
    assert (event.action, event.object_name, event.before, event.after) == (
        "user.password",
        "cleo",
        None,
        None,
    )


def test_a_grant_is_given_and_taken_away(boss: Client, cleo: User) -> None:
    digits = Target(Kind.ENDPOINT, "digits")
    add = reverse("admin:access_grant_add")
    assert boss.get(f"{add}?user={cleo.pk}").status_code == 200
    fields = {"user": cleo.pk, "role": "operator", "kind": "endpoint", "name": "digits"}
    assert boss.post(add, fields).status_code == 302
    assert fresh(cleo).has_perm("endpoints.change_endpoint", digits)
    assert b"operator of endpoint digits" in boss.get(page_of(cleo)).content
    event = AuditEvent.objects.get(action="grant.create")
    assert event.after == {"for": "cleo", "role": "operator", "kind": "endpoint", "name": "digits"}
    assert boss.post(add, fields).status_code == 200, "it is there already"
    grant = Grant.objects.get()
    event_page = reverse("admin:audit_auditevent_change", args=[event.pk])
    assert b"operator of endpoint digits" in boss.get(event_page).content
    away = reverse("admin:access_grant_delete", args=[grant.pk])
    assert b"no longer do" in boss.get(away).content
    assert boss.post(away).status_code == 302
    assert not fresh(cleo).has_perm("endpoints.change_endpoint", digits)
    assert AuditEvent.objects.get(action="grant.delete").before["role"] == "operator"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "A b"}, "lower-case letters"),
        ({"user": "", "group": ""}, "name one of them"),
        ({"role": "king"}, "king"),
        ({"kind": "server"}, "server"),
    ],
)
def test_a_grant_of_nothing_is_refused(
    boss: Client, cleo: User, fields: dict[str, str], said: str
) -> None:
    whole = {"user": cleo.pk, "role": "viewer", "kind": "model", "name": "digits", **fields}
    page = boss.post(reverse("admin:access_grant_add"), whole)
    assert page.status_code == 200
    assert said in page.content.decode()
    assert not Grant.objects.exists()


def test_a_role_says_what_it_means_and_stays(boss: Client) -> None:
    viewer = role_group(Role.VIEWER)
    page = boss.get(reverse("admin:auth_group_change", args=[viewer.pk]))
    assert b"sees models, endpoints, servers" in page.content
    for verb in ("change", "delete"):
        there = reverse(f"admin:auth_group_{verb}", args=[viewer.pk])
        assert boss.post(there, {"name": "x", "post": "yes"}).status_code == 403
    made = boss.post(reverse("admin:auth_group_add"), {"name": "vision"})
    assert made.status_code == 302
    assert AuditEvent.objects.get(action="group.create").after["name"] == "vision"
