"""`nereid users` and `nereid grants`: what is sent, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nereid.cli import run
from tests.support.control_plane_answers import FakeServer, answer, printed, problem

ID = "4f3c6b1e-8a52-4c0e-9d2f-6f5f1e0f9a11"


def user(**changes: Any) -> dict[str, Any]:
    return {
        "username": "eve",
        "name": "Eve L",
        "email": "eve@x.org",
        "active": True,
        "console": True,
        "all_rights": False,
        "roles": ["viewer"],
        "groups": ["vision"],
        "publish_code": False,
        "signs_in_at": [],
        "date_joined": "2026-01-02T03:04:05Z",
        "last_login": None,
        **changes,
    }


def grant(**changes: Any) -> dict[str, Any]:
    return {
        "id": ID,
        "user": None,
        "group": "vision",
        "role": "operator",
        "kind": "endpoint",
        "name": "digits",
        "created_at": "2026-01-02T03:04:05Z",
        "created_by": "ada",
        **changes,
    }


def page(*rows: dict[str, Any]) -> Any:
    return answer({"results": list(rows), "next": None})


def test_users_with_what_they_may(tmp_path: Path) -> None:
    people = (
        user(publish_code=True),
        user(username="ada", all_rights=True),
        user(username="old", roles=[], active=False),
    )
    server = FakeServer({"GET /users/": page(*people)})
    session = server.session(tmp_path)
    assert run(["users", "list", "--role", "viewer", "--group", "vision"], session) == 0
    out = printed(session.out)
    for words in ("viewer, publish code", "everything", "no role", "switched off", "never"):
        assert words in out
    assert "role=viewer" in str(server.requests[0].url)
    assert "group=vision" in str(server.requests[0].url)
    again = server.session(tmp_path)
    assert run(["users", "list", "--json"], again) == 0
    assert json.loads(printed(again.out)) == {"results": list(people)}


@pytest.mark.parametrize(
    ("verb", "role", "roles"),
    [("give", "publisher", ["publisher", "viewer"]), ("take", "viewer", [])],
)
def test_a_role_more_or_less_leaves_the_others(
    verb: str, role: str, roles: list[str], tmp_path: Path
) -> None:
    server = FakeServer(
        {
            "GET /users/eve/": answer(user(), ETag='"read"'),
            "PATCH /users/eve/": answer(user(roles=roles)),
        }
    )
    session = server.session(tmp_path)
    assert run(["users", verb, "eve", role], session) == 0
    assert server.body("PATCH", "/users/eve/") == {"roles": roles}
    # What somebody else changed meanwhile is not undone.
    assert server.sent("PATCH", "/users/eve/").headers["If-Match"] == '"read"'
    assert f"eve: {', '.join(roles) or 'no role'}" in printed(session.err)


def test_set_sends_what_was_said_alone(tmp_path: Path) -> None:
    server = FakeServer({"PATCH /users/eve/": answer(user(active=False))})
    session = server.session(tmp_path)
    assert run(["users", "set", "eve", "--inactive", "--publish-code"], session) == 0
    assert server.body("PATCH", "/users/eve/") == {"active": False, "publish_code": True}
    assert "switched off" in printed(session.err)


def test_a_refusal_is_the_servers(tmp_path: Path) -> None:
    refused = problem(409, "Conflict", "you cannot switch your own account off")
    session = FakeServer({"PATCH /users/ada/": refused}).session(tmp_path)
    assert run(["users", "set", "ada", "--inactive"], session) == 1
    assert "your own account" in printed(session.err)


def test_grants_listed(tmp_path: Path) -> None:
    server = FakeServer({"GET /grants/": page(grant(), grant(user="eve", group=None))})
    session = server.session(tmp_path)
    assert run(["grants", "list", "--kind", "endpoint", "--user", "eve"], session) == 0
    for words in ("group vision", "eve", "operator", "endpoint digits", ID):
        assert words in printed(session.out)
    assert {"kind=endpoint", "user=eve"} <= set(server.requests[0].url.query.decode().split("&"))


def test_a_grant_is_given_and_taken(tmp_path: Path) -> None:
    server = FakeServer(
        {
            "POST /grants/": answer(grant(), 201),
            "GET /grants/": page(grant()),
            f"DELETE /grants/{ID}/": answer({}, 204),
        }
    )
    session = server.session(tmp_path)
    said = ["operator", "endpoint", "digits", "--group", "vision"]
    assert run(["grants", "give", *said], session) == 0
    body = {"role": "operator", "kind": "endpoint", "name": "digits"}
    assert server.body("POST", "/grants/") == {**body, "user": None, "group": "vision"}
    assert "group vision is operator of endpoint digits" in printed(session.err)
    assert run(["grants", "take", *said], session) == 0
    asked = server.sent("GET", "/grants/").url.query.decode()
    assert {"role=operator", "kind=endpoint", "name=digits", "group=vision"} <= {*asked.split("&")}
    assert server.calls[-1] == f"DELETE /grants/{ID}/"


def test_taking_what_nobody_has_is_1(tmp_path: Path) -> None:
    session = FakeServer({"GET /grants/": page()}).session(tmp_path)
    assert run(["grants", "take", "viewer", "model", "m", "--user", "eve"], session) == 1
    assert "has no grant" in printed(session.err)


@pytest.mark.parametrize(
    "arguments",
    [
        ["users", "give", "eve", "king"],
        ["users", "set", "eve"],
        ["users", "list", "--role", "king"],
        ["grants", "give", "viewer", "server", "m", "--user", "eve"],
        ["grants", "give", "viewer", "model", "m"],
        ["grants", "give", "viewer", "model", "m", "--user", "eve", "--group", "vision"],
        ["grants", "list", "--kind", "server"],
    ],
)
def test_wrong_usage_is_2_and_asks_no_server(arguments: list[str], tmp_path: Path) -> None:
    server = FakeServer({})
    assert run(arguments, server.session(tmp_path)) == 2
    assert server.calls == []
