"""A pipeline by the command, from the file to a new revision that takes over under load."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException

from nereid import Client
from nereid.errors import ProblemError
from tests.support.models import multiplier
from tests.support.serving import CHECKOUT, ServingStack
from tests.support.triton import eventually, tensor

LINE = """
name: line
description: Two factors, one after the other
steps:
  - {{name: first, model: times, version: 1, outputs: {{y: between}}}}
  - {{name: second, model: times, version: {second}, inputs: {{x: between}}}}
outputs: [y]
"""


def command(stack: ServingStack, *words: str) -> str:
    """What a command prints; it has to be done."""
    done = subprocess.run(
        [sys.executable, "-m", "nereid", *words],
        cwd=CHECKOUT,
        env=stack.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


class Load:
    """Callers that ask without a pause; what they were told, and what failed."""

    def __init__(self, address: str, callers: int = 3) -> None:
        self.told: set[float] = set()
        self.asked = 0
        self.failed: list[str] = []
        self._address = address
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(callers)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        with grpcclient.InferenceServerClient(self._address) as client:
            given = tensor("x", np.ones((1, 4), np.float32))
            while not self._over.is_set():
                try:
                    answer = client.infer("line", [given], client_timeout=20).as_numpy("y")
                    self.told.add(float(answer[0, 0]))
                except InferenceServerException as error:
                    self.failed.append(str(error))
                self.asked += 1


@pytest.mark.long
def test_a_new_revision_takes_over_under_load(serving_stack: ServingStack, tmp_path: Path) -> None:
    for i, factor in enumerate((2.0, 3.0, 5.0)):
        multiplier(tmp_path / "model.onnx", factor)
        made = ["--create"] if i == 0 else []
        command(serving_stack, "push", "times", str(tmp_path / "model.onnx"), *made)
    file = tmp_path / "line.yaml"
    file.write_text(LINE.format(second=2))
    assert "line takes x FP32[?, 4] and gives y FP32[?, 4]" in command(
        serving_stack, "pipelines", "check", str(file)
    )
    assert "revision 1" in command(serving_stack, "pipelines", "apply", str(file))
    command(serving_stack, "deploy", "line", "line:1=100", "--create")
    stack = serving_stack.stack
    with Client(stack["api"], stack["token"]) as client:
        with Load(stack["triton"]["grpc"]) as load:
            eventually(lambda: load.told == {6.0}, what="answers of revision 1")
            file.write_text(LINE.format(second=3))
            assert "revision 2" in command(serving_stack, "pipelines", "apply", str(file))
            command(serving_stack, "deploy", "line", "line:1=50", "line:2=50")
            eventually(lambda: load.told == {6.0, 10.0}, what="answers of both")
            command(serving_stack, "deploy", "line", "line:2=100")
            asked = load.asked
            eventually(lambda: load.asked > asked + 50, what="more answers")
        assert load.failed == []
        [arm] = client.endpoint("line").arms
        assert (arm.target, arm.pipeline) == ("line:2", True)
        [first] = client.version("times", 1).serves_in
        assert (first.endpoint, first.arm) == ("line", "line-v2")
        with pytest.raises(ProblemError, match="in pipeline line:2"):
            client.archive_version("times", 3, "no longer wanted")
        assert "serves in line" in command(serving_stack, "pipelines", "show", "line")
    command(serving_stack, "rollback", "line")
    with Load(stack["triton"]["grpc"], callers=1) as load:
        eventually(lambda: load.asked > 10, what="answers after the way back")
    assert load.failed == []
    assert 6.0 in load.told
