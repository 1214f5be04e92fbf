"""What a model is warmed up with."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.domain.planning.model_config import version_config
from control_plane.domain.serving.lint import Hardware, Subject, lint
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.serving.warmup import golden_files
from control_plane.domain.signature import Signature, Tensor

READS = Signature(
    inputs=(Tensor("words", "BYTES", (-1, 1)), Tensor("x", "FP32", (-1, -1))),
    outputs=(Tensor("y", "FP32", (-1, 1)),),
)
GOLDEN = [{"words": [2, 1], "x": [2, 5]}, {"words": [1, 1], "x": [1, 9]}]


def profile(warmup: dict[str, Any], **more: Any) -> ServingProfile:
    values = {"max_batch_size": 8, "model_warmup": warmup, **more}
    return ServingProfile.from_values("p", values)


def warmed(warmup: dict[str, Any], golden: Any = GOLDEN, **more: Any) -> list[dict[str, Any]]:
    served = profile(warmup, **more)
    return version_config("onnx", READS, served, "cpu", golden=golden)["model_warmup"]


def test_golden_examples_go_in_turn_with_their_shapes() -> None:
    samples = warmed({"batch_sizes": [1, 4, 8]})
    assert [(one["name"], one["batch_size"]) for one in samples] == [
        ("golden-1", 1),
        ("golden-4", 4),
        ("golden-8", 8),
    ]
    assert [one["inputs"]["x"]["dims"] for one in samples] == [["5"], ["9"], ["5"]]
    assert samples[1]["inputs"]["words"] == {
        "data_type": "TYPE_STRING",
        "dims": ["1"],
        "input_data_file": "golden-1-0",
    }
    assert golden_files(samples) == {
        "golden-0-0": (0, "words"),
        "golden-0-1": (0, "x"),
        "golden-1-0": (1, "words"),
        "golden-1-1": (1, "x"),
    }


def test_without_examples_they_are_zeros() -> None:
    [sample] = warmed({}, golden=[])
    assert sample["name"] == "zero-1"
    assert sample["inputs"]["x"] == {"data_type": "TYPE_FP32", "dims": ["1"], "zero_data": True}
    assert golden_files([sample]) == {}


@pytest.mark.parametrize(("data", "source"), [("zero", "zero_data"), ("random", "random_data")])
def test_who_wants_no_examples_gets_none(data: str, source: str) -> None:
    [sample] = warmed({"data": data})
    assert sample["inputs"]["x"] == {"data_type": "TYPE_FP32", "dims": ["1"], source: True}
    assert sample["inputs"]["words"]["zero_data"]


def test_without_batches_the_whole_example_is_sent_once() -> None:
    [sample] = warmed({"batch_sizes": [1, 4]}, max_batch_size=0)
    assert (sample["batch_size"], sample["inputs"]["x"]["dims"]) == (1, ["2", "5"])


def test_what_the_sequence_batcher_fills_is_filled() -> None:
    """Triton fills it for callers only; the model would miss it."""
    state = {"input_name": "x", "output_name": "y", "data_type": "TYPE_FP32", "dims": [-1]}
    [sample] = warmed({}, sequence_batching={"state": [state]}, golden=[{"words": [1, 1]}])
    assert sample["inputs"]["words"]["input_data_file"] == "golden-0-0"
    assert sample["inputs"]["x"] == {"data_type": "TYPE_FP32", "dims": ["1"], "zero_data": True}


@pytest.mark.parametrize(("examples", "found"), [(0, True), (2, False), (None, False)])
def test_a_warm_up_that_lacks_examples_is_a_finding(examples: int | None, found: bool) -> None:
    subject = Subject(profile({}), READS, "onnx", examples=examples)
    codes = [finding.code for finding in lint(subject, Hardware())]
    assert ("warmup-without-examples" in codes) is found
    plain = Subject(profile({"data": "zero"}), READS, "onnx", examples=examples)
    assert "warmup-without-examples" not in [one.code for one in lint(plain, Hardware())]
