"""What waits for a second person, from the command: what is said, sent, and exited with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nereid import AsyncClient, Client, WaitTimeoutError
from nereid.cli import run
from tests.support.control_plane_answers import (
    API,
    FakeServer,
    accepted,
    answer,
    endpoint,
    printed,
    problem,
)

CHANGE = "/endpoints/digits/changes/3/"
DEPLOY = ["deploy", "digits", "digits:1=50", "digits:2=50"]


def change(state: str = "pending", **more: Any) -> dict[str, Any]:
    return {
        "endpoint": "digits",
        "number": 3,
        "state": state,
        "stale": "",
        "generation": 7,
        "policy": {"arms": []},
        "reason": "98 % right",
        "asked_by": "ada",
        "asked_at": "2026-01-02T03:04:05Z",
        "decided_by": "" if state == "pending" else "ben",
        "decided_at": None,
        "decided_reason": "",
        "revision": None,
        "plan": {
            "changes": [
                {"action": "weight", "arm": "digits-v1", "part": "", "detail": "90 % -> 50 %"}
            ],
            "diff": "--- a/x\n+++ b/x\n",
            "findings": [],
            "loads": [],
            "unloads": [],
        },
        **more,
    }


def waiting(*looks: dict[str, Any]) -> FakeServer:
    """A server whose `digits` has the rule; `looks` are what the change becomes."""
    return FakeServer(
        {
            "GET /endpoints/digits/policy/": answer({"arms": []}, ETag='"7"'),
            "PUT /endpoints/digits/policy/": answer({**accepted(7), "change": 3}, 202),
            f"GET {CHANGE}": [answer(look) for look in looks] or [answer(change())],
            "GET /endpoints/digits/": answer(endpoint("Healthy", 8)),
            f"POST {CHANGE}approve/": answer({**accepted(8), "change": None}, 202),
            f"POST {CHANGE}reject/": answer(change("rejected")),
            f"POST {CHANGE}withdraw/": answer(change("withdrawn", decided_by="ada")),
        }
    )


@pytest.mark.parametrize("option", [[], ["--no-wait"]])
def test_deploy_says_who_is_waited_for_and_what_to_type(option: list[str], tmp_path: Path) -> None:
    server = waiting()
    session = server.session(tmp_path)
    assert run([*DEPLOY, "--reason", "98 % right", *option], session) == 3
    said = printed(session.err)
    assert "waiting for a second person: change 3 of digits" in said
    for verb in ("approve", "show", "withdraw"):
        assert f"nereid changes {verb} digits 3" in said
    assert dict(server.sent("PUT", "/policy/").url.params) == {"reason": "98 % right"}
    assert "GET /endpoints/digits/" not in server.calls, "nobody waits for what does not move"


def test_deploy_as_json_is_what_was_answered(tmp_path: Path) -> None:
    session = waiting().session(tmp_path)
    assert run([*DEPLOY, "--json"], session) == 3
    assert json.loads(printed(session.out))["change"] == 3


def test_deploy_wait_goes_on_until_it_serves(tmp_path: Path) -> None:
    server = waiting(change(), change("approved", revision=8))
    session = server.session(tmp_path)
    assert run([*DEPLOY, "--wait"], session) == 0
    assert "ben approved change 3" in printed(session.err)
    assert "digits is Healthy" in printed(session.err)


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (change("rejected", decided_reason="not on a Friday"), "is rejected (ben): not on a Fri"),
        (change("withdrawn"), "is withdrawn"),
        (change(stale="it would undo what came between"), "it would undo what came between"),
    ],
)
def test_deploy_wait_ends_with_1_where_nobody_lets_it_through(
    end: dict[str, Any], says: str, tmp_path: Path
) -> None:
    session = waiting(change(), end).session(tmp_path)
    assert run([*DEPLOY, "--wait"], session) == 1
    assert says in printed(session.err)


def test_deploy_wait_that_nobody_answers_is_3(tmp_path: Path) -> None:
    session = waiting().session(tmp_path)
    assert run([*DEPLOY, "--wait", "--timeout", "0.1"], session) == 3
    assert "still waits for a second person" in printed(session.err)


def test_list_shows_what_waits_everywhere(tmp_path: Path) -> None:
    rows = [endpoint(), endpoint(name="faces", pending_change=3)]
    server = FakeServer(
        {
            "GET /endpoints/": answer({"results": rows, "next": None}),
            "GET /endpoints/faces/changes/": answer(
                {"results": [change(endpoint="faces")], "next": None}
            ),
        }
    )
    session = server.session(tmp_path)
    assert run(["changes", "list"], session) == 0
    out = printed(session.out)
    for words in ("faces", "3", "pending", "ada", "98 % right"):
        assert words in out
    assert server.calls == ["GET /endpoints/", "GET /endpoints/faces/changes/"]
    assert run(["changes", "list", "--state", "approved"], server.session(tmp_path)) == 2
    assert run(["changes", "list", "faces", "--state", "lost"], server.session(tmp_path)) == 2
    again = server.session(tmp_path)
    assert run(["changes", "list", "faces", "--state", "rejected", "--json"], again) == 0
    assert "state=rejected" in str(server.requests[-1].url)


def test_show_ends_with_who_asked_and_what_to_type(tmp_path: Path) -> None:
    session = waiting().session(tmp_path)
    assert run(["changes", "show", "digits", "3"], session) == 0
    out = printed(session.out)
    assert "90 % -> 50 %" in out
    assert "asked for by ada" in out
    assert "why: 98 % right" in out
    assert "nereid changes approve digits 3" in printed(session.err)
    late = waiting(change(stale="the endpoint is at 8 by now")).session(tmp_path)
    assert run(["changes", "show", "digits", "3"], late) == 0
    assert "the endpoint is at 8 by now" in printed(late.err)
    assert "approve" not in printed(late.err)


def test_approve_waits_until_it_serves(tmp_path: Path) -> None:
    server = waiting()
    session = server.session(tmp_path)
    assert run(["changes", "approve", "digits", "3", "--reason", "fine"], session) == 0
    assert server.body("POST", "/approve/") == {"reason": "fine"}
    assert "digits is Healthy" in printed(session.err)


def test_ones_own_change_is_refused_in_the_servers_words(tmp_path: Path) -> None:
    server = waiting()
    server.answers[f"POST {CHANGE}approve/"] = problem(
        403, "Forbidden", "you asked for it yourself"
    )
    session = server.session(tmp_path)
    assert run(["changes", "approve", "digits", "3"], session) == 1
    assert "you asked for it yourself" in printed(session.err)


@pytest.mark.parametrize(("verb", "state"), [("reject", "rejected"), ("withdraw", "withdrawn")])
def test_reject_and_withdraw(verb: str, state: str, tmp_path: Path) -> None:
    session = waiting().session(tmp_path)
    assert run(["changes", verb, "digits", "3"], session) == 0
    assert f"change 3 of digits is {state}; traffic stays as it is" in printed(session.err)


def test_the_rule_is_switched_and_shown(tmp_path: Path) -> None:
    server = FakeServer(
        {
            "GET /endpoints/digits/": answer(endpoint()),
            "PATCH /endpoints/digits/": answer(endpoint(four_eyes=True)),
        }
    )
    session = server.session(tmp_path)
    assert run(["four-eyes", "digits"], session) == 0
    assert "rule off: one person changes it" in printed(session.err)
    assert run(["four-eyes", "digits", "on"], session) == 0
    assert "rule on: a second person approves" in printed(session.err)
    assert server.body("PATCH", "/digits/") == {"four_eyes": True}
    assert run(["four-eyes", "digits", "maybe"], server.session(tmp_path)) == 2


def test_an_endpoint_says_that_something_waits(tmp_path: Path) -> None:
    server = FakeServer(
        {
            "GET /endpoints/digits/": answer(endpoint(four_eyes=True, pending_change=3)),
            "GET /endpoints/digits/revisions/": answer({"results": [], "next": None}),
        }
    )
    session = server.session(tmp_path)
    assert run(["endpoints", "digits"], session) == 0
    assert "four eyes" in printed(session.out)
    assert "nereid changes show digits 3" in printed(session.out)


def test_the_client_waits_for_a_decision() -> None:
    server = waiting(change(), change("approved", revision=8))
    with Client(API, "t", transport=server.transport()) as client:
        assert client.put_policy("digits", {"arms": []}, etag="*").change == 3
        found = client.wait_change("digits", 3)
        assert (found.state, found.revision, found.waits) == ("approved", 8, False)
        assert client.approve_change("digits", 3).change is None
        assert client.reject_change("digits", 3, "no").state == "rejected"
        assert client.withdraw_change("digits", 3).decided_by == "ada"
    with (
        Client(API, "t", transport=waiting().transport()) as client,
        pytest.raises(WaitTimeoutError, match="nereid changes show digits 3"),
    ):
        client.wait_change("digits", 3, timeout=0.05)


async def test_the_awaited_client_has_the_same_calls() -> None:
    async with AsyncClient(API, "t", transport=waiting().transport()) as client:
        found = await client.change("digits", 3)
        assert found.plan
        assert found.plan.changes[0].detail == "90 % -> 50 %"
        assert (await client.reject_change("digits", 3)).state == "rejected"
