"""Models that only NVIDIA's backends open: what is written for them, and where they may go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from control_plane.adapters.triton.pbtxt import config_text
from control_plane.domain.planning.backends import Backend, BackendKind, Equipped, lacks
from control_plane.domain.planning.compiled_version import physical_directory
from control_plane.domain.planning.plan import ModelDirectory
from control_plane.domain.registry.frameworks import (
    FRAMEWORKS,
    MAIN_FILES,
    SERVER_ONLY,
    always_code,
)
from control_plane.domain.registry.uploaded_config import BACKENDS, PARAMETERS
from tests.support.plans import version

SAVED = "model.savedmodel/saved_model.pb"


def directory(framework: str, *files: str) -> ModelDirectory:
    named = {name: f"{i:064x}" for i, name in enumerate(files)}
    return physical_directory(replace(version(1), framework=framework, files=named))


@pytest.mark.parametrize(
    ("framework", "files", "written"),
    [
        ("tensorrt", (), {"backend": "tensorrt", "default_model_filename": "model.plan"}),
        ("openvino", ("model.xml", "model.bin"), {"default_model_filename": "model.xml"}),
        ("dali", (), {"backend": "dali", "default_model_filename": "model.dali"}),
        (
            "tensorflow",
            (SAVED, "model.savedmodel/variables/variables.index"),
            {"platform": "tensorflow_savedmodel", "default_model_filename": "model.savedmodel"},
        ),
        (
            "tensorflow",
            ("model.graphdef",),
            {"platform": "tensorflow_graphdef", "default_model_filename": "model.graphdef"},
        ),
        (
            "vllm",
            (),
            {"max_batch_size": 0, "model_transaction_policy": {"decoupled": True}},
        ),
    ],
)
def test_a_config_is_as_the_backend_wants_it(
    framework: str, files: tuple[str, ...], written: dict[str, Any]
) -> None:
    made = directory(framework, *files)
    for config in made.variants.values():
        assert config["backend"] == framework
        assert {key: config[key] for key in written} == written
        # It is a valid message of Triton's.
        assert f'backend: "{framework}"' in config_text(made.name, config)


def test_files_lie_where_triton_looks() -> None:
    made = directory("tensorflow", SAVED, "model.savedmodel/variables/variables.index")
    assert set(made.links) == {f"1/{SAVED}", "1/model.savedmodel/variables/variables.index"}


def test_vllm_is_told_no_file_and_gets_no_batcher() -> None:
    config = directory("vllm").variants["gpu"]
    assert "default_model_filename" not in config
    assert "dynamic_batching" not in config


def test_a_tensorrt_engine_goes_to_no_server_without_a_gpu() -> None:
    has = (Backend("tensorrt", BackendKind.NATIVE),)
    assert list(lacks(directory("tensorrt"), [Equipped("lab", has, "gpu")])) == []
    [lack] = lacks(directory("tensorrt"), [Equipped("lab", has, "cpu")])
    assert "server lab has no GPU" in lack


def test_where_nobody_has_the_backend_the_refusal_says_what_carries_it() -> None:
    bare = Equipped("lab", (Backend("python", BackendKind.NATIVE),))
    [lack] = lacks(directory("openvino"), [bare])
    assert "server lab has no backend openvino (it has: python)" in lack
    assert "NVIDIA's that carries openvino" in lack


def test_what_can_carry_code_needs_the_permission() -> None:
    assert {name for name in FRAMEWORKS if not always_code(name)} == {
        "onnx",
        "openvino",
        "transform",
    }


def test_every_framework_is_known_everywhere() -> None:
    assert SERVER_ONLY < set(FRAMEWORKS) == set(MAIN_FILES)
    assert set(BACKENDS) == set(PARAMETERS) == set(FRAMEWORKS)
    # A library is nothing that a setting may name.
    assert "CPU_EXTENSION_PATH" not in PARAMETERS["openvino"]
