"""Ensembles come in as pipelines, inner ones first, and go out with their members."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from control_plane.adapters.triton.pbtxt import config_values
from nereid.calls import exporting_pipelines
from nereid.cli import run
from nereid.errors import NereidError
from tests.support.control_plane_answers import FakeServer, answer, printed, problem, version
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
    own = [
        {
            "name": step["name"],
            "model": step.get("model") or step["pipeline"],
            "version": step.get("version") or step.get("revision", 1),
            "pipeline": "pipeline" in step,
            "inputs": step.get("inputs", {}),
            "outputs": step.get("outputs", {}),
        }
        for step in document["steps"]
    ]
    return {
        "name": name,
        "revision": revision,
        "document": document,
        "inputs": [{"name": "raw", **tensor}],
        "outputs": [{"name": "done", **tensor}],
        "max_batch_size": 8,
        "steps": own,
        "own_steps": own,
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


STEPS = {"model": {"model": "m", "version": 3}, "pipeline": {"pipeline": "m", "revision": 3}}


@pytest.mark.parametrize("kind", ["model", "pipeline"])
@pytest.mark.parametrize("said", ["gone=m:3", "gone=m"])
def test_a_member_that_is_here_is_named(tmp_path: Path, kind: str, said: str) -> None:
    path = repository(tmp_path / "r", "a")
    document = {**OUTER, "steps": [{"name": "s1-m", **STEPS[kind]}]}
    ready = {"results": [version(n, "ready", model="m") for n in (3, 2)], "next": None}
    there = {"GET /models/m/versions/": answer(ready)}
    if kind == "pipeline":
        held = answer(shown("m", INNER, 3))
        there = {"GET /pipelines/m/": held, "GET /pipelines/m/revisions/3/": held}
    server = FakeServer(
        {
            **there,
            "POST /lint/": answer(linted(a=document)),
            "GET /pipelines/a/": MISSING,
            "PUT /pipelines/a/": answer(shown("a", document), 201),
        }
    )
    assert run(["import", path, "--member", said], server.session(tmp_path)) == 0
    assert server.body("POST", "/lint/")["members"] == {"gone": STEPS[kind]}
    assert server.body("PUT", "/pipelines/a/") == document
    held_otherwise = {**document, "steps": [{"name": "s1-m", **STEPS[kind], "revision": 2}]}
    if kind == "pipeline":
        server.answers["GET /pipelines/a/"] = answer(shown("a", held_otherwise))
        session = server.session(tmp_path)
        assert run(["import", path, "--member", said], session) == 1
        assert "another content" in " ".join(printed(session.err).split())


def test_a_member_that_is_not_here_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    path = repository(tmp_path / "r", "a")
    server = FakeServer({"GET /models/m/versions/": answer({"results": [], "next": None})})
    session = server.session(tmp_path)
    assert run(["import", path, "--member", "gone=m:3"], session) == 1
    assert "no pipeline m:3" in " ".join(printed(session.err).split())
    assert "POST /lint/" not in server.calls


def test_labels_come_out_of_their_file_and_go_into_one(tmp_path: Path) -> None:
    path = repository(tmp_path / "r", "inner")
    (tmp_path / "r/inner/own.txt").write_text("cat\ndog\n")
    said = {"output": [{"name": "done", "label_filename": "own.txt"}]}
    whole = {**INNER, "config": {**said, "label_files": {"own.txt": ["cat", "dog"]}}}
    server = FakeServer(
        {
            "POST /lint/": answer(linted(inner={**INNER, "config": said})),
            "GET /pipelines/inner/": MISSING,
            "PUT /pipelines/inner/": answer(shown("inner", whole), 201),
            "GET /endpoints/inner/policy/": MISSING,
            "GET /pipelines/inner/revisions/1/": answer(shown("inner", whole)),
            **answers(told(2)),
        }
    )
    assert run(["import", path], server.session(tmp_path)) == 0
    assert server.body("PUT", "/pipelines/inner/") == whole
    server.answers["GET /pipelines/inner/"] = answer(shown("inner", whole))
    assert run(["export", "inner", str(tmp_path / "out")], server.session(tmp_path)) == 0
    assert 'label_filename: "own.txt"' in (tmp_path / "out/inner/config.pbtxt").read_text()
    assert (tmp_path / "out/inner/own.txt").read_text() == "cat\ndog\n"


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


CASCADE = {
    "kind": "cascade",
    "confidence": {"output": "y", "score": "probability"},
    "steps": [
        {"name": "cheap", "model": "digits", "version": 1, "at_least": 0.9},
        {"name": "dear", "model": "digits", "version": 2},
    ],
}


def test_pipelines_inside_of_others_are_directories_of_their_own(tmp_path: Path) -> None:
    outer = {**OUTER, "steps": [{**OUTER["steps"][0], "revision": 4}]}
    server = FakeServer(
        {
            "GET /endpoints/a/policy/": MISSING,
            "GET /pipelines/a/": answer(shown("a", outer)),
            "GET /pipelines/a/revisions/1/": answer(shown("a", outer)),
            "GET /pipelines/inner/revisions/4/": answer(shown("inner", INNER, 4)),
            **answers(told(2)),
        }
    )
    session = server.session(tmp_path)
    assert run(["export", "a", str(tmp_path / "out"), "--json"], session) == 0
    made = {one["name"]: one["pipeline"] for one in json.loads(printed(session.out))["ensembles"]}
    assert made == {"a": "a:1", "inner": "inner:4"}
    config = (tmp_path / "out/a/config.pbtxt").read_text()
    assert 'model_name: "inner"\n    model_version: 1' in config
    assert 'model_name: "digits"' in (tmp_path / "out/inner/config.pbtxt").read_text()


def test_a_pattern_is_a_model_of_code_that_asks_its_members(tmp_path: Path) -> None:
    server = FakeServer(
        {
            "GET /endpoints/sure/policy/": MISSING,
            "GET /pipelines/sure/": answer(shown("sure", CASCADE)),
            "GET /pipelines/sure/revisions/1/": answer(shown("sure", CASCADE)),
            **answers(told(1), told(2)),
        }
    )
    session = server.session(tmp_path)
    assert run(["export", "sure", str(tmp_path / "out")], session) == 0
    config = config_values((tmp_path / "out/sure/config.pbtxt").read_text())
    assert config["backend"] == "python"
    assert json.loads(config["parameters"]["cascade"]["string_value"]) == {
        "members": ["digits:1", "digits-v2:2"],
        "output": "y",
        "score": "probability",
        "at_least": [0.9],
    }
    assert (tmp_path / "out/sure/1/model.py").is_file()
    assert "cascade" not in (tmp_path / "out/README.md").read_text().partition("## Backends")[2]


def test_a_pattern_whose_code_is_not_here_is_left_out_with_what_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(names: list[str]) -> Any:
        raise NereidError(f"no checkout with {names}")

    monkeypatch.setattr(exporting_pipelines, "sources", gone)
    outer = {"steps": [{"name": "s", "pipeline": "sure", "revision": 1}]}
    server = FakeServer(
        {
            "GET /endpoints/a/policy/": MISSING,
            "GET /pipelines/a/": answer(shown("a", outer)),
            "GET /pipelines/a/revisions/1/": answer(shown("a", outer)),
            "GET /pipelines/sure/revisions/1/": answer(shown("sure", CASCADE)),
            **answers(told(1), told(2)),
        }
    )
    session = server.session(tmp_path)
    assert run(["export", "a", str(tmp_path / "out")], session) == 0
    words = " ".join(printed(session.out).split())
    for said in ("sure:1 is a cascade", "a:1 is left out"):
        assert said in words
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("README.md", "digits", "digits-v2")
    ]


def test_an_arms_overrides_are_the_endpoints_alone(tmp_path: Path) -> None:
    """What a pipeline runs of the same version is served as everybody has it."""
    arm = {"name": "one", "model": "digits", "version": 2, "weight": 100, "primary": True}
    arm["overrides"] = {"max_batch_size": 64}
    path = "/models/digits/versions/2/export/"
    asked: list[dict[str, str]] = []

    def told_of(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        rows = 64 if request.url.params else 8
        return answer(told(2, config={"backend": "onnxruntime", "max_batch_size": rows}))

    server = FakeServer(
        {
            "GET /endpoints/shop/policy/": answer({"arms": [arm], "mode": "weighted"}),
            "GET /endpoints/inner/policy/": MISSING,
            "GET /pipelines/inner/": answer(shown("inner", INNER)),
            "GET /pipelines/inner/revisions/1/": answer(shown("inner", INNER)),
            **answers(told(2)),
            f"GET {path}": told_of,
        }
    )
    session = server.session(tmp_path)
    assert run(["export", "shop", "inner", str(tmp_path / "out")], session) == 0
    assert asked == [{"endpoint": "shop", "arm": "one"}, {}]
    assert "max_batch_size: 64" in (tmp_path / "out/shop/config.pbtxt").read_text()
    assert "max_batch_size: 8" in (tmp_path / "out/digits/config.pbtxt").read_text()
    assert "overrides" not in printed(session.out)
