"""Where the onnxruntime backend finds the libraries of a model's own operators."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.python_based import imported

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
