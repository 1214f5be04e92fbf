"""Ensembles come in as pipelines, inner ones first, and go out with their members."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nereid.cli import run
from tests.support.control_plane_answers import FakeServer, answer, printed, problem
from tests.unit.nereid.test_export_command import answers, policy, told

MISSING = problem(404, "Not Found")
INNER = {
    "inputs": ["raw"],
    "outputs": ["done"],
    "steps": [
        {
            "name": "s1-digits",
            "model": "digits",
            "version": 2,
            "inputs": {"x": "raw"},
            "outputs": {"y": "done"},
        }
    ],
}
OUTER = {
    "inputs": ["raw"],
    "outputs": ["done"],
    "steps": [
        {
            "name": "s1-inner",
            "pipeline": "inner",
            "inputs": {"raw": "raw"},
            "outputs": {"done": "done"},
        }
    ],
}


def linted(**documents: Any) -> dict[str, Any]:
    empty = {"main_file": "", "signature": None, "profile": None, "model_config": {}}
    return {
        "results": [
            {
                "name": name,
                "findings": [],
                "becomes": {
                    **empty,
                    "name": name,
                    "framework": "ensemble",
                    "pipeline": document,
                    "changed": [],
                    "refused": [],
                },
            }
            for name, document in documents.items()
        ]
    }


def shown(name: str, document: dict[str, Any], revision: int = 1) -> dict[str, Any]:
    tensor = {"datatype": "FP32", "shape": [-1, 4]}
    steps = [
        {key: step[key] for key in ("name", "model", "version", "inputs", "outputs")}
        for step in INNER["steps"]
    ]
    return {
        "name": name,
        "revision": revision,
        "document": document,
        "inputs": [{"name": "raw", **tensor}],
        "outputs": [{"name": "done", **tensor}],
        "max_batch_size": 8,
        "steps": steps,
    }


def repository(root: Path, *names: str) -> str:
    for name in names:
        (root / name / "1").mkdir(parents=True)
        (root / name / "config.pbtxt").write_text('platform: "ensemble"')
    return str(root)


def test_inner_ones_are_made_first_and_named_by_their_revision(tmp_path: Path) -> None:
    # By name the outer one comes first.
    path = repository(tmp_path / "r", "a", "inner")
    server = FakeServer(
        {
            "POST /lint/": answer(linted(a=OUTER, inner=INNER)),
            "GET /pipelines/a/": MISSING,
            "GET /pipelines/inner/": MISSING,
            "PUT /pipelines/inner/": answer(shown("inner", INNER, 4), 201),
            "PUT /pipelines/a/": answer(shown("a", OUTER), 201),
        }
    )
    session = server.session(tmp_path)
    assert run(["import", path, "--json"], session) == 0
    assert [one["revision"] for one in json.loads(printed(session.out))["pipelines"]] == [4, 1]
    assert server.body("PUT", "/pipelines/inner/") == INNER
    [step] = server.body("PUT", "/pipelines/a/")["steps"]
    assert (step["pipeline"], step["revision"]) == ("inner", 4)


def test_one_that_is_here_stays_and_another_of_its_name_is_refused(tmp_path: Path) -> None:
    path = repository(tmp_path / "r", "inner")
    held = shown("inner", {"kind": "ensemble", **INNER})
    lint = {"POST /lint/": answer(linted(inner=INNER))}
    server = FakeServer({**lint, "GET /pipelines/inner/": answer(held)})
    session = server.session(tmp_path)
    assert run(["import", path], session) == 0
    assert "inner:1 was here" in printed(session.err)
    server = FakeServer({**lint, "GET /pipelines/inner/": answer(shown("inner", OUTER))})
    session = server.session(tmp_path)
    assert run(["import", path], session) == 1
    assert "another content" in printed(session.err)


def test_what_the_server_refuses_is_told_and_what_needs_it_does_not_come_in(
    tmp_path: Path,
) -> None:
    path = repository(tmp_path / "r", "a", "inner")
    server = FakeServer(
        {
            "POST /lint/": answer(linted(a=OUTER, inner=INNER)),
            "GET /pipelines/a/": MISSING,
            "GET /pipelines/inner/": MISSING,
            "PUT /pipelines/inner/": problem(400, "Invalid input", "no such version"),
        }
    )
    session = server.session(tmp_path)
    assert run(["import", path], session) == 1
    assert "its step inner did not come in" in printed(session.err)
    assert "PUT /pipelines/a/" not in server.calls


@pytest.mark.parametrize("by", ["endpoint", "pipeline"])
def test_a_pipeline_is_an_ensemble_with_its_members_beside_it(tmp_path: Path, by: str) -> None:
    arm = {"name": "one", "pipeline": "inner", "revision": 3, "weight": 100, "primary": True}
    served = answer({"arms": [arm], "mode": "weighted"}, ETag='"1"')
    server = FakeServer(
        {
            "GET /endpoints/shop/policy/": served if by == "endpoint" else MISSING,
            "GET /pipelines/shop/": answer(shown("shop", INNER, 3)),
            "GET /pipelines/shop/revisions/3/": answer(shown("shop", INNER, 3)),
            "GET /pipelines/inner/revisions/3/": answer(shown("inner", INNER, 3)),
            **answers(told(2)),
        }
    )
    session = server.session(tmp_path)
    assert run(["export", "shop", str(tmp_path / "out")], session) == 0
    config = (tmp_path / "out/shop/config.pbtxt").read_text()
    for words in ('platform: "ensemble"', 'model_name: "digits"', "model_version: 2"):
        assert words in config
    assert (tmp_path / "out/shop/1").is_dir()
    assert (tmp_path / "out/digits/2/model.onnx").exists()


def test_a_member_never_answers_in_place_of_what_an_endpoint_names(tmp_path: Path) -> None:
    server = FakeServer(
        {
            "GET /endpoints/digits/policy/": policy((1, 100)),
            "GET /endpoints/inner/policy/": MISSING,
            "GET /pipelines/inner/": answer(shown("inner", INNER)),
            "GET /pipelines/inner/revisions/1/": answer(shown("inner", INNER)),
            **answers(told(1), told(2)),
        }
    )
    session = server.session(tmp_path)
    command = ["export", "digits", "digits:2", "inner", str(tmp_path / "out")]
    assert run(command, session) == 0
    assert 'model_name: "digits-v2"' in (tmp_path / "out/inner/config.pbtxt").read_text()
    assert (tmp_path / "out/digits/2").is_dir()
    config = (tmp_path / "out/digits/config.pbtxt").read_text()
    assert "specific {\n    versions: 1\n  }" in config


def test_a_member_never_takes_the_name_of_the_endpoint_that_it_serves(tmp_path: Path) -> None:
    """What asks the endpoint `digits` would be answered by its bare model."""
    arm = {"name": "one", "pipeline": "inner", "revision": 3, "weight": 100, "primary": True}
    server = FakeServer(
        {
            "GET /endpoints/digits/policy/": answer({"arms": [arm], "mode": "weighted"}),
            "GET /pipelines/inner/revisions/3/": answer(shown("inner", INNER, 3)),
            **answers(told(2)),
        }
    )
    session = server.session(tmp_path)
    assert run(["export", "digits", str(tmp_path / "out")], session) == 0
    config = (tmp_path / "out/digits/config.pbtxt").read_text()
    assert 'platform: "ensemble"' in config
    assert 'model_name: "digits-v2"' in config


def test_an_arm_does_not_take_the_place_of_the_pipeline_of_its_name(tmp_path: Path) -> None:
    first = {"name": "one", "model": "digits", "version": 1, "weight": 90, "primary": True}
    arm = {"name": "new", "pipeline": "inner", "revision": 3, "weight": 10}
    server = FakeServer(
        {
            "GET /endpoints/shop/policy/": answer({"arms": [first, arm], "mode": "weighted"}),
            "GET /endpoints/shop-new/policy/": MISSING,
            "GET /pipelines/shop-new/": answer(shown("shop-new", INNER, 8)),
            "GET /pipelines/shop-new/revisions/8/": answer(shown("shop-new", INNER, 8)),
            "GET /pipelines/inner/revisions/3/": answer(shown("inner", INNER, 3)),
            **answers(told(1), told(2)),
        }
    )
    session = server.session(tmp_path)
    assert run(["export", "shop", "shop-new", str(tmp_path / "out"), "--json"], session) == 0
    made = {one["name"]: one["pipeline"] for one in json.loads(printed(session.out))["ensembles"]}
    assert made == {"shop-new": "shop-new:8", "shop-new-2": "inner:3"}


def test_versions_that_an_ensemble_names_are_loaded(tmp_path: Path) -> None:
    server = FakeServer(
        {
            "GET /endpoints/inner/policy/": MISSING,
            "GET /pipelines/inner/": answer(shown("inner", INNER)),
            "GET /pipelines/inner/revisions/1/": answer(shown("inner", INNER)),
            **answers(*(told(n, config=LATEST) for n in (2, 3))),
        }
    )
    session = server.session(tmp_path)
    command = ["export", "digits:2", "digits:3", "inner", str(tmp_path / "out")]
    assert run(command, session) == 0
    config = (tmp_path / "out/digits/config.pbtxt").read_text()
    assert "specific {\n    versions: 2\n    versions: 3\n  }" in config


LATEST = {"backend": "onnxruntime", "max_batch_size": 8, "version_policy": {"latest": {}}}


def test_what_nereid_alone_runs_is_left_out_and_told(tmp_path: Path) -> None:
    cascade = {**INNER, "kind": "cascade"}
    server = FakeServer(
        {
            "GET /endpoints/inner/policy/": MISSING,
            "GET /pipelines/inner/": answer(shown("inner", cascade)),
            "GET /pipelines/inner/revisions/1/": answer(shown("inner", cascade)),
            **answers(told(2)),
        }
    )
    session = server.session(tmp_path)
    assert run(["export", "digits:2", "inner", str(tmp_path / "out")], session) == 0
    assert "cascade, which Nereid alone runs" in printed(session.out)
    assert not (tmp_path / "out/inner").exists()
