"""Profiles that come by a request: what is taken, and what would load code or files is not."""

from typing import Any

import pytest

from control_plane.adapters.profiles import load_profile, profile_names
from control_plane.domain.serving.lint import Hardware, Subject, lint
from control_plane.domain.serving.overriding import overridden
from control_plane.domain.serving.own_profile import MAX_PROFILE_BYTES, read_own_profile
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.violations import InvalidInputError


def refused(document: Any, name: str = "mine") -> dict[str, str]:
    with pytest.raises(InvalidInputError) as caught:
        read_own_profile(name, document)
    return {violation.pointer: violation.code for violation in caught.value.violations}


def accelerated(name: str, **parameters: str) -> dict[str, Any]:
    chosen = {"gpu_execution_accelerator": [{"name": name, "parameters": parameters}]}
    return {"optimization": {"execution_accelerators": chosen}}


WHERE = "/optimization/execution_accelerators/gpu_execution_accelerator/0"


@pytest.mark.parametrize("name", profile_names())
def test_what_comes_with_nereid_may_be_sent_too(name: str) -> None:
    document = load_profile(name).to_document()
    assert read_own_profile("mine", document).to_document() == document


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"parameters": {"EXECUTION_ENV_PATH": "/x.tar.gz"}}, "EXECUTION_ENV_PATH"),
        ({"parameters": {"session.register_custom_ops": "x.so"}}, "session.register_custom_ops"),
        ({"parameters": {"a/b": ""}}, "a~1b"),
    ],
)
def test_parameters_are_those_of_the_list(document: dict[str, Any], found: str) -> None:
    assert refused(document) == {f"/parameters/{found}": "not_allowed"}


def state(*dims: int) -> dict[str, Any]:
    one = {"input_name": "a", "output_name": "b", "data_type": "TYPE_FP32", "dims": list(dims)}
    return {"sequence_batching": {"direct": {}, "state": [one]}}


@pytest.mark.parametrize(
    ("document", "most", "place"),
    [
        (lambda n: {"max_batch_size": n}, 1 << 20, "/max_batch_size"),
        (lambda n: {"instance_group": [{"count": n - 1}, {"count": 1}]}, 256, "/instance_group"),
        (
            lambda n: {"dynamic_batching": {"priority_levels": n, "default_priority_level": 1}},
            1024,
            "/dynamic_batching/priority_levels",
        ),
        (lambda n: {"model_warmup": {"count": n}}, 10_000, "/model_warmup"),
        (
            lambda n: {"sequence_batching": {"oldest": {"max_candidate_sequences": n}}},
            1 << 16,
            "/sequence_batching/oldest",
        ),
        (lambda n: state(n), 1 << 26, "/sequence_batching/state/0/dims"),
    ],
)
def test_what_would_take_a_server_down_is_refused(document: Any, most: int, place: str) -> None:
    """In a profile of somebody's own, and in what a version or an arm says otherwise."""
    read_own_profile("mine", document(most))
    assert refused(document(most + 1)) == {place: "range"}
    silent = ServingProfile.from_values("mine", {})
    overridden(silent, document(most))
    with pytest.raises(InvalidInputError) as caught:
        overridden(silent, document(most + 1), "/overrides")
    assert [one.pointer for one in caught.value.violations] == [f"/overrides{place}"]


def test_known_parameters_are_taken() -> None:
    known = {"intra_op_thread_count": "2", "INTER_OP_THREAD_COUNT": "1"}
    assert read_own_profile("mine", {"parameters": known}).parameters == known
    long = {"parameters": {"intra_op_thread_count": "1" * 4097}}
    assert refused(long) == {"/parameters/intra_op_thread_count": "max_length"}


def test_accelerators_have_a_list_of_their_own() -> None:
    read_own_profile("mine", accelerated("tensorrt", precision_mode="FP16"))
    cache = accelerated("tensorrt", trt_engine_cache_path="/etc")
    assert refused(cache) == {f"{WHERE}/parameters/trt_engine_cache_path": "not_allowed"}
    assert refused(accelerated("/lib/own.so")) == {f"{WHERE}/name": "not_allowed"}


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ([], {"": "type"}),
        ({"name": "another"}, {"/name": "unknown"}),
        ({"description": "\0"}, {"/description": "invalid"}),
        ({"metric_tags": {"a": "x" * MAX_PROFILE_BYTES}}, {"": "max_length"}),
        ({"max_batchsize": 1}, {"/max_batchsize": "unknown"}),
        ({"max_batch_size": -1}, {"/max_batch_size": "greater_than_equal"}),
    ],
)
def test_what_is_no_profile_is_refused_with_its_place(document: Any, found: dict[str, str]) -> None:
    assert refused(document) == found


def test_names_follow_the_rule() -> None:
    for name in ("", "Mine", "a.b", "x" * 64, "-a"):
        assert refused({}, name) == {"/name": "invalid_name"}


def test_without_a_model_the_linter_says_what_is_so_for_every_model() -> None:
    given = {"dynamic_batching": {}, "response_cache": {"enable": True}}
    alone = lint(Subject(ServingProfile.from_values("p", given)), Hardware(cores=1, gpus=0))
    assert [finding.code for finding in alone] == ["batching-without-batches"]
