"""What `push` says of a version: golden examples, a signature, where it comes from."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nereid import Client, NereidError
from nereid.cli import run
from nereid.git import commit_of
from nereid.golden import read_golden
from tests.support.control_plane_answers import (
    API,
    FakeServer,
    answer,
    model,
    printed,
    version,
)

EXAMPLE = {"inputs": {"image": [[1.0]]}, "outputs": {"logits": [[2.0]]}}


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=ada", "-c", "user.email=ada@example.com"]
    command = ["git", *identity, *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "training"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "train.py").write_text("x = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    (folder / "model.onnx").write_bytes(b"weights")
    return folder


def test_the_commit_of_a_folder_and_whether_it_was_changed(repository: Path) -> None:
    clean = commit_of(repository)
    assert set(clean) == {"git_commit"}, "files that git does not track change nothing"
    (repository / "train.py").write_text("x = 2\n")
    assert commit_of(repository) == {**clean, "git_dirty": True}


def test_without_git_there_is_nothing_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commit_of(tmp_path) == {}
    git(tmp_path, "init", "-q")
    assert commit_of(tmp_path) == {}, "there is no commit yet"
    monkeypatch.setenv("PATH", "/nowhere")
    assert commit_of(tmp_path) == {}


def pushed(**sent: Any) -> FakeServer:
    return FakeServer(
        {
            "GET /models/digits/": answer(model()),
            "POST /models/digits/versions/": answer(version(2, "uploading", **sent), 202),
            "GET /models/digits/versions/2/": answer(version(2)),
        }
    )


def metadata(server: FakeServer) -> dict[str, Any]:
    body = server.sent("POST", "/versions/").content
    found: dict[str, Any] = json.loads(
        body.split(b'name="metadata"\r\n\r\n')[1].split(b"\r\n--")[0]
    )
    return found


def test_the_command_says_all_of_it(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    (tmp_path / "golden.json").write_text(json.dumps({"golden": [EXAMPLE]}))
    (tmp_path / "signature.json").write_text(json.dumps({"inputs": [], "outputs": []}))
    server = pushed()
    arguments = [
        *("push", "digits", "model.onnx", "-m", "accuracy=0.9", "-m", "holdout/loss=0.1"),
        *("--tag", "team=vision", "--tag", "reviewed", "--description", "the third"),
        *("--golden", str(tmp_path / "golden.json"), "--tolerance", "0.001"),
        *("--signature", str(tmp_path / "signature.json"), "--profile", "throughput"),
        *("--run-id", "a1b2", "--provenance", "trained_at=2026-11-24T13:00:00Z"),
    ]
    assert run(arguments, server.session(tmp_path)) == 0
    said = metadata(server)
    assert said["metrics"] == {"accuracy": 0.9, "holdout": {"loss": 0.1}}
    assert said["tags"] == {"team": "vision", "reviewed": ""}
    assert said["golden"] == [{"tolerance": 0.001, **EXAMPLE}]
    assert said["signature"] == {"inputs": [], "outputs": []}
    assert (said["description"], said["profile"]) == ("the third", "throughput")
    assert said["provenance"] == {
        "run_id": "a1b2",
        "trained_at": "2026-11-24T13:00:00Z",
        **commit_of(repository),
    }


def test_a_commit_that_was_said_or_not_wanted(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    for more, expected in (
        (["--no-git"], None),
        (["--provenance", "git_commit=abcd"], {"git_commit": "abcd"}),
    ):
        server = pushed()
        assert run(["push", "digits", "model.onnx", *more], server.session(tmp_path)) == 0
        assert metadata(server).get("provenance") == expected


def test_a_source_in_place_of_a_file(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    server = pushed(state_reason="fetching it: 1.0 of 3.0 MB")
    session = server.session(tmp_path)
    assert run(["push", "digits", "--source", "models:/digits@champion"], session) == 0
    sent = json.loads(server.sent("POST", "/versions/").content)
    assert sent == {"source": "models:/digits@champion"}, "nobody here knows its commit or kind"
    assert "digits:2 is ready" in printed(session.err)


@pytest.mark.parametrize(
    "arguments",
    [
        ["push", "digits"],
        ["push", "digits", __file__, "--source", "s3://bucket/model.onnx"],
        ["push", "digits", __file__, "--tolerance", "0.1"],
        ["push", "digits", __file__, "--golden", "/no/such/file"],
        ["push", "digits", __file__, "--provenance", "run"],
    ],
)
def test_wrong_usage(arguments: list[str], tmp_path: Path) -> None:
    server = FakeServer({})
    assert run(arguments, server.session(tmp_path)) == 2
    assert server.calls == []


def test_one_of_the_two() -> None:
    with Client(API, "nrd_test", transport=FakeServer({}).transport()) as client:
        with pytest.raises(ValueError, match="one of the two"):
            client.push("digits")
        with pytest.raises(ValueError, match="one of the two"):
            client.push("digits", "model.onnx", source="s3://bucket/model.onnx")


def test_examples_from_arrays_and_documents(tmp_path: Path) -> None:
    arrays = tmp_path / "golden.npz"
    np.savez(arrays, **{"inputs/image": np.ones((1, 2)), "outputs/logits": np.zeros((1, 1))})
    assert read_golden([arrays]) == [
        {"inputs": {"image": [[1.0, 1.0]]}, "outputs": {"logits": [[0.0]]}}
    ]
    one = tmp_path / "one.json"
    one.write_text(json.dumps({**EXAMPLE, "tolerance": 0.5}))
    assert [example["tolerance"] for example in read_golden([one, arrays], 0.1)] == [0.5, 0.1]


@pytest.mark.parametrize("content", ["{", "3", '[{"inputs": {}}]'])
def test_a_file_without_examples(tmp_path: Path, content: str) -> None:
    path = tmp_path / "golden.json"
    path.write_text(content)
    with pytest.raises(NereidError, match=r"golden\.json"):
        read_golden([path])


def test_arrays_of_other_names_and_pickles(tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    np.savez(path, image=np.ones(1))
    with pytest.raises(NereidError, match="inputs/NAME"):
        read_golden([path])
    np.savez(path, **{"inputs/x": np.array([{}], dtype=object)})
    with pytest.raises(NereidError, match="cannot be read"):
        read_golden([path])
