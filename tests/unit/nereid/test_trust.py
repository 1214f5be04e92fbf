"""Whom the command believes, and where its paths lead."""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx
import pytest

from nereid import Client
from nereid.config import find_stack


def stack_in(folder: Path, mode: int = 0o600) -> Path:
    path = folder / ".nereid" / "stack.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"api": "http://127.0.0.1:1", "token": "t"}))
    path.chmod(mode)
    return path


def test_a_stack_of_ours_is_found_from_below(tmp_path: Path) -> None:
    path = stack_in(tmp_path)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    found = find_stack({}, below)
    assert found is not None
    assert found.path == path


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_stack_that_others_can_write_is_not(tmp_path: Path, mode: int) -> None:
    stack_in(tmp_path, mode)
    assert find_stack({}, tmp_path) is None


def test_a_stack_of_somebody_else_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stack_in(tmp_path)
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert find_stack({}, tmp_path) is None
    # Whoever names the home means it.
    if os.geteuid() == 0:
        assert find_stack({"NEREID_HOME": str(path.parent)}, tmp_path) is not None


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a/../../tokens", "/api/v1/models/a%2F..%2F..%2Ftokens/"),
        ("..", "/api/v1/models/%2E%2E/"),
        ("a?limit=1#x", "/api/v1/models/a%3Flimit%3D1%23x/"),
        ("digits", "/api/v1/models/digits/"),
    ],
)
def test_a_name_is_one_part_of_a_path(name: str, path: str) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        return httpx.Response(200, json={"name": "m"})

    with Client("http://127.0.0.1:1", "t", transport=httpx.MockTransport(answer)) as client:
        client.model(name)
    assert asked == [path]
