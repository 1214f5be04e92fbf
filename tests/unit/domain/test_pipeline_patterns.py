"""Cascades and weighted averages: what their documents have to say, and whether members agree."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from control_plane.domain.pipelines.document import read_pipeline
from control_plane.domain.pipelines.flattening import flattened
from control_plane.domain.pipelines.layout import WIDTH
from control_plane.domain.pipelines.members import Member, Wiring
from control_plane.domain.pipelines.pattern_layout import pattern_drawing
from control_plane.domain.pipelines.patterns import CASCADE_STEP, Scale, Score
from control_plane.domain.pipelines.performance import StepCounts, pattern_figures
from control_plane.domain.pipelines.wiring import wire
from control_plane.domain.planning.model_config import ensemble_config
from control_plane.domain.planning.pattern_config import handed_on, pattern_config
from control_plane.domain.violations import InvalidInputError
from tests.support.pipelines import member
from tests.support.python_based import imported

SMALL = member("image FP32 -1 8 8", "logits FP32 -1 10", 32)
LARGE = member("image FP32 -1 8 8", "logits FP32 -1 10;features FP32 -1 64", 16)
MEMBERS = {("digits", 1): SMALL, ("digits", 2): LARGE}

ONE = {"name": "small", "model": "digits", "version": 1}
TWO = {"name": "large", "model": "digits", "version": 2}
CASCADE: dict[str, Any] = {
    "kind": "cascade",
    "confidence": {"output": "logits", "score": "softmax"},
    "steps": [{**ONE, "at_least": 0.9}, TWO],
}
AVERAGE: dict[str, Any] = {
    "kind": "weighted_average",
    "scale": "softmax",
    "steps": [{**ONE, "weight": 30}, {**TWO, "weight": 70}],
}


def wired(document: Any, *members: Member) -> Wiring:
    known = dict(zip(MEMBERS, members or MEMBERS.values(), strict=True))
    return wire(read_pipeline("p", document), known)


def refused(document: Any, *members: Member) -> dict[tuple[str, str], str]:
    """(pointer, code) -> the sentence."""
    with pytest.raises(InvalidInputError) as error:
        wired(document, *members)
    return {(v.pointer, v.code): v.detail for v in error.value.violations}


def shapes(wiring: Wiring, side: str) -> dict[str, list[int]]:
    tensors = getattr(wiring.signature, side)
    return {tensor.name: list(tensor.shape) for tensor in tensors}


def test_a_cascade_gives_what_all_of_its_steps_give_and_who_answered() -> None:
    wiring = wired(CASCADE)
    assert shapes(wiring, "inputs") == {"image": [-1, 8, 8]}
    assert shapes(wiring, "outputs") == {"logits": [-1, 10], CASCADE_STEP: [-1, 1]}
    assert wiring.max_batch_size == 16
    assert [finding.code for finding in wiring.findings] == ["smallest_batch"]


def test_an_average_gives_the_means_alone() -> None:
    assert shapes(wired(AVERAGE), "outputs") == {"logits": [-1, 10]}


@pytest.mark.parametrize("document", [CASCADE, AVERAGE])
def test_what_is_read_is_written_as_it_was(document: Any) -> None:
    pipeline = read_pipeline("p", document)
    assert pipeline.to_document() == document
    assert read_pipeline("p", pipeline.to_document()) == pipeline


def test_left_out_is_what_people_would_expect() -> None:
    cascade = read_pipeline("p", {**CASCADE, "confidence": {"output": "logits"}})
    assert cascade.confidence is not None
    assert cascade.confidence.score == Score.SOFTMAX
    average = read_pipeline("p", {"kind": "weighted_average", "steps": [ONE, TWO]})
    said = parameter(average_config(average), "weighted_average")
    assert (said["weights"], said["scale"]) == ([1, 1], "as_is")


@pytest.mark.parametrize(
    ("document", "pointer", "code"),
    [
        ({**CASCADE, "steps": [ONE, TWO]}, "/steps/0/at_least", "required"),
        ({**CASCADE, "steps": [{**ONE, "at_least": 1.5}, TWO]}, "/steps/0/at_least", "range"),
        (
            {**CASCADE, "steps": [{**ONE, "at_least": 0.5}, {**TWO, "at_least": 0.5}]},
            "/steps/1/at_least",
            "unknown",
        ),
        ({**CASCADE, "steps": [ONE]}, "/steps", "required"),
        ({**CASCADE, "confidence": None}, "/confidence", "required"),
        ({**CASCADE, "confidence": {"score": "softmax"}}, "/confidence/output", "type"),
        ({**CASCADE, "confidence": {"output": "y", "score": "x"}}, "/confidence/score", "invalid"),
        ({**CASCADE, "scale": "softmax"}, "/scale", "unknown"),
        ({**CASCADE, "inputs": ["image"]}, "/inputs", "unknown"),
        ({**AVERAGE, "confidence": {"output": "logits"}}, "/confidence", "unknown"),
        ({**AVERAGE, "scale": "loud"}, "/scale", "invalid"),
        ({**AVERAGE, "steps": [{**ONE, "weight": -1}, TWO]}, "/steps/0/weight", "range"),
        (
            {**AVERAGE, "steps": [{**ONE, "weight": 0}, {**TWO, "weight": 0}]},
            "/steps/0/weight",
            "invalid",
        ),
        (
            {**AVERAGE, "steps": [{**ONE, "inputs": {"image": "x"}}, TWO]},
            "/steps/0/inputs",
            "unknown",
        ),
        ({"steps": [{**ONE, "weight": 1}]}, "/steps/0/weight", "unknown"),
        ({"steps": [{**ONE, "at_least": 1}]}, "/steps/0/at_least", "unknown"),
        ({"steps": [ONE], "confidence": {"output": "logits"}}, "/confidence", "unknown"),
    ],
)
def test_documents_that_are_none(document: Any, pointer: str, code: str) -> None:
    assert (pointer, code) in refused(document)


@pytest.mark.parametrize(
    ("document", "second", "pointer", "code", "words"),
    [
        (CASCADE, replace(LARGE, decoupled=True), "/steps/1", "decoupled", "large"),
        (CASCADE, replace(LARGE, sequences=True), "/steps/1", "sequences", "large"),
        (CASCADE, replace(LARGE, max_batch_size=0), "/steps/1", "batchless_member", "large"),
        (AVERAGE, replace(LARGE, max_batch_size=0), "/steps/1", "batchless_member", "large"),
        (
            CASCADE,
            member("image FP32 -1 8 8", "scores FP32 -1 10"),
            "/steps",
            "unknown_tensor",
            "small gives logits; large gives scores",
        ),
        (
            CASCADE,
            member("image UINT8 -1 8 8", "logits FP32 -1 10"),
            "/steps/1",
            "datatype",
            "small and large differ in 'image': FP32, UINT8",
        ),
        (
            CASCADE,
            member("image FP32 -1 8 8", "logits FP32 -1 11"),
            "/steps/1",
            "shape",
            "differ in the shape of 'logits'",
        ),
        (
            CASCADE,
            member("image FP32 -1 8 8;mask BOOL -1 8", "logits FP32 -1 10"),
            "/steps/1",
            "unknown_tensor",
            "takes 'mask', and small does not",
        ),
        (
            CASCADE,
            member("picture FP32 -1 8 8", "logits FP32 -1 10"),
            "/steps/1",
            "unknown_tensor",
            "takes 'picture', and small does not",
        ),
    ],
)
def test_members_that_do_not_agree(
    document: Any, second: Member, pointer: str, code: str, words: str
) -> None:
    assert words in refused(document, SMALL, second)[pointer, code]


def test_confidence_is_found_from_numbers_that_every_step_gives() -> None:
    labels = member("image FP32 -1 8 8", "logits INT64 -1 10")
    found = refused(CASCADE, labels, labels)
    assert "is INT64" in found["/confidence/output", "datatype"]
    of_one = {**CASCADE, "confidence": {"output": "logits", "score": "binary"}}
    assert "one probability" in refused(of_one)["/confidence/score", "shape"]
    away = {**CASCADE, "confidence": {"output": "features"}}
    assert "step small has no output" in refused(away)["/confidence/output", "unknown_tensor"]


def test_there_is_no_mean_of_texts() -> None:
    texts = member("image FP32 -1 8 8", "logits FP32 -1 10;label BYTES -1 1", 8)
    assert "'label' is BYTES" in refused(AVERAGE, texts, texts)["/outputs", "datatype"]
    some = wired({**AVERAGE, "outputs": ["logits"]}, texts, texts)
    assert shapes(some, "outputs") == {"logits": [-1, 10]}


def average_config(pipeline: Any) -> Any:
    return pattern_config(pipeline, wire(pipeline, MEMBERS), {k: f"p{k[1]}" for k in MEMBERS})


def parameter(config: Any, backend: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(config["parameters"][backend]["string_value"])
    return said


def test_the_backends_read_what_is_compiled() -> None:
    """Both sides of the parameter, which no type holds together."""
    cascade = average_config(read_pipeline("p", CASCADE))
    read = imported("cascade", "cascade").read_cascade
    found = read({"cascade": cascade["parameters"]["cascade"]["string_value"]})
    assert (found.members, found.thresholds) == (("p1", "p2"), (0.9,))
    assert (found.output, found.score) == ("logits", "softmax")
    average = average_config(read_pipeline("p", AVERAGE))
    read = imported("weighted", "weighted_average").read_weighted
    found = read({"weighted_average": average["parameters"]["weighted_average"]["string_value"]})
    assert (found.members, found.weights, found.scale) == (("p1", "p2"), (30, 70), "softmax")


def test_both_sides_know_the_same_words() -> None:
    assert {score.value for score in Score} == set(imported("confidence", "cascade").SCORES)
    assert {s.value for s in Scale} == set(imported("weighted", "weighted_average").SCALES)
    assert imported("cascade", "cascade").STEP_OUTPUT == CASCADE_STEP


def test_whom_a_model_hands_its_requests_on_to_is_read_from_its_configuration() -> None:
    cascade = average_config(read_pipeline("p", CASCADE))
    assert handed_on(cascade) == {"p1", "p2"}
    line = wire(read_pipeline("p", {"steps": [ONE]}), MEMBERS)
    assert handed_on(ensemble_config(line, line.steps, {("digits", 1): "p1"})) == {"p1"}
    assert handed_on({"backend": "onnxruntime"}) == frozenset()


def test_in_a_graph_a_cascade_stays_one_step() -> None:
    cascade = wired(CASCADE)
    members = {("sure", 4): cascade.as_member}
    outer = read_pipeline("o", {"steps": [{"pipeline": "sure", "revision": 4}]})
    [step] = flattened(wire(outer, members), {("sure", 4): cascade})
    assert (step.name, step.runs.pipeline) == ("sure", True)


def drawn(document: Any) -> Any:
    pipeline = read_pipeline("p", document)
    return pattern_drawing(pipeline, wire(pipeline, MEMBERS))


def test_a_cascade_is_drawn_as_stairs_with_what_sends_rows_on() -> None:
    found = drawn(CASCADE)
    places = {node.name: (node.x, node.y) for node in found.nodes}
    assert places["small"][0] < places["large"][0]
    assert places["small"][1] < places["large"][1]
    labels = [edge.label for edge in found.edges if edge.label]
    assert labels == [
        "image FP32[?, 8, 8]",
        "rows less sure than 0.9",
        "logits FP32[?, 10]",
        "cascade_step INT32[?, 1]",
    ]
    assert all(0 <= x <= found.width - WIDTH for x, _ in places.values())


def test_an_average_is_drawn_side_by_side_with_what_each_counts() -> None:
    found = drawn(AVERAGE)
    small, large = (node for node in found.nodes if node.kind == "step")
    assert small.y == large.y
    assert small.x + WIDTH < large.x
    labels = [edge.label for edge in found.edges if edge.label]
    assert labels == ["image FP32[?, 8, 8]", "0.3 of the mean", "0.7 of the mean"]


def counted(requests: int, request_us: int) -> StepCounts:
    return StepCounts(requests, 0, requests, requests, request_us * requests, request_us * requests)


def test_a_pattern_is_as_fast_as_its_own_model_was_measured() -> None:
    steps = wired(CASCADE).steps
    counts = {"small": counted(100, 1000), "large": counted(20, 5000)}
    found = pattern_figures(steps, counts, counted(100, 2500))
    assert [one.latency_ms for one in found.steps] == [1.0, 5.0]
    assert (found.latency_ms, found.throughput, found.availability) == (2.5, 400.0, 1.0)
    assert found.path == ()


def test_a_pattern_that_nobody_asked_says_so() -> None:
    found = pattern_figures(wired(CASCADE).steps, {"small": counted(1, 1000)}, None)
    assert (found.latency_ms, found.unmeasured) == (None, ("large",))
