"""Serving profiles: what is read, what is refused and where, and what Triton is told."""

from typing import Any

import pytest
from google.protobuf import text_format
from hypothesis import given
from tritonclient.grpc import model_config_pb2

from control_plane.adapters.triton.pbtxt import config_text
from control_plane.domain.planning.model_config import ACCELERATORS, version_config
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.signature import Signature, Tensor
from control_plane.domain.violations import InvalidInputError
from tests.support.plans import DIGITS
from tests.support.profiles import profiles

COUNTER = Signature(
    inputs=(Tensor("x", "FP32", (-1, 1)), Tensor("start", "INT32", (-1, 1))),
    outputs=(Tensor("y", "FP32", (-1, 1)),),
)


def refused(values: dict[str, Any]) -> dict[str, str]:
    """What is wrong with it, by place."""
    with pytest.raises(InvalidInputError) as caught:
        ServingProfile.from_values("p", values)
    return {v.pointer: v.detail for v in caught.value.violations}


@given(profiles())
def test_a_profile_comes_back_from_its_document_as_it_was(values: dict[str, Any]) -> None:
    profile = ServingProfile.from_values("p", values)
    assert ServingProfile.from_values("p", profile.to_document()) == profile


@given(profiles())
def test_a_profile_is_a_configuration_for_every_kind_of_server(values: dict[str, Any]) -> None:
    profile = ServingProfile.from_values("p", values)
    for accelerator in ACCELERATORS:
        text = config_text("m", version_config("onnx", DIGITS, profile, accelerator))
        read = text_format.Parse(text, model_config_pb2.ModelConfig())
        assert read.max_batch_size == profile.max_batch_size
        assert sum(group.count for group in read.instance_group) >= 1
        kinds = {group.kind for group in read.instance_group}
        assert accelerator == "gpu" or model_config_pb2.ModelInstanceGroup.KIND_GPU not in kinds


@pytest.mark.parametrize(
    ("values", "where", "says"),
    [
        ({"max_batch_sise": 8}, "/max_batch_sise", "no word"),
        ({"max_batch_size": "8"}, "/max_batch_size", "integer"),
        ({"max_batch_size": True}, "/max_batch_size", "integer"),
        ({"max_batch_size": -1}, "/max_batch_size", "greater than or equal to 0"),
        ({"instance_group": []}, "/instance_group", "at least 1"),
        ({"instance_group": {"count": 0}}, "/instance_group/0/count", "greater than or equal to 1"),
        (
            {"instance_group": {"kind": "KIND_CPU", "gpus": [0]}},
            "/instance_group/0/gpus",
            "has no gpus",
        ),
        ({"instance_group": {"gpus": [0, 0]}}, "/instance_group/0/gpus", "each once"),
        (
            {"max_batch_size": 8, "dynamic_batching": {"preferred_batch_size": [4, 9]}},
            "/dynamic_batching/preferred_batch_size/1",
            "9 is above max_batch_size, which is 8",
        ),
        (
            {"max_batch_size": 8, "dynamic_batching": {}, "sequence_batching": {}},
            "/sequence_batching",
            "not both",
        ),
        (
            {"dynamic_batching": {"priority_queue_policy": {"1": {}}}},
            "/dynamic_batching/priority_queue_policy/1",
            "no priority 1",
        ),
        (
            {
                "max_batch_size": 8,
                "dynamic_batching": {
                    "max_queue_delay_microseconds": 100,
                    "default_queue_policy": {"default_timeout_microseconds": 100},
                },
            },
            "/dynamic_batching/default_queue_policy/default_timeout_microseconds",
            "refused before its batch is sent",
        ),
        (
            {
                "max_batch_size": 8,
                "dynamic_batching": {
                    "preserve_ordering": True,
                    "priority_levels": 2,
                    "default_priority_level": 1,
                },
            },
            "/dynamic_batching/preserve_ordering",
            "one priority",
        ),
        (
            {
                "max_batch_size": 8,
                "dynamic_batching": {
                    "preserve_ordering": True,
                    "default_queue_policy": {"timeout_action": "DELAY"},
                },
            },
            "/dynamic_batching/default_queue_policy/timeout_action",
            "use REJECT",
        ),
        (
            {"sequence_batching": {"direct": {}, "oldest": {}}},
            "/sequence_batching/oldest",
            "direct or oldest",
        ),
        (
            {"sequence_batching": {}, "response_cache": {"enable": True}},
            "/response_cache/enable",
            "what came before",
        ),
        (
            {
                "model_transaction_policy": {"decoupled": True},
                "response_cache": {"enable": True},
            },
            "/response_cache/enable",
            "decoupled",
        ),
        (
            {"model_warmup": {"batch_sizes": [9]}, "max_batch_size": 8},
            "/model_warmup/batch_sizes/0",
            "9 is above max_batch_size",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(
    values: dict[str, Any], where: str, says: str
) -> None:
    found = refused(values)
    assert says in found[where], found


CONTROL = {"kind": "CONTROL_SEQUENCE_START", "int32_false_true": [0, 1]}
STATE = {"input_name": "a", "output_name": "b", "data_type": "TYPE_FP32", "dims": [-1]}
TEXTS = STATE | {"data_type": "TYPE_STRING"}
FIRST = {"name": "i", "data_type": "TYPE_FP32", "dims": [2], "data_file": "h0"}


@pytest.mark.parametrize(
    ("batching", "where", "says"),
    [
        ({"control_input": [{"name": "s", "control": []}]}, "/control_input/0/control", "1 item"),
        (
            {"control_input": [{"name": "s", "control": [{"kind": "CONTROL_SEQUENCE_END"}]}]},
            "/control_input/0/control/0",
            "two values",
        ),
        (
            {"control_input": [{"name": "s", "control": [CONTROL | {"int32_false_true": [0]}]}]},
            "/control_input/0/control/0",
            "two values",
        ),
        (
            {"control_input": [{"name": n, "control": [CONTROL]} for n in "st"]},
            "/control_input/1/control/0/kind",
            "twice",
        ),
        (
            {"control_input": [{"name": "s", "control": [{"kind": "CONTROL_SEQUENCE_CORRID"}]}]},
            "/control_input/0/control/0/data_type",
            "TYPE_UINT64",
        ),
        ({"state": [STATE, STATE]}, "/state/1/input_name", "'a' is given twice"),
        (
            {
                "state": [
                    STATE
                    | {"initial_state": [{"name": "i", "data_type": "TYPE_FP32", "dims": [2, 2]}]}
                ]
            },
            "/state/0/initial_state/0/dims",
            "no case of",
        ),
        (
            {"state": [STATE | {"initial_state": [FIRST | {"zero_data": True}]}]},
            "/state/0/initial_state/0/data_file",
            "leave one out",
        ),
        (
            {"state": [STATE | {"initial_state": [FIRST | {"data_file": "../h0"}]}]},
            "/state/0/initial_state/0/data_file",
            "pattern",
        ),
        (
            {"state": [TEXTS | {"initial_state": [FIRST | {"data_type": "TYPE_STRING"}]}]},
            "/state/0/initial_state/0/data_file",
            "texts are empty",
        ),
        ({"max_sequence_idle_microseconds": 0}, "/max_sequence_idle_microseconds", "over before"),
    ],
)
def test_a_sequence_batcher_that_cannot_be_is_refused(
    batching: dict[str, Any], where: str, says: str
) -> None:
    found = refused({"sequence_batching": batching})
    assert says in found[f"/sequence_batching{where}"], found


def test_callers_do_not_see_what_the_sequence_batcher_fills() -> None:
    start = {"name": "start", "control": [CONTROL | {"kind": "CONTROL_SEQUENCE_END"}]}
    values = {"max_batch_size": 4, "sequence_batching": {"control_input": [start]}}
    profile = ServingProfile.from_values("p", values)
    config = version_config("onnx", COUNTER, profile, "cpu")
    assert [one["name"] for one in config["input"]] == ["x"]
    assert "CONTROL_SEQUENCE_END" in config_text("m", config)


def test_a_server_without_a_gpu_runs_the_groups_for_the_cpu_alone() -> None:
    groups = [{"kind": "KIND_GPU", "gpus": [0], "count": 2}, {"kind": "KIND_CPU", "count": 1}]
    profile = ServingProfile.from_values("p", {"instance_group": groups})
    both = {a: version_config("onnx", DIGITS, profile, a)["instance_group"] for a in ACCELERATORS}
    assert both["cpu"] == [{"count": 1, "kind": "KIND_CPU"}]
    assert both["gpu"][0] == {"count": 2, "kind": "KIND_GPU", "gpus": [0]}
    only = ServingProfile.from_values("p", {"instance_group": groups[:1]})
    on_cpu = version_config("onnx", DIGITS, only, "cpu")["instance_group"]
    assert on_cpu == [{"count": 2, "kind": "KIND_CPU"}]


def test_the_versions_own_parameters_give_way_to_the_profiles() -> None:
    profile = ServingProfile.from_values("p", {"parameters": {"intra_op_thread_count": "2"}})
    config = version_config(
        "onnx",
        DIGITS,
        profile,
        "cpu",
        parameters={"intra_op_thread_count": "1", "execution_mode": "0"},
    )
    assert config["parameters"] == {
        "execution_mode": {"string_value": "0"},
        "intra_op_thread_count": {"string_value": "2"},
    }
