"""Uploads that are killed half-way, on either side, and go on."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from nereid import Client
from nereid.unfinished import state_folder
from tests.support.serving import CHECKOUT, ServingStack

MEGABYTES = 96


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of many megabytes: y = x times a wide matrix, of which one column is kept."""
    width = MEGABYTES << 18  # FP32
    weights = numpy_helper.from_array(np.ones((1, width), np.float32), "w")
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["wide"]),
            helper.make_node("ReduceMax", ["wide"], ["y"], axes=[1]),
        ],
        "wide",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [weights],
    )
    path = tmp_path_factory.mktemp("model") / "wide.onnx"
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    onnx.save(made, path)
    return path


class Pushing:
    """`nereid push` as a child, with a state folder of its own."""

    def __init__(self, stack: ServingStack, model: Path, name: str, home: Path) -> None:
        self._stack, self._model, self._name = stack, model, name
        self.environment = {**stack.environment, "XDG_STATE_HOME": str(home)}
        self.folder = state_folder(self.environment)
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "nereid", "push", self._name, str(self._model)]
        return subprocess.Popen(
            [*command, "--create", "--json", "--timeout", "240"],
            cwd=CHECKOUT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def again(self) -> None:
        self._process = self._start()

    def end(self) -> str:
        out, err = self._process.communicate(timeout=280)
        assert self._process.returncode == 0, out + err
        return out

    def offset(self, api: httpx.Client) -> int:
        """How far the server is; -1 while it says nothing."""
        for file in self.folder.glob("*.json"):
            upload = file.read_text().split('"')[3]
            try:
                answer = api.get(f"/uploads/{upload}/")
            except httpx.TransportError:
                return -1
            return int(answer.json()["offset"]) if answer.is_success else -1
        return -1


def until(done: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)
    return found


def test_an_upload_survives_its_client_and_the_api(
    serving_stack: ServingStack, model: Path, tmp_path: Path
) -> None:
    size = model.stat().st_size
    with serving_stack.client() as api:
        pushing = Pushing(serving_stack, model, "wide", tmp_path)
        # The client is killed when a part has arrived and the rest has not.
        first = until(lambda: max(0, pushing.offset(api)))
        pushing.kill()
        assert 0 < pushing.offset(api) < size
        uploads = [path.read_text() for path in pushing.folder.glob("*.json")]

        # The same command goes on; now the API is killed, with all its workers.
        pushing.again()
        until(lambda: pushing.offset(api) > first)
        old = serving_stack.pids["api"]
        group = [psutil.Process(old), *psutil.Process(old).children(recursive=True)]
        for process in group:
            os.kill(process.pid, signal.SIGKILL)
        assert [path.read_text() for path in pushing.folder.glob("*.json")] == uploads
        pushing.end()

    assert list(pushing.folder.glob("*.json")) == []
    with Client(serving_stack.api, serving_stack.token) as nereid:
        [version] = nereid.versions("wide")
        assert version.state == "ready"
        assert version.size == size
        assert version.sha256 == hashlib.sha256(model.read_bytes()).hexdigest()
        nereid.delete_version("wide", 1)
        nereid.delete_model("wide")
