"""`nereid import`: what is said beforehand, what is sent, and what a second run does."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from nereid.cli import run
from nereid.importing import other_name
from nereid.packing import Packed, packed
from tests.support.control_plane_answers import FakeServer, answer, printed, problem, version

PROFILE = {"max_batch_size": 8}
KEPT = {"description": "Imported with the model M 1", **PROFILE}
CONFIG = {"output": [{"name": "y", "label_filename": "labels.txt"}]}


def becomes(**changes: Any) -> dict[str, Any]:
    return {
        "name": "m-1",
        "framework": "onnx",
        "main_file": "net.onnx",
        "placed_as": "model.onnx",
        "code": False,
        "signature": None,
        "profile": PROFILE,
        "model_config": CONFIG,
        "pipeline": None,
        "changed": [{"pointer": "/default_model_filename", "detail": "called model.onnx here"}],
        "refused": [],
        **changes,
    }


def linted(**changes: Any) -> httpx.Response:
    result = {"name": "M 1", "findings": [], "becomes": becomes(**changes)}
    return answer({"results": [result]})


def repository(root: Path, *numbers: int) -> Path:
    for number in numbers or (1,):
        (root / f"M 1/{number}").mkdir(parents=True)
        (root / f"M 1/{number}/net.onnx").write_bytes(b"weights")
    (root / "M 1/labels.txt").write_text("cat\n")
    return root


def sent(path: Path) -> str:
    """The digest of what is sent of a version of `repository`."""
    folder = path / "M 1"
    return packed(
        {"net.onnx": next(folder.glob("*/net.onnx"))},
        {"labels.txt": folder / "labels.txt"},
        main_file="net.onnx",
        placed_as="model.onnx",
    ).sha256()


def present(path: Path, number: int = 1, state: str = "ready", **changes: Any) -> dict[str, Any]:
    held = {"sha256": sent(path), "size": 1, "filename": "model.tar"}
    said = {"profile": "m-1", "model_config": CONFIG, "parameters": {}, "artifact": held}
    return version(number, state, model="m-1", **{**said, **changes})


def page(*versions: dict[str, Any]) -> httpx.Response:
    return answer({"results": list(versions), "next": None})


MISSING = problem(404, "Not Found")


def test_a_dry_run_says_what_becomes_of_each_and_sends_nothing(tmp_path: Path) -> None:
    path = repository(tmp_path / "r", 1, 4)
    versions = "GET /models/m-1/versions/"
    server = FakeServer({"POST /lint/": linted(), versions: page(present(path))})
    session = server.session(tmp_path)
    assert run(["import", str(path), "--dry-run"], session) == 0
    words = printed(session.out)
    for said in ("M 1", "m-1", "onnx", "1 there, 4", "called model.onnx here", "renamed"):
        assert said in words
    assert server.calls == ["POST /lint/", versions]
    session = server.session(tmp_path)
    assert run(["import", str(path), "--dry-run", "--json"], session) == 0
    [result] = json.loads(printed(session.out))["results"]
    assert [one["state"] for one in result["versions"]] == ["there", "new"]
    assert (result["profile_document"], result["model_config"]) == (KEPT, CONFIG)


def test_the_profile_comes_first_and_then_every_version_with_its_number(tmp_path: Path) -> None:
    path = repository(tmp_path / "r", 4)
    posted: list[bytes] = []

    def push(request: httpx.Request) -> httpx.Response:
        posted.append(request.content)
        return answer(present(path, 4, "validating"), 202)

    document = {"name": "m-1", "revision": 1, "document": KEPT}
    server = FakeServer(
        {
            "POST /lint/": linted(),
            "GET /models/m-1/versions/": MISSING,
            "GET /profiles/m-1/": MISSING,
            "PUT /profiles/m-1/": answer(document, 201),
            "GET /models/m-1/": MISSING,
            "POST /models/": answer({"name": "m-1"}, 201),
            "POST /models/m-1/versions/": push,
            "GET /models/m-1/versions/4/": answer(present(path, 4)),
        }
    )
    session = server.session(tmp_path)
    assert run(["import", str(path), "--json"], session) == 0
    assert json.loads(printed(session.out)) == {
        "results": [
            {
                "directory": "M 1",
                "model": "m-1",
                "profile": "m-1",
                "imported": [4],
                "present": [],
                "failed": [],
                "endpoint": None,
            }
        ],
        "pipelines": [],
    }
    assert server.body("PUT", "/profiles/m-1/") == KEPT
    assert b'"version": 4' in posted[0]
    assert b'"model_config": {"output"' in posted[0]
    start = posted[0].index(b"__model__/labels.txt")
    with tarfile.open(fileobj=io.BytesIO(posted[0][start:]), mode="r|") as archive:
        assert [member.name for member in archive] == ["__model__/labels.txt", "model.onnx"]


def test_a_second_run_does_nothing_new(tmp_path: Path) -> None:
    path = repository(tmp_path / "r")
    server = FakeServer(
        {
            "POST /lint/": linted(),
            "GET /models/m-1/versions/": page(present(path)),
            "GET /profiles/m-1/": answer({"name": "m-1", "revision": 1, "document": KEPT}),
            "GET /models/m-1/": answer({"name": "m-1"}),
        }
    )
    session = server.session(tmp_path)
    assert run(["import", str(path)], session) == 0
    assert "1 was here" in printed(session.err)


def test_a_profile_of_that_name_with_another_content_is_left_alone(tmp_path: Path) -> None:
    path = repository(tmp_path / "r")
    other = other_name("m-1", KEPT)
    server = FakeServer(
        {
            "POST /lint/": linted(),
            "GET /models/m-1/versions/": MISSING,
            "GET /profiles/m-1/": answer({"name": "m-1", "revision": 3, "document": {}}),
            f"GET /profiles/{other}/": MISSING,
            f"PUT /profiles/{other}/": answer({"name": other, "revision": 1}, 201),
            "GET /models/m-1/": answer({"name": "m-1"}),
            "POST /models/m-1/versions/": answer(present(path, profile=other), 202),
            "GET /models/m-1/versions/1/": answer(present(path, profile=other)),
        }
    )
    session = server.session(tmp_path)
    assert run(["import", str(path), "--json"], session) == 0
    assert json.loads(printed(session.out))["results"][0]["profile"] == other


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_config": {}}, "another content"),
        ({"parameters": {"a": "1"}}, "another content"),
        ({"profile": "realtime"}, "another content"),
        ({"artifact": {"sha256": "0" * 64}}, "another content"),
        ({"state": "rejected", "state_reason": "no graph in it"}, "no graph in it"),
    ],
)
def test_a_number_that_is_taken_is_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    path = repository(tmp_path / "r")
    versions = {"GET /models/m-1/versions/": page({**present(path), **changes})}
    server = FakeServer({"POST /lint/": linted(), **versions})
    session = server.session(tmp_path)
    assert run(["import", str(path), "--dry-run"], session) == 1
    assert said in printed(session.out)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"refused": [{"pointer": "/model_metrics", "detail": "no place for it"}]}, "no place"),
        ({"main_file": "other.onnx"}, "version 1 has no other.onnx"),
    ],
)
def test_what_is_refused_is_not_sent(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    server = FakeServer({"POST /lint/": linted(**changes)})
    session = server.session(tmp_path)
    assert run(["import", str(repository(tmp_path / "r"))], session) == 1
    assert said in printed(session.err)
    assert server.calls == ["POST /lint/"]


def test_a_folder_without_a_file_comes_in_where_nobody_knows_the_backend(tmp_path: Path) -> None:
    (tmp_path / "r/M 1/1").mkdir(parents=True)
    custom = {"framework": "custom", "main_file": "", "placed_as": ""}
    server = FakeServer(
        {
            "POST /lint/": linted(**custom, model_config={"backend": "identity"}),
            "GET /models/m-1/versions/": MISSING,
        }
    )
    session = server.session(tmp_path)
    assert run(["import", str(tmp_path / "r"), "--dry-run", "--json"], session) == 0
    [result] = json.loads(printed(session.out))["results"]
    assert [one["sha256"] for one in result["versions"]] == [Packed({}, alone=False).sha256()]
    named = {"backend": "identity", "default_model_filename": "net"}
    server.answers["POST /lint/"] = linted(**{**custom, "main_file": "net"}, model_config=named)
    session = server.session(tmp_path)
    assert run(["import", str(tmp_path / "r"), "--dry-run"], session) == 1
    assert "version 1 has no net" in printed(session.out)


def test_a_link_out_of_the_repository_refuses_its_model(tmp_path: Path) -> None:
    path = repository(tmp_path / "r")
    (tmp_path / "secret").write_text("s")
    (path / "M 1/1/secret").symlink_to(tmp_path / "secret")
    server = FakeServer({"POST /lint/": linted()})
    session = server.session(tmp_path)
    assert run(["import", str(path)], session) == 1
    assert "leads out of the repository" in " ".join(printed(session.err).split())
    assert server.calls == ["POST /lint/"]


def test_one_file_goes_as_it_is_and_an_archive_is_always_the_same(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"weights")
    (tmp_path / "b").write_bytes(b"b")
    net = {"net.onnx": tmp_path / "net.onnx"}
    alone = packed(net, {}, main_file="net.onnx", placed_as="model.onnx")
    with alone.file() as file:
        assert file == tmp_path / "net.onnx"
    two = packed(net, {"b": tmp_path / "b"}, main_file="net.onnx", placed_as="model.onnx")
    with two.file() as file:
        first = file.read_bytes()
    (tmp_path / "b").touch()
    (tmp_path / "b").chmod(0o700)
    with two.file() as file:
        assert file.read_bytes() == first
    assert two.sha256() != alone.sha256()


def test_what_a_version_needs_of_its_models_directory_lies_where_the_server_looks(
    tmp_path: Path,
) -> None:
    (tmp_path / "f").touch()
    names = ("env.tar.gz", "initial_state/zero.bin", "labels.txt", "configs/big.pbtxt")
    beside = dict.fromkeys(names, tmp_path / "f")
    made = packed(
        {"model.py": tmp_path / "f", "more/data": tmp_path / "f"},
        beside,
        main_file="model.py",
        placed_as="model.py",
        environment="env.tar.gz",
    )
    assert set(made.files) == {
        *("model.py", "more/data", "env.tar.gz", "initial_state/zero.bin"),
        *("__model__/labels.txt", "__model__/configs/big.pbtxt"),
    }


@pytest.mark.parametrize("text", ["a", "a=", "=b"])
def test_a_renaming_has_both_names(tmp_path: Path, text: str) -> None:
    session = FakeServer({}).session(tmp_path)
    assert run(["import", str(repository(tmp_path / "r")), "--rename", text], session) == 2
