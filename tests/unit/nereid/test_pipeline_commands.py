"""`nereid pipelines`: what is read, what is sent, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nereid.cli import completing, run
from nereid.policy import policy_document
from tests.support.control_plane_answers import FakeServer, answer, printed, problem
from tests.unit.nereid.test_completing import complete

DOCUMENT = {"kind": "ensemble", "steps": [{"name": "first", "model": "times", "version": 1}]}
CHECKED: dict[str, Any] = {
    "document": DOCUMENT,
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
    "max_batch_size": 8,
    "decoupled": False,
    "steps": [
        {
            "name": "first",
            "model": "times",
            "version": 1,
            "inputs": {"x": "x"},
            "outputs": {"y": "y"},
        }
    ],
    "tensors": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "findings": [],
}
LINE = CHECKED | {
    "name": "line",
    "revision": 1,
    "error": "",
    "serves_in": [
        {"endpoint": "shop", "revision": 2, "arm": "line-v1", "share": 90.0, "live": True}
    ],
    "changed_at": "2026-01-02T03:04:05Z",
    "changed_by": "ada",
}
PATH = "/pipelines/line/"
YAML = "name: line\nsteps:\n  - {name: first, model: times, version: 1}\n"


def test_list_says_what_runs_and_where(tmp_path: Path) -> None:
    page = {"results": [LINE], "next": None}
    server = FakeServer({"GET /pipelines/": lambda _: answer(page)})
    session = server.session(tmp_path)
    assert run(["pipelines", "list"], session) == 0
    for words in ("line", "first", "shop", "ada"):
        assert words in printed(session.out)


def test_show_prints_what_can_be_applied_again(tmp_path: Path) -> None:
    server = FakeServer({f"GET {PATH}": answer(LINE)})
    session = server.session(tmp_path)
    assert run(["pipelines", "show", "line"], session) == 0
    assert printed(session.out).startswith("name: line\nkind: ensemble\nsteps:\n- name: first\n")
    assert "serves in shop as line-v1, 90 %" in printed(session.err)


def test_apply_adds_what_is_new_and_changes_what_was_read(tmp_path: Path) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(YAML)
    told: list[Any] = []

    def put(request: Any) -> Any:
        told.append((request.headers.get("If-Match"), json.loads(request.content)))
        return answer(LINE | {"revision": len(told)})

    gone = FakeServer({f"GET {PATH}": problem(404, "Not found"), f"PUT {PATH}": put})
    session = gone.session(tmp_path)
    assert run(["pipelines", "apply", str(file)], session) == 0, printed(session.err)
    there = FakeServer({f"GET {PATH}": answer(LINE, ETag='"a"'), f"PUT {PATH}": put})
    session = there.session(tmp_path)
    assert run(["pipelines", "apply", str(file)], session) == 0
    assert "line is at revision 2" in printed(session.out) + printed(session.err)
    steps = {"steps": [{"name": "first", "model": "times", "version": 1}]}
    assert told == [(None, steps), ('"a"', steps)]


def test_check_says_what_callers_would_meet(tmp_path: Path) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(YAML)
    server = FakeServer({f"POST {PATH}check/": answer(CHECKED | {"diff": "+ more"})})
    session = server.session(tmp_path)
    assert run(["pipelines", "check", str(file)], session) == 0
    said = printed(session.out) + printed(session.err)
    assert "line takes x FP32[?, 4] and gives y FP32[?, 4]; batches of up to 8" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps: []", "says no name"),
        ("- steps", "is no pipeline"),
        ("{", "cannot be read as a pipeline"),
        ("name: line\nsteps: [{version: 2026-01-01}]", "cannot be read as a pipeline"),
    ],
)
def test_a_file_that_is_none_is_told_before_anybody_is_asked(
    tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(text)
    session = FakeServer({}).session(tmp_path)
    assert run(["pipelines", "apply", str(file)], session) == 1
    assert words in printed(session.err)


def test_an_arm_that_was_a_pipeline_is_named_as_a_version_is() -> None:
    standing = {"arms": [{"name": "old", "pipeline": "line", "revision": 1, "timeout": "5s"}]}
    document = policy_document(["line:1=90", "line:2=10"], current=standing)
    assert document["arms"][0] == {
        "name": "old",
        "timeout": "5s",
        "model": "line",
        "version": 1,
        "weight": 90,
        "primary": True,
    }
    assert document["arms"][1]["name"] == "line-v2"


def test_names_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = {"results": [LINE], "next": None}
    server = FakeServer({"GET /pipelines/": lambda _: answer(page)})
    monkeypatch.setattr(completing, "Session", lambda: server.session(tmp_path))
    assert complete("nereid pipelines show l").split() == ["line"]
