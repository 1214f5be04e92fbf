"""Roles and scopes as rules: who may what, and what a token takes away."""

from __future__ import annotations

import pytest

from control_plane.domain.access import (
    PUBLISH_CODE,
    REPORT_FEEDBACK,
    Kind,
    Role,
    Scope,
    Target,
    in_words,
    role_may,
    roles_with,
)

DIGITS = Target(Kind.MODEL, "digits")
OTHER = Target(Kind.MODEL, "other")


@pytest.mark.parametrize(
    ("permission", "roles"),
    [
        ("registry.view_model", "viewer reporter publisher operator admin"),
        ("audit.view_auditevent", "viewer reporter publisher operator admin"),
        ("registry.add_model", "publisher admin"),
        ("registry.add_modelversion", "publisher admin"),
        ("registry.delete_model", "admin"),
        (PUBLISH_CODE, "admin"),
        ("endpoints.change_endpoint", "operator admin"),
        (REPORT_FEEDBACK, "reporter operator admin"),
        ("fleet.delete_server", "admin"),
        ("access.give_roles", "admin"),
        ("auth.view_user", "admin"),
        ("access.view_apitoken", "admin"),
    ],
)
def test_which_roles_have_a_permission(permission: str, roles: str) -> None:
    assert roles_with(permission) == roles.split()


def test_every_role_sees_what_a_viewer_sees() -> None:
    for role in Role:
        assert role_may(role, "endpoints.view_endpoint")


def test_a_scope_allows_what_its_role_may_on_its_names() -> None:
    scope = Scope(Role.PUBLISHER, frozenset({"digits"}))
    assert scope.allows("registry.add_modelversion", DIGITS)
    assert not scope.allows("registry.add_modelversion", OTHER)
    assert not scope.allows("registry.add_modelversion", None)
    assert not scope.allows("fleet.view_server", None)
    assert not scope.allows("endpoints.change_endpoint", Target(Kind.ENDPOINT, "digits"))
    assert Scope(Role.PUBLISHER).allows("fleet.view_server", None)


def test_words() -> None:
    assert str(Scope(Role.OPERATOR, frozenset({"b", "a"}))) == "operator of a, b"
    assert in_words([Role.PUBLISHER, Role.OPERATOR, Role.ADMIN]) == "publisher, operator or admin"
