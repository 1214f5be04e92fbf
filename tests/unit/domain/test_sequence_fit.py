"""Whether a model can be served by the sequence batcher of its profile."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.domain.planning.compiled_version import physical_directory
from control_plane.domain.planning.compiling import compile_plan
from control_plane.domain.planning.plan import VersionSpec
from control_plane.domain.routing.document import parse_policy
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.serving.sequence_fit import unfit
from control_plane.domain.signature import Signature, Tensor
from control_plane.domain.violations import InvalidInputError

GRU = Signature(
    inputs=(Tensor("x", "FP32", (-1, 3)), Tensor("h", "FP16", (-1, 2, 4))),
    outputs=(Tensor("y", "FP32", (-1, 1)), Tensor("h_next", "FP16", (-1, 2, 4))),
)
STATE = {"input_name": "h", "output_name": "h_next", "data_type": "TYPE_FP16", "dims": [2, 4]}
FIRST = {"name": "learned", "data_type": "TYPE_FP16", "dims": [2, 4], "data_file": "h0"}


def profile(*states: dict[str, Any], **more: Any) -> ServingProfile:
    return ServingProfile.from_values(
        "steps", {"max_batch_size": 8, "sequence_batching": {"state": list(states), **more}}
    )


def spec(served: ServingProfile, **more: Any) -> VersionSpec:
    files = {"model.onnx": "a" * 64, "initial_state/h0": "b" * 64}
    sizes = {"model.onnx": 900, "initial_state/h0": 16}
    return VersionSpec(
        "gru", 1, "onnx", "c" * 64, GRU, served, **({"files": files, "sizes": sizes} | more)
    )


def test_a_model_that_has_its_state_and_its_file_fits() -> None:
    served = profile(STATE | {"initial_state": [FIRST]})
    assert unfit(GRU, served, {"initial_state/h0": 16}) == []
    assert unfit(GRU, profile(STATE | {"dims": [-1, 4]}), {}) == []
    assert unfit(GRU, ServingProfile.from_values("p", {}), {}) == []


@pytest.mark.parametrize(
    ("state", "sizes", "says"),
    [
        ({"input_name": "k"}, {}, "no input 'k'"),
        ({"output_name": "k"}, {}, "no output 'k'"),
        ({"data_type": "TYPE_FP32"}, {}, "cannot hold the state FP32[2, 4]"),
        ({"dims": [8]}, {}, "cannot hold the state FP16[8]"),
        ({"initial_state": [FIRST]}, {}, "no file initial_state/h0"),
        ({"initial_state": [FIRST]}, {"initial_state/h0": 32}, "32 bytes, and the state begins"),
    ],
)
def test_what_does_not_fit_is_named(
    state: dict[str, Any], sizes: dict[str, int], says: str
) -> None:
    found = unfit(GRU, profile(STATE | state), sizes)
    assert any(says in problem for problem in found), found


def test_a_control_that_the_model_does_not_take_is_named() -> None:
    start = {"kind": "CONTROL_SEQUENCE_START", "fp32_false_true": [0, 1]}
    served = profile(control_input=[{"name": "begins", "control": [start]}])
    assert unfit(GRU, served, {}) == ["the model has no input 'begins'"]


def test_a_policy_with_such_a_version_is_refused() -> None:
    policy = parse_policy({"arms": [{"model": "gru", "version": 1, "weight": 100}]})
    wrong = spec(profile(STATE | {"output_name": "k"}))
    with pytest.raises(InvalidInputError) as caught:
        compile_plan(endpoint="gru", generation=1, policy=policy, versions={("gru", 1): wrong})
    [violation] = caught.value.violations
    assert violation.pointer == "/arms/0/version"
    assert "profile steps: the model has no output 'k'" in violation.detail


def test_the_file_of_a_first_state_lies_where_triton_looks_for_it() -> None:
    directory = physical_directory(spec(profile(STATE | {"initial_state": [FIRST]})))
    assert directory.links == {"1/model.onnx": "a" * 64, "initial_state/h0": "b" * 64}
    [state] = directory.variants["cpu"]["sequence_batching"]["state"]
    assert state["initial_state"] == [
        {"name": "learned", "data_type": "TYPE_FP16", "dims": ["2", "4"], "data_file": "h0"}
    ]
    without = spec(profile(STATE))
    assert "1/initial_state/h0" in physical_directory(without).links


def test_a_state_without_a_first_value_begins_with_zeros() -> None:
    """Triton would take whatever its memory holds."""
    config = physical_directory(spec(profile(STATE | {"dims": [-1, 4]}))).variants["cpu"]
    [state] = config["sequence_batching"]["state"]
    assert state["initial_state"] == [
        {"name": "zeros", "data_type": "TYPE_FP16", "dims": ["1", "4"], "zero_data": True}
    ]
