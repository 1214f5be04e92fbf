"""Which files of a logged model are fetched, and what is said where none can be."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.adapters.mlflow.files import (
    folder_of,
    only_file,
    pick,
    read_description,
)
from control_plane.adapters.mlflow.origin import metrics_of, provenance_of
from control_plane.ports.sources import SourceRefusedError
from control_plane.settings.mlflow import MlflowSettingsError, mlflow_access

WHAT = "models:/digits/3"
ONNX = b"""
flavors:
  onnx: {data: model.onnx, onnx_version: 1.23.2}
  python_function: {data: model.onnx, loader_module: mlflow.onnx}
"""
TORCH = b"""
flavors:
  pytorch: {model_data: data, pytorch_version: 2.13.0}
  python_function: {data: data, loader_module: mlflow.pytorch}
signature:
  inputs: '[{"type": "tensor", "name": "image",
             "tensor-spec": {"dtype": "float32", "shape": [-1, 64]}}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
"""


def test_an_onnx_model_comes_with_what_lies_beside_it() -> None:
    model = read_description(ONNX, WHAT)
    assert folder_of(model, "", WHAT) == ("onnx", "")
    names = ["MLmodel", "conda.yaml", "input_example.json", "model.onnx"]
    assert pick(model, "onnx", "", names, WHAT).beside == ()
    wanted = pick(model, "onnx", "", [*names, "7dcb5f0a-weights"], WHAT)
    assert (wanted.main, wanted.beside) == ("model.onnx", ("7dcb5f0a-weights",))
    with pytest.raises(SourceRefusedError, match=r"no model\.onnx: there are MLmodel"):
        pick(model, "onnx", "", ["MLmodel"], WHAT)
    with pytest.raises(SourceRefusedError, match="not taken"):
        pick(model, "onnx", "", ["model.onnx", "../weights"], WHAT)


def test_a_program_of_pytorch_comes_with_its_signature() -> None:
    model = read_description(TORCH, WHAT)
    assert folder_of(model, "", WHAT) == ("pytorch", "data")
    assert pick(model, "pytorch", "data", ["model.pth", "pickle_module_info.txt"], WHAT).main == (
        "model.pth"
    )
    assert pick(model, "pytorch", "data", ["model.pt2", "model.pth"], WHAT).main == "model.pt2"
    assert model.signature is not None
    assert [str(t) for t in model.signature.inputs] == ["image FP32[-1,64]"]
    assert [str(t) for t in model.signature.outputs] == ["OUTPUT__0 INT64[-1]"]


def test_other_flavours_are_refused_with_what_to_do() -> None:
    model = read_description(b"flavors: {sklearn: {}, python_function: {}}", WHAT)
    with pytest.raises(SourceRefusedError, match=r"python_function, sklearn\. .*skl2onnx"):
        folder_of(model, "", WHAT)
    with pytest.raises(SourceRefusedError, match="pytorch"):
        folder_of(read_description(ONNX, WHAT), "pytorch", WHAT)


@pytest.mark.parametrize(
    "text",
    [
        b"[",
        b"a list",
        b"flavors: 3",
        b"{}",
        b"\xff",
        b"!!python/object/apply:os.getcwd []",
        b"flavors: {onnx: {<<: {}}}",
    ],
)
def test_a_description_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(SourceRefusedError, match="MLmodel"):
        read_description(text, WHAT)


def test_a_signature_that_is_none_is_passed_over() -> None:
    for inputs in ("[" * 100_000, "3", "[3]", "[{}]"):
        text = f"flavors: {{onnx: {{}}}}\nsignature: {{inputs: '{inputs}', outputs: '[]'}}"
        assert read_description(text.encode(), WHAT).signature is None


@pytest.mark.parametrize("said", ["{data: [[a, b], c]}", "{data: {a: b}}", "{data: 3}"])
def test_only_a_text_is_a_path(said: str) -> None:
    """Written out, a list of lists that a YAML alias repeats fills all the memory that there is."""
    for flavour, text in (("onnx", said), ("pytorch", said.replace("data", "model_data"))):
        model = read_description(f"flavors: {{{flavour}: {text}}}".encode(), WHAT)
        with pytest.raises(SourceRefusedError, match="no path"):
            folder_of(model, "", WHAT)


def test_a_reason_does_not_grow_with_what_strangers_wrote() -> None:
    flavours = ", ".join(f"f{index}: {{}}" for index in range(1000))
    with pytest.raises(SourceRefusedError, match="and 992 more") as refused:
        folder_of(read_description(f"flavors: {{{flavours}}}".encode(), WHAT), "", WHAT)
    assert len(str(refused.value)) < 1000
    with pytest.raises(SourceRefusedError) as refused:
        only_file(["x" * 5000, "nul\0"], "", WHAT)
    assert len(str(refused.value)) < 1000
    assert "\0" not in str(refused.value)


def test_a_folder_without_description_holds_one_model() -> None:
    assert only_file(["net.onnx", "notes.txt"], "", WHAT).main == "net.onnx"
    assert only_file(["net.pt2"], "", WHAT).framework == "pytorch"
    for names in (["a.onnx", "b.onnx"], ["model.pkl"], []):
        with pytest.raises(SourceRefusedError, match="one file ending in"):
            only_file(names, "", WHAT)


def run(metrics: dict[str, Any], tags: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "data": {
            "metrics": [{"key": key, "value": value} for key, value in metrics.items()],
            "tags": [{"key": key, "value": value} for key, value in (tags or {}).items()],
        }
    }


def test_a_runs_figures_as_the_registry_keeps_them() -> None:
    assert metrics_of(run({"accuracy": 0.9, "val/loss": 0.2, "val/f1": 0.8})) == {
        "accuracy": 0.9,
        "val": {"loss": 0.2, "f1": 0.8},
    }
    assert metrics_of(run({"val": 1, "val/loss": 0.2})) == {"val": 1, "val/loss": 0.2}
    assert metrics_of(run({"loss": float("nan"), "x" * 200: 1.0, "text": "0.5"})) == {}
    assert metrics_of(run({"default/loss": 0.5})) == {"default/loss": 0.5}
    assert metrics_of({}) == {}


def test_of_its_tags_what_the_registry_takes() -> None:
    tags = {"mlflow.source.git.commit": "9f2c1a7b", "mlflow.user": "ada", "other": "x"}
    assert provenance_of(run({}, tags)) == {"git_commit": "9f2c1a7b", "author": "ada"}
    assert provenance_of(run({}, {"mlflow.source.git.commit": "main"})) == {}


def test_the_settings_of_a_tracking_server(tmp_path: Any) -> None:
    secret = tmp_path / "token"
    secret.write_text("very-secret\n")
    uri = {"NEREID_MLFLOW_TRACKING_URI": "https://mlflow.example.com/base/"}
    access = mlflow_access({**uri, "NEREID_MLFLOW_TOKEN_FILE": str(secret)})
    assert access is not None
    assert (access.uri, access.token) == ("https://mlflow.example.com/base", "very-secret")
    assert "very-secret" not in repr(access)
    assert mlflow_access({}) is None
    for bad in ("ftp://host", "mlflow", "http://ada:secret@host", "http://host?x=1", "http://[x"):
        with pytest.raises(MlflowSettingsError) as refused:
            mlflow_access({"NEREID_MLFLOW_TRACKING_URI": bad})
        assert "secret" not in str(refused.value)
    with pytest.raises(MlflowSettingsError, match="cannot be read"):
        mlflow_access({**uri, "NEREID_MLFLOW_PASSWORD_FILE": str(tmp_path / "nothing")})
