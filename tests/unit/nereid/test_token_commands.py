"""`nereid tokens`: what is sent, what is printed, and where a secret goes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nereid.cli import run
from tests.support.control_plane_answers import FakeServer, answer, printed, problem

ID = "4f3c6b1e-8a52-4c0e-9d2f-6f5f1e0f9a11"


def token(**changes: Any) -> dict[str, Any]:
    return {
        "id": ID,
        "name": "nightly",
        "user": "ada",
        "role": "publisher",
        "names": ["digits"],
        "state": "live",
        "created_at": "2026-01-02T03:04:05Z",
        "expires_at": "2026-04-02T03:04:05Z",
        "revoked_at": None,
        "last_used_at": None,
        **changes,
    }


def page(*tokens: dict[str, Any]) -> Any:
    return answer({"results": list(tokens), "next": None})


def test_list_says_what_each_allows(tmp_path: Path) -> None:
    server = FakeServer({"GET /tokens/": page(token(), token(name="all", names=None))})
    session = server.session(tmp_path)
    assert run(["tokens", "list", "--state", "live"], session) == 0
    out = printed(session.out)
    for words in ("nightly", "publisher of digits", "never", "2026-04-02", ID):
        assert words in out
    assert "state=live" in str(server.requests[0].url)


def test_list_as_json(tmp_path: Path) -> None:
    session = FakeServer({"GET /tokens/": page(token())}).session(tmp_path)
    assert run(["tokens", "list", "--json"], session) == 0
    assert json.loads(printed(session.out)) == {"results": [token()]}


def test_create_prints_the_token_alone(tmp_path: Path) -> None:
    server = FakeServer({"POST /tokens/": answer({**token(), "token": "nrd_secret"}, 201)})
    session = server.session(tmp_path)
    arguments = ["tokens", "create", "nightly", "--role", "publisher", "--only", "digits"]
    assert run([*arguments, "--expires", "12h"], session) == 0
    assert printed(session.out) == "nrd_secret\n"
    assert "nrd_secret" not in printed(session.err)
    sent = server.body("POST", "/tokens/")
    assert (sent["role"], sent["names"]) == ("publisher", ["digits"])
    ends = datetime.fromisoformat(sent["expires_at"])
    assert timedelta(hours=11) < ends - datetime.now(UTC) < timedelta(hours=13)


def test_one_that_never_ends_is_asked_for(tmp_path: Path) -> None:
    server = FakeServer({"POST /tokens/": answer({**token(), "token": "nrd_secret"}, 201)})
    arguments = ["tokens", "create", "x", "--role", "viewer", "--expires", "never", "--json"]
    session = server.session(tmp_path)
    assert run(arguments, session) == 0
    assert server.body("POST", "/tokens/")["expires_at"] is None
    assert server.body("POST", "/tokens/")["names"] is None
    assert json.loads(printed(session.out))["token"] == "nrd_secret"


@pytest.mark.parametrize("said", ["nightly", ID])
def test_revoke_by_name_or_id(said: str, tmp_path: Path) -> None:
    old = token(id="0" * 8 + ID[8:], state="revoked")
    server = FakeServer(
        {"GET /tokens/": page(token(), old), f"DELETE /tokens/{ID}/": answer({}, 204)}
    )
    session = server.session(tmp_path)
    assert run(["tokens", "revoke", said], session) == 0
    assert server.calls[-1] == f"DELETE /tokens/{ID}/"


def test_revoke_of_a_name_that_two_have_asks_for_the_id(tmp_path: Path) -> None:
    server = FakeServer({"GET /tokens/": page(token(), token(id="0" * 8 + ID[8:], user="eve"))})
    session = server.session(tmp_path)
    assert run(["tokens", "revoke", "nightly"], session) == 1
    assert ID in printed(session.err)
    assert server.calls == ["GET /tokens/"]


def test_revoke_of_none_is_1(tmp_path: Path) -> None:
    session = FakeServer({"GET /tokens/": page()}).session(tmp_path)
    assert run(["tokens", "revoke", "nightly"], session) == 1
    assert "no token" in printed(session.err)


def test_a_refusal_is_the_servers(tmp_path: Path) -> None:
    server = FakeServer({"POST /tokens/": problem(403, "Forbidden", "this token makes no tokens")})
    session = server.session(tmp_path)
    assert run(["tokens", "create", "x", "--role", "viewer"], session) == 1
    assert "makes no tokens" in printed(session.err)


@pytest.mark.parametrize(
    "arguments",
    [
        ["tokens", "create", "x"],
        ["tokens", "create", "x", "--role", "king"],
        ["tokens", "create", "x", "--role", "viewer", "--expires", "soon"],
        ["tokens", "create", "x", "--role", "viewer", "--expires", "0d"],
        ["tokens", "list", "--state", "lost"],
        ["tokens", "revoke"],
        ["tokens", "fly"],
    ],
)
def test_wrong_usage_is_2_and_asks_no_server(arguments: list[str], tmp_path: Path) -> None:
    server = FakeServer({})
    assert run(arguments, server.session(tmp_path)) == 2
    assert server.calls == []
