"""What becomes of other people's configurations, and that nothing of one is lost in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from control_plane.adapters.triton.pbtxt import config_text, config_values
from control_plane.domain.adoption.comparing import differences, normalised
from control_plane.domain.adoption.exporting import exported
from control_plane.domain.adoption.names import suggested_name
from control_plane.domain.adoption.reading import Reading, read_config
from control_plane.domain.adoption.repository import Directory, readings
from control_plane.domain.names import is_public_name
from control_plane.domain.planning.model_config import ANY_SERVER, version_config
from control_plane.domain.planning.plan import VersionSpec
from control_plane.domain.registry.frameworks import AGENT as AGENTS
from control_plane.domain.registry.frameworks import LIBRARY, RUNTIME
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.violations import ConflictError
from tests.support.plans import DIGITS
from tests.support.profiles import profiles
from tests.support.repositories import NATIVE_FILES, REPOSITORIES

TENSORS = """
input { name: "x" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 2 ] }
"""
ONNX = 'backend: "onnxruntime" max_batch_size: 8' + TENSORS
METRICS = "model_metrics { metric_control { metric_identifier { family: 'f' } } }"
AGENT = "model_repository_agents { agents { name: '../a' } }"
ON_CPU = "cpu_execution_accelerator"
FILES = {
    "scaler": ("scaler.onnx",),
    "Greeter.v2": ("model.py",),
    "counter": ("model.py",),
    "stream": ("streaming.py",),
    "inverse": ("model.onnx",),
    "passes": (),
    **NATIVE_FILES,
}
MADE = {
    "scaler": ["warmup/four.bin"],
    "guarded": ["libfirst.so"],
    "inverse": ["libextensions.so"],
}
CONFIGS = [
    path
    for path in sorted(REPOSITORIES.glob("*/*/config.pbtxt"))
    if path.parent.name not in ("inner", "outer")
]


def beside(folder: Path) -> list[str]:
    made = MADE.get(folder.name, [])
    found = (path for path in folder.rglob("*") if path.is_file())
    return made + [str(path.relative_to(folder)) for path in found]


def compiled(reading: Reading) -> dict[str, Any]:
    assert not reading.refused
    assert reading.profile is not None
    assert reading.signature is not None
    values = version_config(
        reading.framework,
        reading.signature,
        reading.profile,
        ANY_SERVER,
        main_file=reading.main_file,
        parameters=reading.parameters,
        details=reading.details,
    )
    # What Nereid compiles goes through the text that Triton reads.
    return config_values(config_text("m", values))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.parent.name)
def test_what_would_be_served_means_what_stands_there(path: Path) -> None:
    theirs = config_values(path.read_text())
    folder = path.parent
    reading = read_config("m", theirs, FILES[folder.name], beside(folder))
    ours = compiled(reading)
    policy = reading.details.to_document()["version_policy"]
    assert differences(theirs, {**ours, "version_policy": policy}) == []


@given(profiles())
@settings(max_examples=60)
def test_any_profile_that_is_compiled_is_read_as_what_it_was(values: dict[str, Any]) -> None:
    values = {k: v for k, v in values.items() if k != "description"}
    wanted = version_config("onnx", DIGITS, ServingProfile.from_values("p", values), ANY_SERVER)
    theirs = config_values(config_text("m", wanted))
    reading = read_config("m", theirs, ("model.onnx",))
    assert reading.changed == ()
    assert differences(theirs, compiled(reading)) == []


@given(profiles(), profiles())
@settings(max_examples=60)
def test_two_configurations_mean_the_same_when_they_normalise_alike(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    left, right = (
        version_config("onnx", DIGITS, ServingProfile.from_values("p", values), ANY_SERVER)
        for values in (one, other)
    )
    assert (differences(left, right) == []) == (normalised(left) == normalised(right))
    assert differences(left, left) == []
    assert normalised(normalised(left)) == normalised(left)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("", "instance_group { kind: KIND_AUTO }"),
        ("", "instance_group { count: 2 }"),
        ("", "version_policy { latest { num_versions: 1 } }"),
        ("", 'default_model_filename: "model.onnx"'),
        ("", "response_cache { enable: false }"),
        ("max_batch_size: 0", ""),
        (
            "sequence_batching { }",
            "sequence_batching { direct { } max_sequence_idle_microseconds: 1000000 }",
        ),
        ("dynamic_batching { }", "dynamic_batching { max_queue_delay_microseconds: 0 }"),
    ],
)
def test_what_triton_fills_in_is_no_difference(one: str, other: str) -> None:
    texts = (f'backend: "onnxruntime" {text}' for text in (one, other))
    left, right = (config_values(text) for text in texts)
    assert differences(left, right) == []


@pytest.mark.parametrize(
    ("one", "other", "pointer"),
    [
        ("", "dynamic_batching { }", "/dynamic_batching"),
        ("", "instance_group { count: 1 }", "/instance_group/0/count"),
        ("", "optimization { input_pinned_memory { } }", "/optimization"),
        ("", "version_policy { all { } }", "/version_policy/all"),
        ("max_batch_size: 4", "max_batch_size: 8", "/max_batch_size"),
        (
            'parameters { key: "a" value { string_value: "1" } }',
            'parameters { key: "a" value { string_value: "01" } }',
            "/parameters/a/string_value",
        ),
        (
            "sequence_batching { direct { } }",
            "sequence_batching { oldest { } }",
            "/sequence_batching/direct",
        ),
        (
            TENSORS,
            TENSORS.replace("dims: [ 4 ]", "dims: [ 4 ] optional: true"),
            "/input/0/optional",
        ),
        (
            TENSORS,
            TENSORS.replace("dims: [ 4 ]", "dims: [ 4 ] reshape { shape: [ ] }"),
            "/input/0/reshape",
        ),
    ],
)
def test_what_means_something_else_is_a_difference(one: str, other: str, pointer: str) -> None:
    texts = (f'backend: "onnxruntime" {text}' for text in (one, other))
    left, right = (config_values(text) for text in texts)
    assert pointer in [difference.pointer for difference in differences(left, right)]


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        (ONNX + METRICS, "/model_metrics/metric_control/0/histogram_options"),
        (ONNX + "model_operations { op_library_filename: '/l.so' }",
         "/model_operations/op_library_filename/0"),
        (ONNX + AGENT, "/model_repository_agents/agents/0/name"),
        (ONNX + "cc_model_filenames { key: '7.5' value: 'a' }", "/cc_model_filenames"),
        (ONNX + "cc_model_filenames { key: '7.5' value: '../a' }", "/cc_model_filenames/7.5"),
        (ONNX + "default_model_filename: '../a'", "/default_model_filename"),
        (ONNX + "parameters { key: 'own' value { string_value: '1' } }", "/parameters"),
        (ONNX + "runtime: '../own.so'", "/runtime"),
        (ONNX + f"optimization {{ execution_accelerators {{ {ON_CPU} {{ name: 'x' }} }} }}",
         f"/optimization/execution_accelerators/{ON_CPU}/0/name"),
        (ONNX.replace("onnxruntime", "traffic"), "/backend"),
        (ONNX.replace("onnxruntime", "../mine"), "/backend"),
        ('backend: "python"', "/input"),
        ("", "/backend"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_by_its_name(text: str, pointer: str) -> None:
    files = ("model.onnx",) if text else ("weights.bin",)
    refused = read_config("m", config_values(text), files).refused
    assert pointer in [violation.pointer for violation in refused]


def test_without_a_configuration_a_model_is_served_as_triton_completes_it() -> None:
    reading = read_config("m", None, ("model.onnx",))
    assert reading.profile is not None
    assert reading.profile.max_batch_size == 4
    assert reading.profile.dynamic_batching is not None
    assert {note.pointer for note in reading.changed} == {"/max_batch_size", "/dynamic_batching"}
    assert reading.signature is None


@pytest.mark.parametrize(
    ("name", "main_file", "code"),
    [
        ("guarded", "plain.onnx", (LIBRARY, AGENTS)),
        ("forest", "xgboost.json", ()),
        ("pair", "net.xml", (RUNTIME,)),
        ("folder", "a100.savedmodel/saved_model.pb", ()),
    ],
)
def test_files_keep_their_names_and_what_brings_code_is_told(
    name: str, main_file: str, code: tuple[str, ...]
) -> None:
    folder = REPOSITORIES / "native" / name
    values = config_values((folder / "config.pbtxt").read_text())
    reading = read_config("m", values, FILES[name], beside(folder))
    assert (reading.main_file, reading.details.code) == (main_file, code)


@pytest.mark.parametrize(
    ("said", "kept"),
    [("/models/m/1/ops.so", "ops.so"), ("m/lib/ops.so", "lib/ops.so"), ("ops.so", "ops.so")],
)
def test_a_library_is_the_file_that_its_path_ends_with(said: str, kept: str) -> None:
    values = config_values(ONNX + f'model_operations {{ op_library_filename: "{said}" }}')
    reading = read_config("m", values, ("model.onnx", kept))
    assert (reading.refused, reading.details.libraries) == ((), (kept,))
    assert [note.pointer for note in reading.changed] == ["/model_operations"] * (said != kept)


@pytest.mark.parametrize(
    ("name", "taken", "expected"),
    [
        ("resnet-50", (), "resnet-50"),
        ("ResNet 50 (v2)", (), "resnet-50-v2"),
        ("_x_", (), "x"),
        ("Ä", (), "model"),
        ("A.B", ("a-b", "a-b-2"), "a-b-3"),
        ("N" * 80, (), "n" * 63),
        ("N" * 80, ("n" * 63,), "n" * 61 + "-2"),
    ],
)
def test_a_name_that_is_none_here_gets_one(
    name: str, taken: tuple[str, ...], expected: str
) -> None:
    assert suggested_name(name, taken) == expected
    assert is_public_name(expected)


def test_an_export_has_its_files_where_triton_looks_and_says_what_is_lost() -> None:
    spec = VersionSpec(
        "m",
        7,
        "python",
        "a" * 64,
        DIGITS,
        ServingProfile.from_values("p", {"model_warmup": {}}),
        files={"model.py": "1", "env.tar.gz": "2", "__model__/labels.txt": "3", "data/x": "4"},
        parameters={"EXECUTION_ENV_PATH": "$$TRITON_MODEL_DIRECTORY/1/env.tar.gz"},
        golden_sha256="5" * 64,
        golden_shapes=({"image": (1, 1, 8, 8)},),
        p99_ms=20.0,
    )
    made = exported(spec)
    assert made.files == {
        "7/model.py": "1",
        "env.tar.gz": "2",
        "labels.txt": "3",
        "7/data/x": "4",
    }
    environment = made.config["parameters"]["EXECUTION_ENV_PATH"]["string_value"]
    assert environment == "$$TRITON_MODEL_DIRECTORY/env.tar.gz"
    assert "kind" not in made.config["instance_group"][0]
    assert len(made.lost) == 3
    for words in ("golden examples", "zeros", "20 ms"):
        assert any(words in lost for lost in made.lost)


def test_what_cannot_be_compiled_is_not_exported() -> None:
    spec = VersionSpec("m", 1, "onnx", "a" * 64, DIGITS, None, profile_error="it is gone")
    with pytest.raises(ConflictError, match="it is gone"):
        exported(spec)


@pytest.mark.parametrize(
    ("names", "renamed", "called"),
    [
        (["A", "a"], {}, {"a": "a", "A": "a-2"}),
        (["A", "a", "a-2"], {}, {"a": "a", "a-2": "a-2", "A": "a-3"}),
        (["x", "a"], {"x": "a"}, {"x": "a", "a": "a-2"}),
    ],
)
def test_no_two_directories_become_one_model(
    names: list[str], renamed: dict[str, str], called: dict[str, str]
) -> None:
    found = readings([Directory(name) for name in names], renamed)
    assert {directory: name for directory, (name, _) in found.items()} == called
