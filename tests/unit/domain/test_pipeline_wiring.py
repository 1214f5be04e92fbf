"""Pipelines whose tensors fit together, and what is told of those whose do not."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from control_plane.domain.pipelines.document import read_pipeline
from control_plane.domain.pipelines.flattening import flattened
from control_plane.domain.pipelines.members import Member, Wiring
from control_plane.domain.pipelines.wiring import wire
from control_plane.domain.signature import Signature, Tensor
from control_plane.domain.violations import InvalidInputError
from tests.support.pipelines import Drawn, fitting, member

SCALE = member("raw UINT8 -1 -1 8", "image FP32 -1 -1 8")
DIGITS = member("image FP32 -1 1 8", "logits FP32 -1 10", 32)
LABELS = member("logits FP32 -1 10", "label BYTES -1;score FP32 -1", 16)
MEMBERS = {("scale", 1): SCALE, ("digits", 2): DIGITS, ("labels", 1): LABELS}

STEPS = [
    {"model": "scale", "version": 1},
    {"model": "digits", "version": 2},
    {"model": "labels", "version": 1},
]

LABELLED = {
    "output": [{"name": "image", "label_filename": "l.txt"}],
    "label_files": {"l.txt": ["cat"]},
}


def wired(document: Any, members: Any = MEMBERS) -> Wiring:
    return wire(read_pipeline("p", document), members)


def refused(document: Any, members: Any = MEMBERS) -> dict[tuple[str, str], str]:
    """(pointer, code) -> the sentence."""
    with pytest.raises(InvalidInputError) as error:
        wired(document, members)
    return {(v.pointer, v.code): v.detail for v in error.value.violations}


def test_equal_names_are_wired_by_themselves_in_whatever_order_they_stand() -> None:
    wiring = wired({"steps": STEPS[::-1]})
    assert [step.name for step in wiring.steps] == ["scale", "digits", "labels"]
    assert wiring.signature.to_document() == {
        "inputs": [{"name": "raw", "datatype": "UINT8", "shape": [-1, -1, 8]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "score", "datatype": "FP32", "shape": [-1]},
        ],
        "batched": True,
    }
    assert wiring.max_batch_size == 8
    assert wiring.tensors["image"] == Tensor("image", "FP32", (-1, 1, 8)), "what both sides allow"


def test_tensors_are_wired_by_the_names_that_they_are_given() -> None:
    twice = [
        {"name": "a", "model": "digits", "version": 2, "outputs": {"logits": "first"}},
        {"name": "b", "model": "digits", "version": 2, "outputs": {"logits": "second"}},
    ]
    wiring = wired({"steps": twice, "outputs": ["second", "first"]})
    assert [t.name for t in wiring.signature.outputs] == ["second", "first"]
    assert [t.name for t in wiring.signature.inputs] == ["image"]


@pytest.mark.parametrize(
    ("document", "pointer", "code", "words"),
    [
        (
            {"steps": [{"model": "digits", "version": 2, "inputs": {"imge": "x"}}]},
            "/steps/0/inputs/imge",
            "unknown_tensor",
            "digits version 2 has no input 'imge'; it has: image",
        ),
        (
            {"steps": STEPS[1:], "inputs": ["picture"]},
            "/steps/0/inputs/image",
            "unknown_tensor",
            "step digits takes tensor 'image', which no step gives",
        ),
        (
            {"steps": STEPS, "inputs": ["raw", "extra"]},
            "/inputs/1",
            "unused_input",
            "no step takes input 'extra'",
        ),
        (
            {"steps": STEPS, "outputs": ["labels"]},
            "/outputs/0",
            "unknown_tensor",
            "output 'labels' is given by no step; steps give: image, logits, label, score",
        ),
        (
            {"steps": STEPS, "outputs": ["raw"]},
            "/outputs/0",
            "unknown_tensor",
            "output 'raw' is an input, handed on as it is",
        ),
        (
            {"steps": STEPS, "outputs": ["logits"]},
            "/steps/2",
            "dead_end",
            "step labels is a dead end: nothing takes what it gives (label, score)",
        ),
        (
            {
                "steps": [*STEPS[:2], {**STEPS[2], "outputs": {"score": "odds"}}],
                "outputs": ["label"],
            },
            "/steps/2/outputs/score",
            "unused_output",
            "tensor 'odds' of step labels is used by nothing",
        ),
        (
            {"steps": [STEPS[1], {"name": "again", **STEPS[1]}]},
            "/steps/1/outputs/logits",
            "duplicate_producer",
            "tensor 'logits' is given by step digits and by step again",
        ),
        (
            {"steps": [STEPS[1], {**STEPS[2], "inputs": {"logits": "image"}}]},
            "/steps/1/inputs/logits",
            "shape",
            "tensor 'image' is [-1, 1, 8] as step digits takes it (image), and [-1, 10] as step "
            "labels takes it (logits)",
        ),
        (
            {"steps": [STEPS[0], {**STEPS[1], "inputs": {"image": "raw"}}]},
            "/steps/1/inputs/image",
            "datatype",
            "tensor 'raw' is UINT8 as step scale takes it (raw), and FP32 as step digits takes it",
        ),
        (
            {"steps": [{"model": "digits", "version": 3}]},
            "/steps/0/version",
            "not_found",
            "digits has no version 3 that is ready to serve",
        ),
        (
            {"steps": [{"endpoint": "digits"}]},
            "/steps/0/endpoint",
            "endpoint",
            "never an endpoint",
        ),
        (
            {"steps": STEPS[1:], "outputs": ["label"], "config": LABELLED},
            "/config/output/0/name",
            "unknown_tensor",
            "callers get no tensor 'image'; they get label",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(
    document: Any, pointer: str, code: str, words: str
) -> None:
    assert words in refused(document)[pointer, code]


def test_answers_of_any_number_are_not_kept() -> None:
    members = {("f", 1): member("x FP32 -1 1", "y FP32 -1 1", decoupled=True)}
    steps = [{"model": "f", "version": 1}]
    document = {"steps": steps, "config": {"response_cache": {"enable": True}}}
    assert ("/config/response_cache/enable", "exclusive") in refused(document, members)


def test_steps_that_wait_for_each_other_are_told_in_a_row() -> None:
    members = {("f", 1): member("x FP32 -1 1", "y FP32 -1 1")}
    steps = [
        {"name": "a", "model": "f", "version": 1, "inputs": {"x": "q"}, "outputs": {"y": "p"}},
        {"name": "b", "model": "f", "version": 1, "inputs": {"x": "p"}, "outputs": {"y": "q"}},
    ]
    [(place, words)] = refused({"steps": steps, "outputs": ["p"]}, members).items()
    assert place == ("/steps/0", "cycle")
    assert "a -> b -> a; step a hands 'p' to step b" in words


def test_what_takes_no_batches_takes_them_from_the_whole_pipeline() -> None:
    members = {
        ("one", 1): member("x FP32 1 4", "y FP32 1 4", 0),
        ("many", 1): member("y FP32 -1 4", "z FP32 -1 4"),
    }
    wiring = wired(
        {"steps": [{"model": "one", "version": 1}, {"model": "many", "version": 1}]}, members
    )
    assert wiring.max_batch_size == 0
    assert [(f.code, f.pointer) for f in wiring.findings] == [("batchless_member", "/steps/0")]
    rows = {**members, ("one", 1): member("x FP32 4", "y FP32 4", 0)}
    told = refused(
        {"steps": [{"model": "one", "version": 1}, {"model": "many", "version": 1}]}, rows
    )
    assert "a first -1 is the batch" in told["/steps/1/inputs/y", "shape"]


def test_a_free_first_dimension_takes_the_batch_of_the_pipeline() -> None:
    members = {
        ("any", 1): member("x FP32 -1 4", "y FP32 -1 4", 0),
        ("many", 1): member("y FP32 -1 4", "z FP32 -1 4"),
    }
    steps = [{"model": "any", "version": 1}, {"model": "many", "version": 1}]
    assert wired({"steps": steps}, members).max_batch_size == 8


def test_what_a_decoupled_step_gives_meets_nothing_that_came_another_way() -> None:
    members = {
        ("stream", 1): member("x FP32 -1 4", "y FP32 -1 4", decoupled=True),
        ("join", 1): member("y FP32 -1 4;x FP32 -1 4", "z FP32 -1 4"),
        ("after", 1): member("y FP32 -1 4", "z FP32 -1 4"),
    }
    stream = {"model": "stream", "version": 1}
    told = refused({"steps": [stream, {"model": "join", "version": 1}]}, members)
    assert "step join takes 'y', 'x', which do not come" in told["/steps/1", "decoupled"]
    assert wired({"steps": [stream, {"model": "after", "version": 1}]}, members).decoupled


def test_an_optional_input_is_left_out_unless_there_is_something_for_it() -> None:
    seed = member("x FP32 -1 4;seed INT64 -1 1", "y FP32 -1 4")
    members = {("noise", 1): replace(seed, optional=frozenset({"seed"}))}
    steps = [{"model": "noise", "version": 1}]
    assert [t.name for t in wired({"steps": steps}, members).signature.inputs] == ["x"]
    both = wired({"steps": steps, "inputs": ["x", "seed"]}, members)
    assert both.steps[0].inputs == {"x": "x", "seed": "seed"}


def test_a_pipeline_within_a_pipeline_is_written_out() -> None:
    inner = wired({"steps": STEPS[:2]})
    members = {**MEMBERS, ("front", 4): inner.as_member}
    outer = wired(
        {
            "steps": [
                {"name": "in", "pipeline": "front", "revision": 4, "inputs": {"raw": "pixels"}},
                STEPS[2],
            ],
            "outputs": ["label"],
        },
        members,
    )
    steps = flattened(outer, {("front", 4): inner})
    assert [(step.name, step.inputs, step.outputs) for step in steps] == [
        ("in/scale", {"raw": "pixels"}, {"image": "in/image"}),
        ("in/digits", {"image": "in/image"}, {"logits": "logits"}),
        ("labels", {"logits": "logits"}, {"label": "label"}),
    ]


def test_an_inner_step_for_what_nobody_takes_is_left_out() -> None:
    members = {
        ("a", 1): member("x FP32 -1 4", "y FP32 -1 4"),
        ("b", 1): member("w FP32 -1 4", "z FP32 -1 4"),
    }
    inner = wired({"steps": [{"model": "a", "version": 1}, {"model": "b", "version": 1}]}, members)
    both = {**members, ("q", 1): inner.as_member}
    outer = wired({"steps": [{"pipeline": "q", "revision": 1}], "outputs": ["y"]}, both)
    with pytest.raises(InvalidInputError, match="input 'w' is needed only for what"):
        flattened(outer, {("q", 1): inner})


@given(drawn=fitting())
def test_whatever_fits_is_taken_and_every_tensor_has_its_shape(drawn: Drawn) -> None:
    wiring = drawn.wired()
    assert sorted(step.name for step in wiring.steps) == sorted(
        step["name"] for step in drawn.document["steps"]
    )
    known = {tensor.name for tensor in wiring.signature.inputs}
    for step in wiring.steps:
        assert set(step.inputs.values()) <= known, "a step stands after those it takes from"
        known |= set(step.outputs.values())
    assert {tensor.name for tensor in wiring.signature.outputs} <= known == set(wiring.tensors)


@given(drawn=fitting(), data=st.data())
def test_one_tensor_of_another_type_or_size_is_found(drawn: Drawn, data: st.DataObject) -> None:
    handed = [
        (step, own)
        for step in drawn.wired().steps
        for own, tensor in step.inputs.items()
        if tensor not in {t.name for t in drawn.wired().signature.inputs}
    ]
    assume(handed)
    step, own = data.draw(st.sampled_from(handed))
    spoilt = data.draw(st.sampled_from(("datatype", "shape")))
    old = drawn.members[step.runs.key]
    new = tuple(_spoilt(t, spoilt) if t.name == own else t for t in old.signature.inputs)
    members = {
        **drawn.members,
        step.runs.key: Member(Signature(new, old.signature.outputs), old.max_batch_size),
    }
    told = refused(drawn.document, members)
    assert any(code == spoilt for _, code in told), told


def _spoilt(tensor: Tensor, what: str) -> Tensor:
    if what == "datatype":
        return Tensor(tensor.name, "FP64", tensor.shape)
    return Tensor(tensor.name, tensor.datatype, (*tensor.shape, 5))
