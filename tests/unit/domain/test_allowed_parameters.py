"""What an operator adds to the lists of parameters, and that each refusal says how."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from control_plane.domain.registry.allowed_parameters import (
    AllowedParameters,
    in_force,
    put_in_force,
)
from control_plane.domain.registry.uploaded_config import ConfigRefusedError, parameters_in
from control_plane.domain.serving.own_profile import read_own_profile
from control_plane.domain.violations import InvalidInputError


@pytest.fixture(autouse=True)
def nothing_more() -> Iterator[None]:
    before = in_force()
    yield
    put_in_force(before)


def allow(text: str) -> None:
    put_in_force(AllowedParameters.of(text))


def uploaded(framework: str, **parameters: str) -> dict[str, str]:
    said = {name.replace("__", "."): {"string_value": v} for name, v in parameters.items()}
    return parameters_in({"parameters": said}, framework, ())


def accelerated(name: str, **parameters: str) -> dict[str, Any]:
    chosen = {"cpu_execution_accelerator": [{"name": name, "parameters": parameters}]}
    return {"optimization": {"execution_accelerators": chosen}}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", ""),
        (" onnx:session.a , tensorflow:TF_* ,", "onnx:session.a,tensorflow:TF_*"),
        ("accelerator.migraphx:*", "accelerator.migraphx:*"),
    ],
)
def test_the_setting_is_read_as_it_is_written(text: str, written: str) -> None:
    allowed = AllowedParameters.of(text)
    assert str(allowed) == written
    assert AllowedParameters.of(written) == allowed


@pytest.mark.parametrize("text", ["onnx", "onnx:", ":a", "*:a", "onnx:a*b", "accelerator.:a"])
def test_what_is_no_entry_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NEREID_ALLOW_PARAMETERS"):
        AllowedParameters.of(text)


def test_a_model_may_bring_what_was_allowed_for_its_framework() -> None:
    with pytest.raises(ConfigRefusedError, match=r"NEREID_ALLOW_PARAMETERS=onnx:session\.b$"):
        uploaded("onnx", session__b="1")
    allow("onnx:session.*,pytorch:session.b")
    assert uploaded("onnx", session__b="1") == {"session.b": "1"}
    with pytest.raises(ConfigRefusedError, match=r"=pytorch:session\.bc$"):
        uploaded("pytorch", session__bc="1")


def test_a_file_is_named_whatever_was_allowed() -> None:
    allow("onnx:*")
    with pytest.raises(ConfigRefusedError, match=r"names no \*\.tar\.gz"):
        uploaded("onnx", EXECUTION_ENV_PATH="/srv/env.tar.gz")
    with pytest.raises(InvalidInputError, match="comes with the model"):
        read_own_profile("mine", {"parameters": {"EXECUTION_ENV_PATH": "/srv/env.tar.gz"}})


def test_a_profile_may_say_what_was_allowed_for_a_framework() -> None:
    document = {"parameters": {"session.b": "1"}}
    allow("accelerator.cuda:session.b")
    with pytest.raises(InvalidInputError, match=r"NEREID_ALLOW_PARAMETERS=FRAMEWORK:session\.b"):
        read_own_profile("mine", document)
    allow("onnx:session.b")
    assert read_own_profile("mine", document).parameters == {"session.b": "1"}


@pytest.mark.parametrize(
    ("name", "parameters", "entry"),
    [
        ("migraphx", {"fp16": "1"}, "accelerator.migraphx:*"),
        ("openvino", {"cache_dir": "/tmp/x"}, "accelerator.openvino:cache_dir"),  # noqa: S108
    ],
)
def test_an_accelerator_is_allowed_by_the_entry_that_the_refusal_names(
    name: str, parameters: dict[str, str], entry: str
) -> None:
    document = accelerated(name, **parameters)
    with pytest.raises(InvalidInputError) as refused:
        read_own_profile("mine", document)
    [violation] = refused.value.violations
    assert violation.detail.endswith(f"NEREID_ALLOW_PARAMETERS={entry}")
    allow(entry)
    assert read_own_profile("mine", document).to_document() == document
