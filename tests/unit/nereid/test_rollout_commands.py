"""`nereid rollout` and `nereid analysis`: what is sent, said, and exited with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nereid import AsyncClient, Client, Rollout, WaitTimeoutError
from nereid.cli import run
from nereid.cli.rollout_picture import track
from nereid.policy import PolicySyntaxError
from nereid.rollout_steps import parse_step
from nereid.rollouts import MetricLook
from tests.support.control_plane_answers import (
    API,
    FakeServer,
    answer,
    endpoint,
    printed,
    problem,
)

ID = "0b8fc6a4-8a2f-4f7e-a6a8-4e2b6b8f2f10"
ONE = f"/rollouts/{ID}/"
METRIC: dict[str, Any] = {
    "name": "errors",
    "kind": "error_rate",
    "phase": "Running",
    "reason": "",
    "required": True,
    "compare": "baseline",
    "better": "lower",
    "unit": "request",
    "scale": "difference",
    "candidate": {"of": 1400, "count": 42, "estimate": 0.03},
    "baseline": {"of": 7600, "count": 76, "estimate": 0.01},
    "estimate": 0.02,
    "lower": -0.002,
    "upper": None,
    "limit": 0.005,
    "statistic": 6.0,
    "needed": 20.0,
}


def rollout(state: str = "analysing", **more: Any) -> dict[str, Any]:
    active = state not in ("rolledBack", "aborted", "failed")
    return {
        "id": ID,
        "endpoint": "digits",
        "number": 3,
        "document": {"endpoint": "digits", "to": {"model": "digits", "version": 2}},
        "state": state,
        "active": active,
        "reason": f"it is {state}",
        "since": "2026-01-02T03:04:05Z",
        "step": 1,
        "share": 5.0,
        "harm": {"budget": 20, "spent": 12},
        "started_by": "ada",
        "created_at": "2026-01-02T03:04:05Z",
        "steps": [
            {"text": "setWeight 5 %", "standing": "done"},
            {"text": "analysis default", "standing": "current" if active else "stopped"},
        ],
        "runs": [
            {
                "step": 1,
                "attempt": 1,
                "run": {"id": ID, "template": "default", "phase": "Running", "looks": 42},
                "look": {"number": 42, "seconds": 42.0, "phase": "Running", "metrics": [METRIC]},
            }
        ],
        "controls": {"abort": "", "resume": "it is not paused"},
        **more,
    }


def serving(*looks: dict[str, Any], **more: Any) -> FakeServer:
    seen = looks or (rollout(),)
    controls = ("promote", "skip", "pause", "resume", "abort", "retry", "approve")
    return FakeServer(
        {
            "GET /endpoints/digits/": answer(endpoint(**more)),
            "GET /rollouts/": answer({"results": [seen[0]], "next": None}),
            "POST /rollouts/": answer(seen[0], 201),
            f"GET {ONE}": [answer(look) for look in seen],
            **{
                f"POST {ONE}{control}/": answer(rollout("rollingBack"), 202) for control in controls
            },
        }
    )


def sent(server: FakeServer) -> Any:
    return json.loads(server.sent("POST", "/rollouts/").content)


def test_a_number_is_a_version_of_what_serves(tmp_path: Path) -> None:
    server = serving(rollout("pending"))
    session = server.session(tmp_path)
    assert run(["rollout", "start", "digits", "2"], session) == 0
    assert sent(server) == {
        "endpoint": "digits",
        "to": {"model": "digits", "version": 2},
        "strategy": {"canary": {}},
    }
    said = printed(session.err)
    assert "rollout 3 of digits is pending" in said
    assert "nereid rollout status digits --watch" in said


@pytest.mark.parametrize(
    ("words", "to"),
    [
        ("@champion", {"model": "digits", "version": "@champion"}),
        ("other:4", {"model": "other", "version": 4}),
        ("other@champion", {"model": "other", "version": "@champion"}),
    ],
)
def test_what_else_a_target_may_be(words: str, to: Any, tmp_path: Path) -> None:
    server = serving()
    assert run(["rollout", "start", "digits", words], server.session(tmp_path)) == 0
    assert sent(server)["to"] == to


def test_every_option_is_sent(tmp_path: Path) -> None:
    server = serving()
    options = "--step 5 --step analysis:mine,p99 --step pause:60s --step pause --step approval"
    more = "--harm-budget 5 --watch 30m --dry-run --supersede --reason why"
    words = ["rollout", "start", "digits", "digits:2", *options.split(), *more.split()]
    assert run(words, server.session(tmp_path)) == 0
    assert sent(server) == {
        "endpoint": "digits",
        "to": {"model": "digits", "version": 2},
        "strategy": {
            "canary": {
                "steps": [
                    {"setWeight": 5},
                    {"analysis": {"templates": ["mine", "p99"]}},
                    {"pause": {"duration": "60s"}},
                    {"pause": {}},
                    {"approval": {}},
                ]
            }
        },
        "harmBudget": {"failedRequests": 5},
        "watch": "30m",
        "dryRun": True,
        "supersede": True,
        "reason": "why",
    }


def test_copies_come_first_where_it_is_said(tmp_path: Path) -> None:
    server = serving(rollout("pending"))
    words = ["--strategy", "shadow-first", "--copies", "50", "--compare", "logits", "--step", "10"]
    assert run(["rollout", "start", "digits", "2", *words], server.session(tmp_path)) == 0
    assert sent(server)["strategy"] == {
        "shadowFirst": {"percent": 50, "compare": "logits", "steps": [{"setWeight": 10}]}
    }


@pytest.mark.parametrize(
    "words",
    [
        ["start", "digits"],
        ["start", "digits", "two"],
        ["start", "digits", "digits:2=10"],
        ["start", "digits", "2", "--step", "soon"],
        ["start", "digits", "2", "--strategy", "hope"],
        ["start", "digits", "2", "--strategy", "blueGreen", "--step", "5"],
        ["start", "digits", "2", "--copies", "20"],
        ["start", "digits", "2", "--file", "x.json"],
        ["start", "--file", "not-there.json"],
        ["status", "digits", "--watch", "--wait"],
        ["status", "digits", "--watch", "--json"],
    ],
)
def test_wrong_usage_is_2_and_changes_nothing(words: list[str], tmp_path: Path) -> None:
    server = serving()
    assert run(["rollout", *words], server.session(tmp_path)) == 2
    assert not [call for call in server.calls if call.startswith("POST")]


def test_a_whole_document_goes_as_it_is(tmp_path: Path) -> None:
    server = serving()
    file = tmp_path / "rollout.json"
    file.write_text('{"endpoint": "digits", "to": {"model": "digits", "version": 2}}')
    assert run(["rollout", "start", "--file", str(file)], server.session(tmp_path)) == 0
    assert sent(server) == json.loads(file.read_text())


@pytest.mark.parametrize(
    ("looks", "code"),
    [
        (["pending", "analysing", "promoted"], 0),
        (["pending", "rollingBack", "rolledBack"], 1),
        (["pending", "failed"], 1),
    ],
)
def test_waiting_ends_with_the_rollout(looks: list[str], code: int, tmp_path: Path) -> None:
    server = serving(*(rollout(state) for state in looks))
    session = server.session(tmp_path)
    assert run(["rollout", "start", "digits", "2", "--wait"], session) == code
    assert f"rollout 3 of digits is {looks[-1]}: it is {looks[-1]}" in printed(session.err)


def test_who_is_waited_for_is_3(tmp_path: Path) -> None:
    server = serving(rollout("awaitingApproval"))
    session = server.session(tmp_path)
    assert run(["rollout", "start", "digits", "2"], session) == 3
    assert "nereid rollout approve digits" in printed(session.err)
    waiting = ["rollout", "status", "digits", "--wait", "--timeout", "0"]
    assert run(waiting, session) == 3


def test_the_status_shows_steps_harm_and_bounds(tmp_path: Path) -> None:
    session = serving().session(tmp_path)
    assert run(["rollout", "status", "digits"], session) == 0
    out = printed(session.out)
    for words in (
        "digits rollout 3",
        "it is analysing",
        "5 % of the requests",
        "12 of 20 failed attempts",
        "✓ setWeight 5 %",
        "▸ analysis default",
        "analysis default  step 2",
        "3 %  of 1,400",
        "-0.2 % … ?",
        "+0.5 %",
    ):
        assert words in out, out


def test_an_id_is_as_good_as_a_name(tmp_path: Path) -> None:
    server = serving()
    session = server.session(tmp_path)
    assert run(["rollout", "status", ID, "--json"], session) == 0
    assert "GET /rollouts/" not in server.calls
    assert json.loads(session.out.file.getvalue())["id"] == ID  # type: ignore[attr-defined]


def test_an_endpoint_without_a_rollout_says_how_one_begins(tmp_path: Path) -> None:
    server = FakeServer(
        {
            "GET /rollouts/": answer({"results": [], "next": None}),
            "GET /endpoints/digits/": answer(endpoint()),
        }
    )
    session = server.session(tmp_path)
    assert run(["rollout", "status", "digits"], session) == 1
    assert "nereid rollout start digits 2" in printed(session.err)


@pytest.mark.parametrize(
    "name", ["promote", "skip", "pause", "resume", "abort", "retry", "approve"]
)
def test_each_control_is_sent_with_its_reason(name: str, tmp_path: Path) -> None:
    server = serving()
    session = server.session(tmp_path)
    assert run(["rollout", name, "digits", "--reason", "so"], session) == 0
    assert json.loads(server.sent("POST", f"/{name}/").content) == {"reason": "so"}
    assert "rollout 3 of digits is rollingBack" in printed(session.err)


def test_what_the_server_refuses_is_1(tmp_path: Path) -> None:
    server = serving()
    server.answers[f"POST {ONE}resume/"] = problem(409, "Conflict", "it is not paused")
    session = server.session(tmp_path)
    assert run(["rollout", "resume", "digits"], session) == 1
    assert "it is not paused" in printed(session.err)


def test_the_list_is_narrowed_by_the_server(tmp_path: Path) -> None:
    server = serving()
    session = server.session(tmp_path)
    assert run(["rollout", "list", "digits", "--active", "--state", "analysing"], session) == 0
    asked = dict(server.sent("GET", "/rollouts/").url.params)
    assert asked == {"limit": "20", "endpoint": "digits", "active": "true", "state": "analysing"}
    assert "digits:2" in printed(session.out)


def test_a_step_that_cannot_be_read_says_what_can() -> None:
    assert parse_step('{"setRule": {}}') == {"setRule": {}}
    assert parse_step("12.5%") == {"setWeight": 12.5}
    assert parse_step("shadow:20") == {"setShadow": 20}
    for text in ("pause:", "analysis:", "approval:me", "shadow", "{", "-5"):
        with pytest.raises(PolicySyntaxError):
            parse_step(text)


@pytest.mark.parametrize(
    ("changes", "picture"),
    [
        ({}, "────────●"),
        ({"estimate": None, "lower": None}, "─┃─"),
        ({"estimate": 9.0}, "●"),
    ],
)
def test_the_bounds_are_drawn_around_the_limit(changes: Any, picture: str) -> None:
    drawn = track(MetricLook.from_json({**METRIC, **changes})).plain
    assert len(drawn) == 30
    assert drawn.count("┃") == 1
    assert picture in drawn


def test_a_deadline_that_passes_says_that_it_goes_on() -> None:
    server = serving(rollout("paused"))
    client = Client(API, "t", transport=server.transport())
    with pytest.raises(WaitTimeoutError, match=r"still paused .* it goes on"):
        client.wait_rollout(ID, timeout=0)


def test_a_watch_is_waited_for_where_it_is_asked_for() -> None:
    over = rollout("promoted", active=False)
    looks = [rollout("promoted"), over]
    seen: list[Rollout] = []
    client = Client(API, "t", transport=serving(*looks).transport())
    ended = client.wait_rollout(ID, watched=True, on_progress=seen.append)
    assert [one.active for one in seen] == [True, False]
    assert ended.promoted
    assert client.wait_rollout(ID).raw == over


async def test_the_async_client_waits_as_well() -> None:
    server = serving(rollout("analysing"), rollout("rolledBack"))
    async with AsyncClient(API, "t", transport=server.transport()) as client:
        ended = await client.wait_rollout(ID)
    assert (ended.taken_back, ended.target) == (True, "digits:2")


TEMPLATE = {
    "name": "mine",
    "built_in": False,
    "revision": 2,
    "document": {"alpha": 0.05, "metrics": [{"name": "errors", "kind": "error_rate"}]},
    "changed_at": None,
    "changed_by": "ada",
}


def test_templates_are_listed_read_put_and_deleted(tmp_path: Path) -> None:
    path = "/analysis-templates/mine/"
    server = FakeServer(
        {
            "GET /analysis-templates/": answer({"results": [TEMPLATE], "next": None}),
            f"GET {path}": answer(TEMPLATE, ETag='"a"'),
            f"PUT {path}": answer({**TEMPLATE, "revision": 3}, ETag='"b"'),
            f"DELETE {path}": answer({}, 204),
        }
    )
    session = server.session(tmp_path)
    assert run(["analysis", "templates"], session) == 0
    assert "errors (error_rate)" in printed(session.out)
    file = tmp_path / "mine.toml"
    file.write_text('alpha = 0.01\n[[metrics]]\nname = "errors"\nkind = "error_rate"\n')
    assert run(["analysis", "template", "put", "mine", str(file)], session) == 0
    put = server.sent("PUT", path)
    assert json.loads(put.content)["alpha"] == 0.01
    assert put.headers["If-Match"] == '"a"'
    assert "mine is at revision 3" in printed(session.err)
    assert run(["analysis", "template", "delete", "mine"], session) == 0
    again = server.session(tmp_path)
    assert run(["analysis", "template", "get", "mine"], again) == 0
    assert json.loads(again.out.file.getvalue()) == TEMPLATE["document"]  # type: ignore[attr-defined]


def test_what_comes_with_nereid_is_put_aside_and_not_changed(tmp_path: Path) -> None:
    path = "/analysis-templates/default/"
    own = {**TEMPLATE, "name": "default", "revision": 1}
    server = FakeServer(
        {
            f"GET {path}": answer({**own, "built_in": True, "revision": None}, ETag='"a"'),
            f"PUT {path}": answer(own, 201),
        }
    )
    file = tmp_path / "default.json"
    file.write_text(json.dumps(TEMPLATE["document"]))
    assert run(["analysis", "template", "put", "default", str(file)], server.session(tmp_path)) == 0
    assert "If-Match" not in server.sent("PUT", path).headers


def test_what_a_run_that_was_stopped_had_not_decided_runs_no_more(tmp_path: Path) -> None:
    stopped = rollout("aborted")
    stopped["runs"][0]["run"]["phase"] = "Stopped"
    session = serving(stopped).session(tmp_path)
    assert run(["rollout", "status", "digits"], session) == 0
    shown = printed(session.out)
    assert "not decided" in shown
    assert "Running" not in shown
