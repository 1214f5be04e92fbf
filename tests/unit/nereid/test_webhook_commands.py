"""`nereid webhooks`: what is sent, what is printed, and where a secret goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nereid.cli import run
from tests.support.control_plane_answers import FakeServer, answer, printed

ID = "4f3c6b1e-8a52-4c0e-9d2f-6f5f1e0f9a11"
AT = "2026-01-02T03:04:05Z"


def webhook(**changes: Any) -> dict[str, Any]:
    return {
        "name": "deploys",
        "url": "https://hooks.example.com/x",
        "events": ["version.*"],
        "names": ["digits"],
        "enabled": True,
        "state": "enabled",
        "disabled_reason": "",
        "failing_since": None,
        "old_secret_until": None,
        "created_at": AT,
        "created_by": "ada",
        **changes,
    }


def delivery(**changes: Any) -> dict[str, Any]:
    return {
        "id": ID,
        "webhook": "deploys",
        "event": "version.ready",
        "event_id": "evt_1",
        "state": "failed",
        "reason": "it answered 410",
        "tries": 1,
        "created_at": AT,
        "due_at": None,
        "ended_at": AT,
        **changes,
    }


TRIED = {
    "at": AT,
    "duration_ms": 12,
    "status": 410,
    "error": "it answered 410",
    "answer": "[bold]gone\x1b[2J\nfor good",
}


def test_list_says_how_they_are(tmp_path: Path) -> None:
    off = webhook(name="pager", names=None, state="disabled", disabled_reason="it answered 410")
    server = FakeServer({"GET /webhooks/": answer({"results": [webhook(), off], "next": None})})
    session = server.session(tmp_path)
    assert run(["webhooks", "list"], session) == 0
    out = printed(session.out)
    for words in ("deploys", "version.*", "digits", "pager", "everything", "disabled"):
        assert words in out
    assert "pager: it answered 410" in printed(session.err)


def test_create_prints_the_secret_alone(tmp_path: Path) -> None:
    server = FakeServer({"POST /webhooks/": answer({**webhook(), "secret": "whsec_x"}, 201)})
    session = server.session(tmp_path)
    arguments = ["webhooks", "create", "deploys", "https://hooks.example.com/x"]
    assert run([*arguments, "--on", "version.*", "--on", "server.lost"], session) == 0
    assert printed(session.out) == "whsec_x\n"
    assert "whsec_x" not in printed(session.err)
    sent = server.body("POST", "/webhooks/")
    assert (sent["events"], sent["names"]) == (["version.*", "server.lost"], None)


def test_edit_sends_what_was_said_alone(tmp_path: Path) -> None:
    server = FakeServer({"PATCH /webhooks/deploys/": answer(webhook(names=None))})
    for arguments, expected in (
        (["--disable"], {"enabled": False}),
        (["--only", "all", "--enable"], {"names": [], "enabled": True}),
        (["--on", "*", "--url", "https://x.y/"], {"events": ["*"], "url": "https://x.y/"}),
    ):
        assert run(["webhooks", "edit", "deploys", *arguments], server.session(tmp_path)) == 0
        assert json.loads(server.requests[-1].content) == expected
    assert run(["webhooks", "edit", "deploys"], server.session(tmp_path)) == 2


def test_a_test_waits_for_its_outcome_and_shows_no_escapes(tmp_path: Path) -> None:
    where = f"/webhooks/deploys/deliveries/{ID}/"
    server = FakeServer(
        {
            "POST /webhooks/deploys/test/": answer(delivery(state="pending", tries=0), 202),
            f"GET {where}": answer({**delivery(), "payload": {}, "attempts": [TRIED]}),
        }
    )
    session = server.session(tmp_path)
    assert run(["webhooks", "test", "deploys"], session) == 1, "scripts know that it failed"
    out = printed(session.out)
    assert "failed" in out
    assert "12 ms" in out
    assert "[bold]gone" in out
    assert "\x1b[2J" not in out


def test_a_test_that_arrives_is_well(tmp_path: Path) -> None:
    sent = delivery(state="pending", tries=0)
    there = {**delivery(state="delivered"), "payload": {}, "attempts": [TRIED]}
    server = FakeServer(
        {
            "POST /webhooks/deploys/test/": answer(sent, 202),
            f"GET /webhooks/deploys/deliveries/{ID}/": answer(there),
        }
    )
    assert run(["webhooks", "test", "deploys"], server.session(tmp_path)) == 0


@pytest.mark.parametrize(
    ("arguments", "request_line", "words"),
    [
        (["deliveries", "deploys", "--state", "failed"], "GET /webhooks/deploys/deliveries/", ID),
        (["events"], "GET /webhook-events/", "version.ready"),
        (["rotate", "deploys"], "POST /webhooks/deploys/rotate/", "whsec_y"),
    ],
)
def test_the_rest(tmp_path: Path, arguments: list[str], request_line: str, words: str) -> None:
    event = {"type": "version.ready", "description": "It is.", "schema": {}, "example": {}}
    server = FakeServer(
        {
            "GET /webhooks/deploys/deliveries/": answer({"results": [delivery()], "next": None}),
            "GET /webhook-events/": answer([event]),
            "POST /webhooks/deploys/rotate/": answer({**webhook(), "secret": "whsec_y"}),
        }
    )
    for extra in ([], ["--json"]):
        session = server.session(tmp_path)
        assert run(["webhooks", *arguments, *extra], session) == 0
        assert words in printed(session.out)
    assert f"{server.requests[-1].method} {server.requests[-1].url.path}".endswith(
        request_line.split()[1]
    )


def test_deleted_and_sent_again(tmp_path: Path) -> None:
    server = FakeServer(
        {
            "DELETE /webhooks/deploys/": answer(None, 204),
            f"POST /webhooks/deploys/deliveries/{ID}/redeliver/": answer(delivery(), 202),
        }
    )
    assert run(["webhooks", "delete", "deploys"], server.session(tmp_path)) == 0
    assert run(["webhooks", "redeliver", "deploys", ID], server.session(tmp_path)) == 0
    assert run(["webhooks", "deliveries", "deploys", "--state", "x"], server.session(tmp_path)) == 2
