"""`nereid lint`: what is sent, what is printed, and when it fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nereid.cli import run
from tests.support.control_plane_answers import FakeServer, answer, printed, problem, version

FINDING = {
    "severity": "warning",
    "code": "queue-timeout-stall",
    "detail": "it stalls over hours",
    "pointer": "/dynamic_batching",
    "fix": "bound the queue",
}
ERROR = {**FINDING, "severity": "error", "code": "missing-labels"}
POLICY = {"arms": [{"model": "digits", "version": 1, "weight": 100, "primary": True}]}
NOTHING: dict[str, Any] = {"findings": []}


def linted(*findings: dict[str, str], name: str = "m") -> dict[str, Any]:
    return {"results": [{"name": name, "findings": list(findings), "becomes": None}]}


def repository(root: Path) -> Path:
    (root / "m/1").mkdir(parents=True)
    (root / "m/1/model.onnx").write_bytes(b"weights")
    (root / "m/config.pbtxt").write_text('backend: "onnxruntime"')
    return root


def test_names_and_configurations_of_a_repository_are_sent_and_no_weights(tmp_path: Path) -> None:
    server = FakeServer({"POST /lint/": answer(linted(FINDING))})
    session = server.session(tmp_path)
    path = str(repository(tmp_path / "r"))
    assert run(["lint", path, "--p99", "20ms", "--cores", "4"], session) == 0
    assert server.body("POST", "/lint/") == {
        "models": [
            {
                "name": "m",
                "config": 'backend: "onnxruntime"',
                "versions": {"1": ["model.onnx"]},
                "files": [],
            }
        ],
        "rename": {},
        "p99_ms": 20.0,
        "cores": 4,
        "gpus": None,
    }
    assert "queue-timeout-stall" in printed(session.out)
    assert "Bound the queue" in printed(session.out)
    assert "1 warning" in printed(session.err)


def test_an_error_fails_whatever_is_shown(tmp_path: Path) -> None:
    server = FakeServer({"POST /lint/": answer(linted(FINDING, ERROR))})
    path = str(repository(tmp_path / "r"))
    session = server.session(tmp_path)
    assert run(["lint", path, "--severity", "error"], session) == 1
    assert "missing-labels" in printed(session.out)
    assert "queue-timeout-stall" not in printed(session.out)
    session = server.session(tmp_path)
    assert run(["lint", path, "--severity", "error", "--json"], session) == 1
    assert json.loads(printed(session.out)) == {"results": [{"name": "m", "findings": [ERROR]}]}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("p.yaml", "max_batch_size: 8\n"),
        ("p.toml", "max_batch_size = 8\n"),
        ("p.json", '{"max_batch_size": 8}'),
    ],
)
def test_a_profile_file_is_linted_as_one(tmp_path: Path, file: str, text: str) -> None:
    server = FakeServer({"POST /lint/": answer(linted(name=""))})
    (tmp_path / file).write_text(text)
    session = server.session(tmp_path)
    assert run(["lint", str(tmp_path / file)], session) == 0
    assert server.body("POST", "/lint/")["profile"] == {"max_batch_size": 8}
    assert "nothing found" in printed(session.err)


@pytest.mark.parametrize("text", ["- 1", "a: 2026-01-01", "{", "&a [*a]"])
def test_what_is_no_profile_is_not_sent(tmp_path: Path, text: str) -> None:
    server = FakeServer({})
    (tmp_path / "p.yaml").write_text(text)
    assert run(["lint", str(tmp_path / "p.yaml")], server.session(tmp_path)) == 1
    assert not server.calls


def test_a_version_an_endpoint_and_a_model(tmp_path: Path) -> None:
    findings = "GET /models/digits/versions/1/findings/"
    missing = problem(404, "Not Found")
    server = FakeServer({findings: answer({"findings": [FINDING]})})
    session = server.session(tmp_path)
    assert run(["lint", "digits:1"], session) == 0
    assert "digits:1" in printed(session.out)

    same = {**FINDING, "code": "no_change", "detail": "this is the one that serves"}
    plan = {"changes": [], "diff": "", "findings": [same, ERROR], "loads": [], "unloads": []}
    server = FakeServer(
        {
            "GET /endpoints/digits/policy/": answer(POLICY, ETag='"1"'),
            "POST /endpoints/digits/plan/": answer(plan),
        }
    )
    session = server.session(tmp_path)
    assert run(["lint", "digits"], session) == 1
    assert "missing-labels" in printed(session.out)
    assert "no_change" not in printed(session.out)

    page = {"results": [version()], "next": None}
    server = FakeServer(
        {
            "GET /endpoints/digits/policy/": missing,
            "GET /models/digits/versions/": answer(page),
            findings: answer(NOTHING),
        }
    )
    assert run(["lint", "digits"], server.session(tmp_path)) == 0
    server = FakeServer(
        {"GET /endpoints/digits/policy/": missing, "GET /models/digits/versions/": missing}
    )
    session = server.session(tmp_path)
    assert run(["lint", "digits"], session) == 1
    assert "no file, endpoint or model" in printed(session.err)


@pytest.mark.parametrize("options", [["--p99", "20"], ["--p99", "fast"]])
def test_durations_have_a_unit(tmp_path: Path, options: list[str]) -> None:
    session = FakeServer({}).session(tmp_path)
    assert run(["lint", str(repository(tmp_path / "r")), *options], session) == 2


def test_what_is_registered_is_judged_by_what_is_known_of_it(tmp_path: Path) -> None:
    assert run(["lint", "digits:1", "--cores", "4"], FakeServer({}).session(tmp_path)) == 2
