"""Ensembles of other people's repositories as pipelines' documents."""

from __future__ import annotations

import pytest

from control_plane.adapters.triton.pbtxt import config_values
from control_plane.domain.adoption.as_pipeline import AsPipeline, as_pipeline
from control_plane.domain.adoption.repository import Directory
from control_plane.domain.pipelines.document import read_pipeline
from tests.support.repositories import REPOSITORIES


def directory(name: str, text: str | None = None) -> Directory:
    path = REPOSITORIES / "everything" / name / "config.pbtxt"
    given = path.read_text() if text is None else text
    return Directory(name, config_values(given), "", {1: ()})


STEP = "/ensemble_scheduling/step/0"
BARE = Directory("bare", None, "", {1: ("model.onnx",), 2: ("model.onnx",)})
NAMES = {"bare": "plain", "inner": "inner", "outer": "outer"}


def made(name: str, text: str | None = None) -> AsPipeline:
    known = {"bare": BARE, "inner": directory("inner")}
    return as_pipeline(directory(name, text), known, NAMES)


def test_steps_are_pinned_and_keep_their_tensors() -> None:
    found = made("inner")
    assert found.refused == ()
    assert found.pinned == ("the step of bare is pinned to its newest version, 2",)
    pipeline = read_pipeline("inner", found.document)
    assert [str(step.runs) for step in pipeline.steps] == ["plain version 2", "plain version 2"]
    assert [dict(step.inputs) for step in pipeline.steps] == [{"x": "raw"}, {"x": "once"}]
    assert (pipeline.inputs, pipeline.outputs) == (("raw",), ("twice",))


def test_an_inner_ensemble_is_a_pipeline_whose_revision_is_filled_in() -> None:
    document = made("outer").document
    [inner, plain] = document["steps"]
    assert (inner["pipeline"], "revision" in inner) == ("inner", False)
    filled = {**document, "steps": [{**inner, "revision": 1}, plain]}
    assert read_pipeline("outer", filled).steps[0].runs.pipeline


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ("response_cache { enable: true }", "/response_cache"),
        ("parameters { key: 'a' value { string_value: 'b' } }", "/parameters"),
        ("output { name: 'x' label_filename: 'l' }", "/output/0/label_filename"),
        ("input { name: 'x' optional: true }", "/input/0/optional"),
        ("ensemble_scheduling { step { model_name: 'gone' } }", f"{STEP}/model_name"),
        (
            "ensemble_scheduling { step { model_name: 'bare' model_namespace: 'n' } }",
            f"{STEP}/model_namespace",
        ),
    ],
)
def test_what_a_pipeline_has_no_place_for_is_refused(text: str, pointer: str) -> None:
    found = made("e", f'platform: "ensemble" {text}')
    assert [violation.pointer for violation in found.refused] == [pointer]
