"""Ensembles of other people's repositories as pipelines' documents."""

from __future__ import annotations

import pytest

from control_plane.adapters.triton.pbtxt import config_values
from control_plane.domain.adoption.as_pipeline import AsPipeline, as_pipeline
from control_plane.domain.adoption.comparing import differences
from control_plane.domain.adoption.repository import Directory
from control_plane.domain.pipelines.document import read_pipeline
from control_plane.domain.violations import InvalidInputError
from tests.support.repositories import REPOSITORIES


def directory(name: str, text: str | None = None) -> Directory:
    path = REPOSITORIES / "everything" / name / "config.pbtxt"
    given = path.read_text() if text is None else text
    return Directory(name, config_values(given), "", {1: ()})


FROM_FILE = {"data_type": "TYPE_FP32", "dims": [1], "input_data_file": "x"}
STEP = "/ensemble_scheduling/step/0"
BARE = Directory("bare", None, "", {1: ("model.onnx",), 2: ("model.onnx",)})
WARMUP = "/model_warmup/0/inputs/x/data_type"
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
        ("model_warmup { name: 'w' inputs { key: 'x' value { dims: 1 } } }", WARMUP),
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


def test_what_an_ensemble_says_of_itself_is_kept_and_said_again() -> None:
    text = """
        response_cache { enable: true }
        parameters { key: 'team' value { string_value: 'vision' } }
        metric_tags { key: 'tier' value: 'gold' }
        model_warmup { name: 'w' batch_size: 1
            inputs { key: 'x' value { data_type: TYPE_FP32 dims: 2 zero_data: true } } }
    """
    found = made("e", f'platform: "ensemble" {text}')
    assert found.refused == ()
    steps = [{"model": "plain", "version": 1}]
    pipeline = read_pipeline("e", {**found.document, "steps": steps})
    assert read_pipeline("e", pipeline.to_document()) == pipeline
    assert pipeline.config is not None
    given = config_values(text)
    assert differences(given, pipeline.config.in_config()) == []


@pytest.mark.parametrize(
    ("config", "pointer"),
    [
        ({"dynamic_batching": {}}, "/config/dynamic_batching"),
        ({"parameters": {"a": 1}}, "/config/parameters/a"),
        ("fast", "/config"),
        (
            {"model_warmup": [{"name": "w", "inputs": {"x": FROM_FILE}}]},
            "/config/model_warmup/0/inputs/x/input_data_file",
        ),
    ],
)
def test_what_an_ensemble_cannot_say_is_refused(config: object, pointer: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        read_pipeline("e", {"steps": [{"model": "plain", "version": 1}], "config": config})
    assert [violation.pointer for violation in refused.value.violations] == [pointer]


def test_only_an_ensemble_has_a_configuration_of_its_own() -> None:
    steps = [{"name": name, "model": "plain", "version": 1} for name in ("a", "b")]
    document = {"kind": "weighted_average", "steps": steps, "config": {"metric_tags": {"a": "b"}}}
    with pytest.raises(InvalidInputError) as refused:
        read_pipeline("e", document)
    assert [violation.pointer for violation in refused.value.violations] == ["/config"]
