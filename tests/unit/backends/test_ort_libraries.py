"""Where the onnxruntime backend finds the libraries of a model's own operators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.support.models import inverse
from tests.support.native import CHECKOUT
from tests.support.python_based import imported
from tests.support.repositories import library

ort_session = imported("ort_session", "onnxruntime")


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("ops.so", "m/1/ops.so"),  # in the version's folder
        ("ops.so", "m/ops.so"),  # beside it
        ("m/ops.so", "m/ops.so"),  # by its path from the repository, as NVIDIA's backend wants it
        ("m/1/ops.so", "m/1/ops.so"),
    ],
)
def test_a_library_is_found_by_its_place_in_the_repository(
    tmp_path: Path, said: str, place: str
) -> None:
    (tmp_path / "m/1").mkdir(parents=True)
    (tmp_path / place).touch()
    assert ort_session._library_path(said, tmp_path / "m/1") == tmp_path / place


def test_an_absolute_path_is_that_path(tmp_path: Path) -> None:
    (tmp_path / "ops.so").touch()
    said = str(tmp_path / "ops.so")
    assert ort_session._library_path(said, tmp_path / "r/m/1") == tmp_path / "ops.so"


def test_the_runtime_that_nvidia_hands_paths_to_begins_where_the_process_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What our backend does not rely on: NVIDIA's calls this with the configuration's own words."""
    repository = tmp_path / "live"
    said = "tokens.v1.9f2c1a/1/libextensions.so"
    library(repository / said)
    inverse(repository / "tokens.v1.9f2c1a/1/model.onnx")
    # In this order: a library that was loaded once is found by the same words from anywhere.
    for elsewhere in (tmp_path, repository / "tokens.v1.9f2c1a"):
        monkeypatch.chdir(elsewhere)
        with pytest.raises(Exception, match=f"{said}: cannot open shared object file"):
            onnxruntime.SessionOptions().register_custom_ops_library(said)
    monkeypatch.chdir(repository)
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(said)
    model = onnxruntime.InferenceSession("tokens.v1.9f2c1a/1/model.onnx", options)
    [found] = model.run(None, {"x": np.eye(2, dtype=np.float32) * 2})
    assert found.tolist() == [[0.5, 0.0], [0.0, 0.5]]


def test_nvidias_server_is_started_in_the_repository_that_it_serves() -> None:
    lines = (CHECKOUT / "deploy/start_triton.sh").read_text().splitlines()
    [entered] = [line.removeprefix("cd ") for line in lines if line.startswith("cd ")]
    assert f"    --model-repository={entered} \\" in lines
    [begun] = [line for line in lines if line.startswith("exec tritonserver ")]
    assert lines.index(f"cd {entered}") < lines.index(begun)
