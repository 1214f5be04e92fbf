"""Whom a provider's claims let in, as what, and under which name."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from control_plane.domain.access import Role
from control_plane.domain.identity import (
    AdmissionRules,
    NotAdmittedError,
    Person,
    read_person,
    usernames,
)

ADA = Person("https://id", "s1", "ada", "Ada L", "ada@x.org", True, frozenset({"vision"}))


def roles(**groups: Role) -> dict[str, frozenset[Role]]:
    return {group: frozenset({role}) for group, role in groups.items()}


def test_roles_add_up_and_a_star_is_everybody() -> None:
    rules = AdmissionRules(roles={**roles(vision=Role.PUBLISHER), "*": frozenset({Role.VIEWER})})
    assert rules.roles_of(ADA) == {Role.PUBLISHER, Role.VIEWER}
    assert rules.roles_of(replace(ADA, groups=frozenset())) == {Role.VIEWER}
    assert rules.managed == {Role.PUBLISHER, Role.VIEWER}
    assert AdmissionRules(roles=roles(cooks=Role.ADMIN)).roles_of(ADA) == frozenset()


@pytest.mark.parametrize(
    ("email", "verified", "why"),
    [
        ("ada@evil.org", True, "yours is ada@evil.org"),
        ("ada@x.org.evil.org", True, "yours is"),
        ("", True, "no address at all"),
        ("ada@x.org", False, "was verified"),
    ],
)
def test_only_verified_addresses_of_the_domains(email: str, verified: bool, why: str) -> None:
    rules = AdmissionRules(email_domains=frozenset({"x.org"}))
    rules.check(replace(ADA, email="Ada@X.ORG"))
    with pytest.raises(NotAdmittedError, match=why):
        rules.check(replace(ADA, email=email, email_verified=verified))


@pytest.mark.parametrize(
    ("claims", "name", "groups"),
    [
        ({"groups": ["a", "b"]}, "groups", {"a", "b"}),
        ({"groups": "a"}, "groups", {"a"}),
        ({"groups": ["a", 7, None, "*"]}, "groups", {"a"}),
        ({"groups": {"a": 1}}, "groups", set()),
        ({}, "groups", set()),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", {"a"}),
        ({"https://x.org/groups": ["a"]}, "https://x.org/groups", {"a"}),
        ({"realm_access": ["a"]}, "realm_access.roles", set()),
    ],
)
def test_where_groups_stand(claims: dict[str, Any], name: str, groups: set[str]) -> None:
    assert read_person({"sub": "s1", **claims}, "https://id", name).groups == groups


@pytest.mark.parametrize("subject", [None, "", 7, "x" * 256, "a\0b"])
def test_who_has_no_subject_is_nobody(subject: Any) -> None:
    with pytest.raises(NotAdmittedError, match="sub"):
        read_person({"sub": subject}, "https://id", "groups")


def test_only_a_plain_true_verifies_an_address() -> None:
    for said in ("true", 1, "yes", None, False):
        claims = {"sub": "s1", "email": "ada@x.org", "email_verified": said}
        assert not read_person(claims, "https://id", "groups").email_verified
    assert read_person({"sub": "s1", "email_verified": True}, "https://id", "g").email_verified


@pytest.mark.parametrize(
    ("said", "first", "second"),
    [
        ("ada", "ada", "ada-2"),
        ("ada@x.org", "ada@x.org", "ada@x.org-2"),
        ("\u0430dmin", "dmin", "dmin-2"),  # a Cyrillic letter that looks like an a
        ("Zo\u00eb  D", "Zoe-D", "Zoe-D-2"),
        ("<script>", "script", "script-2"),
        ("nereid", "nereid-2", "nereid-3"),
        ("Anonymous", "Anonymous-2", "Anonymous-3"),
        ("\u4f60\u597d", "person", "person-2"),
        ("", "person", "person-2"),
    ],
)
def test_names_are_plain_and_nobody_elses(said: str, first: str, second: str) -> None:
    assert list(islice(usernames(replace(ADA, username=said)), 2)) == [first, second]


def test_a_name_is_never_too_long() -> None:
    assert all(len(n) <= 150 for n in islice(usernames(replace(ADA, username="x" * 255)), 2000))
