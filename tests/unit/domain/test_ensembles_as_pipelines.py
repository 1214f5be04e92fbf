"""Ensembles of other people's repositories as pipelines' documents."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control_plane.adapters.triton.pbtxt import config_values
from control_plane.domain.adoption.as_pipeline import AsPipeline, as_pipeline
from control_plane.domain.adoption.comparing import differences
from control_plane.domain.adoption.repository import Directory
from control_plane.domain.pipelines.document import Runs, read_pipeline
from control_plane.domain.planning.pipelines import Parts, compile_pipeline
from control_plane.domain.planning.plan import ModelDirectory
from control_plane.domain.signature import Signature, Tensor
from control_plane.domain.violations import InvalidInputError
from tests.support.plans import pipeline, version
from tests.support.repositories import REPOSITORIES


def directory(name: str, text: str | None = None) -> Directory:
    path = REPOSITORIES / "everything" / name / "config.pbtxt"
    given = path.read_text() if text is None else text
    return Directory(name, config_values(given), "", {1: ()}, ("own.txt",))


TIMES = Signature((Tensor("x", "FP32", (-1, 4)),), (Tensor("y", "FP32", (-1, 4)),))
SCORES = {"name": "scores", "label_filename": "l.txt"}
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
    found = made("outer")
    assert found.refused == ()
    document = found.document
    [inner, plain] = document["steps"]
    assert (inner["pipeline"], "revision" in inner) == ("inner", False)
    labelled = {**document["config"], "label_files": {"own.txt": ["none", "some"]}}
    filled = {**document, "steps": [{**inner, "revision": 1}, plain], "config": labelled}
    pipeline = read_pipeline("outer", filled)
    assert pipeline.steps[0].runs.pipeline
    assert pipeline.config is not None
    assert pipeline.config.labels == {"answer": "own.txt"}
    assert pipeline.config.texts == {"own.txt": "none\nsome\n"}
    assert read_pipeline("outer", pipeline.to_document()) == pipeline


@pytest.mark.parametrize(
    ("version", "here", "runs", "words"),
    [
        (
            -1,
            Runs("m", 5),
            {"model": "m", "version": 5},
            "the step of gone is pinned to m version 5",
        ),
        (
            2,
            Runs("m", 5),
            {"model": "m", "version": 5},
            "gone, which asks for version 2, is pinned",
        ),
        (
            -1,
            Runs("p", 3, pipeline=True),
            {"pipeline": "p", "revision": 3},
            "pipeline p revision 3",
        ),
    ],
)
def test_a_member_that_is_here_already_need_not_be_in_the_repository(
    version: int, here: Runs, runs: dict[str, object], words: str
) -> None:
    step = f"ensemble_scheduling {{ step {{ model_name: 'gone' model_version: {version} }} }}"
    config = directory("e", f'platform: "ensemble" {step}')
    found = as_pipeline(config, {}, {}, {"gone": here})
    assert found.refused == ()
    [made_of] = found.document["steps"]
    assert {key: made_of[key] for key in runs} == runs
    assert words in found.pinned[0]


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ("model_warmup { name: 'w' inputs { key: 'x' value { dims: 1 } } }", "/model_warmup"),
        ("optimization { eager_batching: true }", "/optimization"),
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
    """
    found = made("e", f'platform: "ensemble" {text}')
    assert found.refused == ()
    steps = [{"model": "plain", "version": 1}]
    pipeline = read_pipeline("e", {**found.document, "steps": steps})
    assert read_pipeline("e", pipeline.to_document()) == pipeline
    assert pipeline.config is not None
    given = config_values(text)
    assert differences(given, pipeline.config.in_config()) == []


def test_labels_lie_beside_the_ensemble_and_are_part_of_what_it_is() -> None:
    plain = pipeline(("times", 1))
    parts = Parts({("times", 1): version(1, model="times", signature=TIMES)})

    def compiled(*labels: str) -> ModelDirectory:
        words = {"output": [{**SCORES, "name": "y"}], "label_files": {"l.txt": list(labels)}}
        document = {**plain.pipeline.to_document(), "config": words}
        spec = replace(plain, pipeline=read_pipeline("line", document))
        return compile_pipeline(spec, parts).directory

    cats, dogs = compiled("cat"), compiled("dog")
    [output] = cats.variants["cpu"]["output"]
    assert (output["label_filename"], cats.texts["l.txt"]) == ("l.txt", "cat\n")
    assert cats.name != dogs.name


@pytest.mark.parametrize(
    ("config", "pointer"),
    [
        ({"dynamic_batching": {}}, "/config/dynamic_batching"),
        ({"parameters": {"a": 1}}, "/config/parameters/a"),
        ("fast", "/config"),
        ({"model_warmup": [{"name": "w"}]}, "/config/model_warmup"),
        ({"output": [SCORES]}, "/config/output/0/label_filename"),
        ({"label_files": {"l.txt": ["a"]}}, "/config/label_files/l.txt"),
        (
            {"output": [{**SCORES, "label_filename": "1/l"}], "label_files": {"1/l": []}},
            "/config/label_files/1~1l",
        ),
        ({"output": [SCORES, SCORES], "label_files": {"l.txt": []}}, "/config/output/1/name"),
        (
            {"output": [SCORES], "label_files": {"l.txt": ["a\nb"]}},
            "/config/label_files/l.txt/0",
        ),
        (
            {"output": [SCORES], "label_files": {"l.txt": ["a" * 999] * 1049}},
            "/config/label_files",
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
