"""Which of ONNX Runtime's execution providers an instance runs on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.python_based import imported

ort_providers = imported("ort_providers", "onnxruntime")
SettingError = imported("settings").SettingError

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
TENSORRT, OPENVINO = "TensorrtExecutionProvider", "OpenVINOExecutionProvider"


def chosen(
    kind: str, *accelerators: dict[str, Any], has: tuple[str, ...] = (CPU,), **given: str
) -> tuple[list[Any], list[str]]:
    """The providers, and what is warned of."""
    warnings: list[str] = []
    sides: dict[str, list[dict[str, Any]]] = {}
    for one in accelerators:
        side = "cpu" if one["name"] == "openvino" else "gpu"
        sides.setdefault(f"{side}_execution_accelerator", []).append(one)
    config = {
        "optimization": {"execution_accelerators": sides},
        "parameters": {key: {"string_value": value} for key, value in given.items()},
    }
    found = ort_providers.providers(config, kind, 1, warnings.append, lambda: list(has))
    return found, warnings


def test_an_instance_on_the_cpu_leaves_accelerators_of_gpus_alone() -> None:
    assert chosen("CPU", {"name": "tensorrt"}) == ([CPU], [])


def test_an_instance_on_a_gpu_is_on_that_gpu() -> None:
    assert chosen("GPU", has=(CUDA, CPU)) == ([(CUDA, {"device_id": 1}), CPU], [])


def test_without_cuda_it_is_on_the_cpu_and_says_so() -> None:
    found, warnings = chosen("GPU")
    assert found == [CPU]
    assert "no CUDA" in warnings[0]


def test_tensorrt_goes_first_with_nvidias_words() -> None:
    asked = {
        "name": "tensorrt",
        "parameters": {
            "precision_mode": "FP16",
            "max_workspace_size_bytes": "1024",
            "trt_engine_cache_enable": "1",
        },
    }
    found, _ = chosen("GPU", asked, has=(TENSORRT, CUDA, CPU))
    settings = {
        "device_id": 1,
        "trt_fp16_enable": "1",
        "trt_max_workspace_size": "1024",
        "trt_engine_cache_enable": "1",
    }
    assert found == [(TENSORRT, settings), (CUDA, {"device_id": 1}), CPU]


def test_cuda_takes_the_numbers_that_nvidias_backend_takes() -> None:
    asked = {"name": "cuda", "parameters": {"cudnn_conv_algo_search": "1"}}
    found, _ = chosen("GPU", asked, has=(CUDA, CPU), arena_extend_strategy="1")
    settings = {
        "device_id": 1,
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
    }
    assert found == [(CUDA, settings), CPU]


def test_openvino_is_for_every_instance() -> None:
    asked = {"name": "openvino", "parameters": {"device_type": "CPU"}}
    found, _ = chosen("CPU", asked, has=(OPENVINO, CPU))
    assert found == [(OPENVINO, {"device_type": "CPU"}), CPU]


@pytest.mark.parametrize(
    ("asked", "has", "says"),
    [
        ({"name": "tensorrt"}, (CUDA, CPU), f"needs ONNX Runtime with {TENSORRT}"),
        ({"name": "warp"}, (CUDA, CPU), "'warp' is not known"),
        (
            {"name": "tensorrt", "parameters": {"precision_mode": "FP12"}},
            (TENSORRT, CUDA, CPU),
            "not 'FP12'",
        ),
    ],
)
def test_what_cannot_be_is_an_error(asked: dict[str, Any], has: tuple[str, ...], says: str) -> None:
    with pytest.raises(SettingError, match=says):
        chosen("GPU", asked, has=has)
