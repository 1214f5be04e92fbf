"""Models with a state and models that stream: the samples, from push to command."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from nereid import Client, InferenceError, policy_document
from nereid.inference import Predictor, Turn
from tests.support.serving import CHECKOUT, ServingStack

SAMPLES = CHECKOUT / "model_repository" / "samples"


def deployed(stack: ServingStack, name: str, file: Path, **push: Any) -> None:
    """The sample with the profile that lies beside it."""
    profile = json.loads((SAMPLES / name / "profile.json").read_text())
    with Client(stack.api, stack.token) as nereid:
        nereid.put_profile(f"{name}-sample", profile)
        version = nereid.push(name, file, profile=f"{name}-sample", create=True, wait=True, **push)
        assert version.state == "ready", version
        nereid.ensure_endpoint(name)
        accepted = nereid.put_policy(name, policy_document([f"{name}:1=100"]), etag="*")
        endpoint = nereid.wait_endpoint(name, generation=accepted.generation)
        assert endpoint.status == "Healthy", endpoint.reason


def command(stack: ServingStack, *arguments: object) -> list[dict[str, Any]]:
    """What the command says, a document in each line."""
    done = subprocess.run(
        [sys.executable, "-m", "nereid", *map(str, arguments), "--json"],
        env=stack.environment,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def expected_digits(rows: np.ndarray) -> list[int]:
    """What ONNX Runtime says when the state is handed on by us."""
    session = onnxruntime.InferenceSession(str(SAMPLES / "rows" / "model.onnx"))
    state = np.zeros((1, 48), np.float32)
    found = []
    for row in rows:
        digit, state = session.run(["digit", "state_next"], {"row": row[None], "state": state})
        found.append(int(digit[0, 0]))
    return found


def test_a_model_with_a_state_reads_a_series_row_by_row(serving_stack: ServingStack) -> None:
    series = SAMPLES / "rows" / "series.json"
    rows = np.array(json.loads(series.read_text())["row"], np.float32)
    expected = expected_digits(rows)
    golden = {"inputs": {"row": rows[:1].tolist()}, "outputs": {"digit": [[expected[0]]]}}
    deployed(serving_stack, "rows", SAMPLES / "rows" / "model.onnx", golden=[golden])
    answers = command(serving_stack, "infer", "rows", "--input", series, "--sequence", "9")
    assert [one["outputs"]["digit"][0][0] for one in answers] == expected
    assert expected[-1] == 7
    assert all(sorted(one["outputs"]) == ["chances", "digit"] for one in answers)
    with Predictor(serving_stack.stack["triton"]["http"], "http") as predictor:
        inputs = [{"row": row[None]} for row in rows[:2]]
        first = predictor.predict("rows", inputs[0], turn=Turn("mine", start=True))
        second = predictor.predict("rows", inputs[1], turn=Turn("mine", end=True))
        found = [int(one.outputs["digit"][0, 0]) for one in (first, second)]
        assert found == expected[:2]
        with pytest.raises(InferenceError, match="START"):
            predictor.predict("rows", inputs[1], turn=Turn("mine"))
    with Client(serving_stack.api, serving_stack.token) as nereid:
        nereid.delete_endpoint("rows")


def test_a_model_that_streams_answers_window_by_window(
    serving_stack: ServingStack, tmp_path: Path
) -> None:
    archive = tmp_path / "windows.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        for name in ("model.py", "config.pbtxt"):
            packed.add(SAMPLES / "windows" / name, name)
    deployed(serving_stack, "windows", archive, framework="python")
    chirp = SAMPLES / "windows" / "chirp.json"
    answers = command(serving_stack, "infer", "windows", "--input", chirp, "--stream")
    outputs = [one["outputs"] for one in answers]
    assert [one["start"][0] for one in outputs] == list(range(0, 1024 - 127, 64))
    assert all(one["arm"].startswith("windows.v1.") for one in answers)
    for before, after in pairwise(outputs):
        assert after["frequency"][0] > before["frequency"][0]
        assert after["level"][0] > before["level"][0]
    signal = np.array(json.loads(chirp.read_text())["signal"], np.float32)
    with Predictor(serving_stack.stack["triton"]["grpc"]) as predictor:
        for answer in predictor.stream("windows", {"signal": signal}):
            assert answer.outputs["start"][0] == 0
            break  # the rest is cancelled, and the connection is there for the next
        assert list(predictor.stream("windows", {"signal": signal[:100]})) == []
        again = list(predictor.stream("windows", {"signal": signal}))
        assert len(again) == len(answers)
    with (
        Predictor(serving_stack.stack["triton"]["http"], "http") as over_http,
        pytest.raises(InferenceError, match="need gRPC"),
    ):
        over_http.stream("windows", {"signal": signal})
    with Client(serving_stack.api, serving_stack.token) as nereid:
        nereid.delete_endpoint("windows")
