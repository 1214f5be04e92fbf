"""The command's words and exit codes: 0 done, 1 the server said no, 2 wrong usage."""

import io
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from nereid import __version__
from nereid.cli import Session, run
from nereid.cli.app import ORDER
from tests.support.control_plane_answers import (
    FakeServer,
    accepted,
    answer,
    endpoint,
    model,
    printed,
    problem,
    version,
)

NO_POLICY = answer({"arms": []}, ETag='"0"')


def deployable(*looks: dict[str, Any]) -> FakeServer:
    return FakeServer(
        {
            "GET /endpoints/digits/policy/": NO_POLICY,
            "PUT /endpoints/digits/policy/": answer(accepted(1), 202),
            "GET /endpoints/digits/": [answer(look) for look in looks],
        }
    )


def test_the_version_is_told_without_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"nereid {__version__}\n"


@pytest.mark.parametrize("name", ORDER)
def test_every_command_has_help_with_examples(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert "Examples:" in out
    assert f"nereid {name}" in out.split("Examples:")[1]
    assert "--json" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["deploy", "digits"],
        ["deploy", "digits", "digits:x"],
        ["deploy", "digits", "digits:1=50", "digits:1=50"],
        ["deploy", "digits", "digits:1=100", "--primary", "digits:2"],
        ["deploy", "digits", "digits:1=100", "--policy", "policy.json"],
        ["deploy", "digits", "--policy", "/no/such/file"],
        ["plan", "digits", "--primary", "digits:1", "--policy", "-"],
        ["plan", "digits", "--policy", __file__],
        ["kill"],
        ["push", "digits", "/no/such/file"],
        ["push", "digits", __file__, "--metric", "accuracy"],
        ["infer", "digits"],
        ["infer", "digits", "--sample", "digits", "--protocol", "smoke"],
        ["infer", "digits", "--sample", "digits", "--count", "0"],
        ["infer", "digits", "--sample", "digits", "--header", "x-user-id"],
        ["infer", "digits", "--sample", "digits", "--stream"],
        ["infer", "digits", "--input", __file__, "--stream", "--protocol", "http"],
        ["infer", "digits", "--input", __file__, "--sequence", "1", "--count", "2"],
        ["infer", "digits", "--input", __file__, "--keep"],
        ["models", "--wrong"],
    ],
)
def test_wrong_usage_is_2_and_asks_no_server(arguments: list[str], tmp_path: Path) -> None:
    server = FakeServer({})
    assert run(arguments, server.session(tmp_path)) == 2
    assert server.calls == []


@pytest.mark.parametrize("arguments", [["--json", "models"], ["models", "--json"]])
def test_json_works_before_and_after(arguments: list[str], tmp_path: Path) -> None:
    server = FakeServer({"GET /models/": answer({"results": [model()], "next": None})})
    session = server.session(tmp_path)
    assert run(arguments, session) == 0
    assert json.loads(printed(session.out)) == {"results": [model()]}
    assert printed(session.err) == ""


def test_no_is_1_with_every_field_on_standard_error(tmp_path: Path) -> None:
    field = {"pointer": "/arms", "code": "weights", "detail": "the weights add up to 110"}
    server = deployable(endpoint())
    server.answers["PUT /endpoints/digits/policy/"] = problem(400, "Bad Request", "", field)
    session = server.session(tmp_path)
    assert run(["deploy", "digits", "digits:1=90", "digits:2=20"], session) == 1
    assert printed(session.out) == ""
    assert "/arms  the weights add up to 110" in printed(session.err)


def test_no_as_json_is_the_problem_document(tmp_path: Path) -> None:
    session = FakeServer({}).session(tmp_path)
    assert run(["models", "digits", "--json"], session) == 1
    assert printed(session.out) == ""
    assert json.loads(printed(session.err))["status"] == 404


def test_unreachable_is_1_and_says_what_to_start(tmp_path: Path) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused", request=request)

    session = FakeServer({"GET /models/": refuse}).session(tmp_path)
    assert run(["models"], session) == 1
    assert "make serve" in printed(session.err)


def test_deploy_waits_and_tells_each_step_once(tmp_path: Path) -> None:
    busy = endpoint("Progressing", 1, observed_generation=0, reason="preparing on local")
    server = deployable(busy, busy, endpoint("Healthy", 1))
    session = server.session(tmp_path)
    assert run(["deploy", "digits", "digits:1=100"], session) == 0
    told = printed(session.err)
    assert told.count("digits: Progressing: preparing on local") == 1
    assert "digits is Healthy" in told
    assert "digits.v1.9f2c1a" in printed(session.out)
    assert server.sent("PUT", "/policy/").headers["if-match"] == '"0"'
    assert server.body("PUT", "/policy/")["arms"][0]["weight"] == 100


def test_deploy_that_ends_degraded_is_1_with_the_reason(tmp_path: Path) -> None:
    broken = endpoint("Degraded", 1, reason="local: load failed:\n bad [file]\n")
    session = deployable(broken).session(tmp_path)
    assert run(["deploy", "digits", "digits:1=100"], session) == 1
    assert "digits is Degraded: local: load failed: bad [file]" in printed(session.err)


def test_deploy_no_wait_returns_what_was_accepted(tmp_path: Path) -> None:
    server = deployable()
    session = server.session(tmp_path)
    assert run(["deploy", "digits", "digits:1=100", "--no-wait", "--json"], session) == 0
    assert json.loads(printed(session.out))["generation"] == 1
    assert "GET /endpoints/digits/" not in server.calls


def test_deploy_to_an_unknown_endpoint_needs_create(tmp_path: Path) -> None:
    server = FakeServer({})
    session = server.session(tmp_path)
    assert run(["deploy", "digits", "digits:1=100"], session) == 1
    assert "--create" in printed(session.err)
    assert server.calls == ["GET /endpoints/digits/policy/"]


def test_deploy_create_makes_the_endpoint_first(tmp_path: Path) -> None:
    server = deployable()
    server.answers["GET /endpoints/digits/policy/"] = [problem(404, "Not Found"), NO_POLICY]
    server.answers["GET /endpoints/digits/"] = [
        problem(404, "Not Found"),
        answer(endpoint("Healthy", 1)),
    ]
    server.answers["POST /endpoints/"] = answer(endpoint("Unconfigured", 0), 201)
    session = server.session(tmp_path)
    assert run(["deploy", "digits", "digits:1=100", "--create"], session) == 0
    assert server.calls.index("POST /endpoints/") < server.calls.index(
        "PUT /endpoints/digits/policy/"
    )


def test_a_deploy_that_fails_keeps_no_endpoint_that_it_made(tmp_path: Path) -> None:
    server = deployable()
    server.answers["GET /endpoints/digits/policy/"] = [problem(404, "Not Found"), NO_POLICY]
    server.answers["GET /endpoints/digits/"] = problem(404, "Not Found")
    server.answers["POST /endpoints/"] = answer(endpoint("Unconfigured", 0), 201)
    server.answers["PUT /endpoints/digits/policy/"] = problem(400, "Bad Request")
    server.answers["DELETE /endpoints/digits/"] = answer({}, 202)
    session = server.session(tmp_path)
    assert run(["deploy", "digits", "digits:1=90", "--create"], session) == 1
    assert server.calls[-1] == "DELETE /endpoints/digits/"
    assert "was not kept" in printed(session.err)


def test_deploy_loses_to_a_change_at_the_same_moment(tmp_path: Path) -> None:
    server = deployable(endpoint())
    server.answers["PUT /endpoints/digits/policy/"] = problem(412, "Precondition Failed")
    session = server.session(tmp_path)
    assert run(["deploy", "digits", "digits:1=100"], session) == 1
    assert "someone changed digits" in printed(session.err)


WHOLE = {"arms": [{"model": "digits", "version": 1, "weight": 100}], "breaker": None}


@pytest.mark.parametrize("by_pipe", [True, False])
def test_a_whole_policy_replaces_the_present_one(
    by_pipe: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(WHOLE), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(WHOLE)))
    server = deployable(endpoint())
    standing = {"arms": [], "sticky": {"key": "header:x-user-id"}}
    server.answers["GET /endpoints/digits/policy/"] = answer(standing, ETag='"4"')
    where = "-" if by_pipe else str(file)
    assert run(["deploy", "digits", "--policy", where], server.session(tmp_path)) == 0
    assert server.body("PUT", "/policy/") == WHOLE
    assert server.sent("PUT", "/policy/").headers["if-match"] == '"4"'


def test_a_plan_takes_a_whole_policy_too(tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(WHOLE), encoding="utf-8")
    server = FakeServer(
        {
            "GET /endpoints/digits/policy/": NO_POLICY,
            "POST /endpoints/digits/plan/": answer({"changes": []}),
        }
    )
    assert run(["plan", "digits", "--policy", str(file)], server.session(tmp_path)) == 0
    assert server.body("POST", "/plan/") == WHOLE


@pytest.mark.parametrize("text", ["[1]", "{", "null"])
def test_what_is_no_policy_is_wrong_usage_and_says_why(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.json"
    file.write_text(text, encoding="utf-8")
    server = FakeServer({})
    assert run(["deploy", "digits", "--policy", str(file)], server.session(tmp_path)) == 2
    # The box around it breaks a long path wherever its line ends.
    assert "policy.json" in re.sub(r"[\s│]", "", capsys.readouterr().err)
    assert server.calls == []


def test_leaving_out_an_arm_that_a_rule_needs_comes_with_the_remedy(tmp_path: Path) -> None:
    field = {"pointer": "/rules/0/arm", "code": "unknown_arm", "detail": "'b' is no arm"}
    server = deployable(endpoint())
    detail = "/rules/0/arm: 'b' is no arm (and 1 more)"
    refused = problem(400, "Bad Request", detail, field, {**field, "pointer": "/shadow/0/arm"})
    server.answers["PUT /endpoints/digits/policy/"] = refused
    session = server.session(tmp_path)
    assert run(["deploy", "digits", "digits:1=100"], session) == 1
    told = " ".join(printed(session.err).split())
    assert "/rules/0/arm 'b' is no arm" in told
    assert "and 1 more" not in told, "they are all there"
    assert "keep it with a share of 0" in told
    server.answers["POST /endpoints/digits/plan/"] = refused
    session = server.session(tmp_path)
    assert run(["plan", "digits", "digits:1=100"], session) == 1
    assert "--policy FILE" in printed(session.err)


def killable(*looks: dict[str, Any]) -> FakeServer:
    return FakeServer(
        {
            "POST /endpoints/digits/kill/": answer(accepted(2), 202),
            "GET /endpoints/digits/": [answer(look) for look in looks],
        }
    )


def test_kill_waits_until_it_serves_and_names_the_way_back(tmp_path: Path) -> None:
    server = killable(endpoint("Progressing", 2, observed_generation=1), endpoint("Healthy", 2))
    session = server.session(tmp_path)
    assert run(["kill", "digits", "--reason", "p99 doubled"], session) == 0
    assert server.body("POST", "/kill/") == {"reason": "p99 doubled"}
    assert "digits is Healthy" in printed(session.err)
    assert "nereid rollback digits" in printed(session.err)


def test_kill_that_does_not_arrive_is_1(tmp_path: Path) -> None:
    server = killable(endpoint("Degraded", 2, reason="local is away"))
    session = server.session(tmp_path)
    assert run(["kill", "digits", "--yes"], session) == 1
    assert "local is away" in printed(session.err)


def test_kill_as_json_asks_nobody_and_prints_the_endpoint(tmp_path: Path) -> None:
    server = killable(endpoint("Healthy", 2))
    session = on_a_terminal(server, tmp_path)
    assert run(["kill", "digits", "--json"], session) == 0
    assert json.loads(printed(session.out))["generation"] == 2


def test_kill_of_an_endpoint_without_a_policy_is_the_servers_no(tmp_path: Path) -> None:
    server = FakeServer({"POST /endpoints/digits/kill/": problem(409, "Conflict", "no policy")})
    session = server.session(tmp_path)
    assert run(["kill", "digits"], session) == 1
    assert "no policy" in printed(session.err)


def on_a_terminal(server: FakeServer, folder: Path) -> Session:
    session = server.session(folder)
    session.err = Console(file=io.StringIO(), width=120, force_terminal=True, no_color=True)
    return session


@pytest.mark.parametrize(("said", "code", "killed"), [("y", 0, True), ("n", 1, False)])
def test_kill_asks_a_person(
    said: str, code: int, killed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = killable(endpoint("Healthy", 2))
    session = on_a_terminal(server, tmp_path)
    monkeypatch.setattr("sys.stdin", Terminal(f"{said}\n"))
    assert run(["kill", "digits"], session) == code
    assert ("POST /endpoints/digits/kill/" in server.calls) is killed
    assert "gets every request of digits" in printed(session.err)


def test_kill_with_yes_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = killable(endpoint("Healthy", 2))
    monkeypatch.setattr("sys.stdin", Terminal(""))
    assert run(["kill", "digits", "--yes"], on_a_terminal(server, tmp_path)) == 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_an_endpoint_is_shown_with_its_policy_in_words(tmp_path: Path) -> None:
    policy = {
        "arms": [{"name": "b", "model": "digits", "version": 2, "timeout": "500ms"}],
        "sticky": {"key": "header:x-user-id"},
        "rules": [{"when": {"parameter:tier": {"in": ["gold"]}}, "arm": "b"}],
        "breaker": None,
    }
    drift = {"server": "lab", "subject": "digits.v2", "detail": "unloaded by hand"}
    drift |= {"seen_at": "2026-11-26T12:00:00Z", "put_right_at": None, "problem": ""}
    server = FakeServer(
        {
            "GET /endpoints/digits/": answer(endpoint(policy=policy, drift=[drift])),
            "GET /endpoints/digits/revisions/": answer({"results": [], "next": None}),
        }
    )
    session = server.session(tmp_path)
    assert run(["endpoints", "digits"], session) == 0
    out = printed(session.out)
    assert "! digits.v2 on lab: unloaded by hand" in out
    for words in ("by header x-user-id", "parameter tier is one of gold → b", "timeout 500ms"):
        assert words in out
    assert re.search(r"breaker +off", out)


def test_push_tells_ready_with_what_is_next(tmp_path: Path) -> None:
    server = FakeServer(
        {
            "GET /models/digits/": answer(model()),
            "POST /models/digits/versions/": answer(version(2, "validating"), 202),
            "GET /models/digits/versions/2/": answer(version(2)),
        }
    )
    session = server.session(tmp_path)
    arguments = ["push", "digits", str(onnx_file(tmp_path)), "-m", "accuracy=0.9"]
    assert run(arguments, session) == 0
    told = printed(session.err)
    assert "digits:2 is ready" in told
    assert "nereid deploy digits digits:2=100" in told
    assert "image FP32[?, 1, 8, 8]" in printed(session.out)


def test_push_that_is_rejected_is_1_with_the_reason(tmp_path: Path) -> None:
    server = FakeServer(
        {
            "GET /models/digits/": answer(model()),
            "POST /models/digits/versions/": answer(version(2, "validating"), 202),
            "GET /models/digits/versions/2/": answer(
                version(2, "rejected", state_reason="cut short")
            ),
        }
    )
    session = server.session(tmp_path)
    assert run(["push", "digits", str(onnx_file(tmp_path))], session) == 1
    assert "digits:2 was rejected: cut short" in printed(session.err)


def test_push_to_an_unknown_model_uploads_nothing(tmp_path: Path) -> None:
    server = FakeServer({})
    session = server.session(tmp_path)
    assert run(["push", "digits", str(onnx_file(tmp_path))], session) == 1
    assert "--create" in printed(session.err)
    assert server.calls == ["GET /models/digits/"]


@pytest.mark.parametrize(("severity", "code"), [("warning", 0), ("error", 1)])
def test_plan_prints_the_diff_and_fails_on_an_error(
    severity: str, code: int, tmp_path: Path
) -> None:
    server = FakeServer(
        {
            "GET /endpoints/digits/policy/": NO_POLICY,
            "POST /endpoints/digits/plan/": answer(
                {
                    "changes": [{"action": "add", "arm": "digits-v1", "detail": "gets 100 %"}],
                    "diff": "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n",
                    "findings": [
                        {"severity": severity, "code": "N1", "detail": "mind", "pointer": "/arms"}
                    ],
                    "loads": ["digits.v1.9f2c1a"],
                    "unloads": [],
                }
            ),
        }
    )
    session = server.session(tmp_path)
    assert run(["plan", "digits", "digits:1=100"], session) == code
    out = printed(session.out)
    for part in ("-old", "+new", "gets 100 %", "N1", "/arms", "load", "digits.v1.9f2c1a"):
        assert part in out


def test_login_tries_the_token_before_it_keeps_it(tmp_path: Path) -> None:
    server = FakeServer({"GET /models/": problem(401, "Unauthorized")})
    session = server.session(tmp_path)
    assert run(["login", "--api", "http://host:1", "--token", "nrd_bad"], session) == 1
    assert not (tmp_path / "nereid").exists()
    assert "nereid login" in printed(session.err)

    server.answers["GET /models/"] = answer({"results": [], "next": None})
    assert run(["login", "--api", "http://host:1", "--token", "nrd_good"], session) == 0
    assert "nrd_good" in (tmp_path / "nereid" / "credentials.json").read_text()
    assert "nrd_good" not in printed(session.err) + printed(session.out)
    assert run(["logout"], session) == 0
    assert not (tmp_path / "nereid" / "credentials.json").exists()


def test_servers_shows_what_each_holds(tmp_path: Path) -> None:
    held = [
        {"name": "digits", "version": "1000000000", "state": "READY"},
        {"name": "digits.v1.9f2c1a", "version": "1", "state": "READY"},
    ]
    server = {
        "name": "local",
        "status": "Ready",
        "http": "h:1",
        "grpc": "h:2",
        "metrics": "http://h:3/metrics",
        "accelerator": "cpu",
        "triton_version": "2.51.0",
        "last_seen_at": None,
        "models": held,
    }
    fake = FakeServer({"GET /servers/": answer({"results": [server], "next": None})})
    session = fake.session(tmp_path)
    assert run(["servers"], session) == 0
    out = printed(session.out)
    for part in ("local", "Ready", "Triton 2.51.0", "policy", "digits.v1.9f2c1a", "h:2"):
        assert part in out


def onnx_file(folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(b"not read by this side")
    return path
