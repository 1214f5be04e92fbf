"""Tokens over the API: whose they are, what they allow, when they end, and what stays secret."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from control_plane.access.models import ApiToken, token_digest
from control_plane.access.roles import role_group
from control_plane.audit.models import AuditEvent
from control_plane.domain.access import Role, Scope
from tests.integration.api.conftest import Api, token_of
from tests.integration.api.test_registry_api import problem


def make(api: Api, **body: Any) -> dict[str, Any]:
    response = api.post("tokens/", {"name": "ci", "role": "viewer", **body})
    assert response.status_code == 201, response.content
    assert response["Cache-Control"] == "no-store"
    document: dict[str, Any] = response.json()
    assert response["Location"].endswith(f"/api/v1/tokens/{document['id']}")
    return document


def listed(api: Api, query: str = "") -> list[str]:
    return [token["id"] for token in api.get(f"tokens/{query}").json()["results"]]


def test_a_token_is_shown_once_and_kept_as_a_hash(api: Api) -> None:
    made = make(api, names=["digits"], role="publisher")
    assert (made["role"], made["names"], made["user"]) == ("publisher", ["digits"], "ada")
    row = ApiToken.objects.get(id=made["id"])
    assert row.digest == token_digest(made["token"])
    for document in (api.get("tokens/"), api.get(f"tokens/{made['id']}/"), api.get("audit/")):
        assert made["token"] not in document.content.decode()
    event = AuditEvent.objects.get(action="token.create")
    assert event.after["role"] == "publisher"
    assert event.after["names"] == ["digits"]


def test_it_works_until_it_is_revoked(api: Api) -> None:
    made = make(api)
    caller = Api(made["token"])
    assert caller.get("models/").status_code == 200
    problem(caller.post("models/", {"name": "digits"}), 403)
    assert api.call("delete", f"tokens/{made['id']}/").status_code == 204
    assert api.call("delete", f"tokens/{made['id']}/").status_code == 204
    problem(caller.get("models/"), 401)
    assert api.get(f"tokens/{made['id']}/").json()["state"] == "revoked"
    assert AuditEvent.objects.filter(action="token.revoke").count() == 1


def test_it_ends(api: Api) -> None:
    now = timezone.now()
    ninety = ApiToken.objects.get(id=make(api)["id"]).expires_at
    assert ninety is not None
    assert timedelta(days=89) < ninety - now < timedelta(days=91)
    assert ApiToken.objects.get(id=make(api, expires_at=None)["id"]).expires_at is None
    soon = make(api, expires_at="2999-01-01T00:00:00Z")
    ApiToken.objects.filter(id=soon["id"]).update(expires_at=now - timedelta(seconds=1))
    problem(Api(soon["token"]).get("models/"), 401)
    assert listed(api, "?state=expired") == [soon["id"]]
    assert soon["id"] not in listed(api, "?state=live")
    assert listed(api, "?state=revoked") == []
    problem(api.get("tokens/?state=lost"), 400)


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": " "}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"role": "king"}, "/role"),
        ({"role": None}, "/role"),
        ({"names": []}, "/names"),
        ({"names": ["A b"]}, "/names"),
        ({"names": "digits"}, "/names"),
        ({"names": ["a"] * 101}, "/names"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2999-01-01T00:00:00"}, "/expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "/expires_at"),
        ({"expires_at": "soon"}, "/expires_at"),
        ({"expires_at": 7}, "/expires_at"),
        ({"user": "eve"}, "/user"),
    ],
)
def test_what_makes_no_token(api: Api, fields: dict[str, Any], pointer: str) -> None:
    before = ApiToken.objects.count()
    assert pointer in problem(api.post("tokens/", {"name": "ci", "role": "viewer", **fields}), 400)
    assert ApiToken.objects.count() == before


def test_people_see_and_revoke_their_own_an_admin_all(api: Api, reader: Api) -> None:
    mine, theirs = make(reader), make(api)
    assert theirs["id"] not in listed(reader)
    assert mine["id"] in listed(reader)
    assert {mine["id"], theirs["id"]} <= set(listed(api))
    problem(reader.get(f"tokens/{theirs['id']}/"), 404)
    problem(reader.call("delete", f"tokens/{theirs['id']}/"), 404)
    assert reader.call("delete", f"tokens/{mine['id']}/").status_code == 204
    again = make(reader)
    assert api.call("delete", f"tokens/{again['id']}/").status_code == 204
    problem(Api(None).get("tokens/"), 401)
    problem(api.get("tokens/00000000-0000-0000-0000-000000000000/"), 404)


def test_who_has_a_grant_alone_has_tokens_too(api: Api) -> None:
    make(Api(token_of("gus")))


@pytest.mark.parametrize("scope", [Scope(Role.VIEWER), Scope(Role.ADMIN, frozenset({"digits"}))])
def test_a_limited_token_learns_of_no_other_and_makes_none(api: Api, scope: Scope) -> None:
    ada = User.objects.get(username="ada")
    row, clear = ApiToken.issue(user=ada, name="limited", scope=scope)
    limited = Api(clear)
    assert listed(limited) == [str(row.id)]
    other = make(api)
    problem(limited.call("delete", f"tokens/{other['id']}/"), 404)
    problem(limited.post("tokens/", {"name": "more", "role": "viewer"}), 403)
    assert limited.call("delete", f"tokens/{row.id}/").status_code == 204
    problem(limited.get("tokens/"), 401)


def test_a_role_that_is_taken_away_is_gone_from_the_token(api: Api, reader: Api) -> None:
    made = make(reader, role="admin")
    assert Api(made["token"]).get("models/").status_code == 200
    role_group(Role.VIEWER).user_set.clear()
    problem(Api(made["token"]).get("models/"), 403)
