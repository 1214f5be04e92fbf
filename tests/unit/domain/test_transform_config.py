"""How a transform is served: by its backend, on the CPU, warmed up by what it can read."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.domain.planning.model_config import version_config
from control_plane.domain.serving.lint import Hardware, Subject, lint
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.signature import Signature, Tensor

PICTURES = Signature(
    inputs=(Tensor("png", "BYTES", (-1, 1)),), outputs=(Tensor("image", "FP32", (-1, 1, 8, 8)),)
)


def profile(**values: Any) -> ServingProfile:
    return ServingProfile.from_values("p", {"max_batch_size": 8, "dynamic_batching": {}, **values})


@pytest.mark.parametrize("accelerator", ["cpu", "gpu"])
def test_it_runs_on_the_cpu_of_every_server(accelerator: str) -> None:
    config = version_config("transform", PICTURES, profile(), accelerator)
    assert config["backend"] == "transform"
    assert config["default_model_filename"] == "transform.yaml"
    assert config["instance_group"] == [{"count": 1, "kind": "KIND_CPU"}]
    assert config["input"] == [{"name": "png", "data_type": "TYPE_STRING", "dims": ["1"]}]
    assert "dynamic_batching" in config


@pytest.mark.parametrize(
    ("warmup", "golden", "warmed"),
    [
        ({}, [{"png": [1, 1]}], True),
        ({}, [], False),
        ({"data": "zero"}, [{"png": [1, 1]}], False),
        ({"data": "random"}, [{"png": [1, 1]}], False),
    ],
)
def test_zeros_are_no_picture_to_warm_up_with(warmup: dict, golden: list, warmed: bool) -> None:
    served = profile(model_warmup=warmup)
    config = version_config("transform", PICTURES, served, "cpu", golden=golden)
    assert ("model_warmup" in config) is warmed


def test_it_is_never_cold() -> None:
    for served in (profile(), profile(model_warmup={})):
        subject = Subject(served, PICTURES, "transform", examples=0)
        codes = {finding.code for finding in lint(subject, Hardware(gpus=1))}
        assert not codes & {"cold-start", "warmup-without-examples"}
