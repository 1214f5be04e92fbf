"""The linter of repositories: every finding has a repository that has it and one that has not."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from control_plane.adapters.triton.pbtxt import config_values
from control_plane.domain.adoption.repository import Directory, readings
from control_plane.domain.adoption.repository_lint import Promise, lint_repository
from control_plane.domain.serving.lint import Hardware

HARDWARE = Hardware(cores=2, gpus=0)
TENSORS = """
input { name: "x" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 2 ] }
"""
ONNX = 'backend: "onnxruntime" max_batch_size: 8' + TENSORS
PYTHON = 'backend: "python" max_batch_size: 8' + TENSORS
SEQUENCE = (
    "sequence_batching { direct { max_queue_delay_microseconds: 10 } control_input "
    '{ name: "S" control { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } } }'
)
CACHE = "response_cache { enable: true }"


def model(
    config: str | None = ONNX,
    name: str = "m",
    *,
    versions: dict[int, tuple[str, ...]] | None = None,
    files: tuple[str, ...] = (),
    alone: bool = False,
) -> Directory:
    values = None if config is None else config_values(config)
    file = "model.py" if config and '"python"' in config else "model.onnx"
    given = {1: (file,)} if versions is None else versions
    return Directory(name, values, "", given, files, alone)


def ensemble(
    steps: str, *, rows: int = 8, tensors: str = TENSORS, name: str = "whole"
) -> Directory:
    text = f'platform: "ensemble" max_batch_size: {rows} {tensors}'
    return model(f"{text} ensemble_scheduling {{ {steps} }}", name, versions={1: ()})


def step(member: str = "m", x: str = "x", y: str = "y", more: str = "") -> str:
    return (
        f'step {{ model_name: "{member}" model_version: -1 {more} '
        f'input_map {{ key: "x" value: "{x}" }} output_map {{ key: "y" value: "{y}" }} }}'
    )


def codes(*directories: Directory, p99_ms: float | None = None) -> dict[str, str]:
    read = readings(directories, {})
    found = lint_repository(directories, read, Promise(p99_ms), HARDWARE)
    return {finding.code: finding.severity for each in found.values() for finding in each}


SPECIFIC = "version_policy { specific { versions: [ 1, 3 ] } }"
BATCHING = "dynamic_batching { preferred_batch_size: [ %d ] max_queue_delay_microseconds: 10 }"
LABELS = ONNX.replace("dims: [ 2 ]", 'dims: [ 2 ] label_filename: "labels.txt"')
LABELLED = TENSORS.replace("dims: [ 2 ]", 'dims: [ 2 ] label_filename: "labels.txt"')
WARM = ONNX + (
    ' model_warmup { name: "w" batch_size: 1 inputs { key: "x" value '
    '{ data_type: TYPE_FP32 dims: [ 4 ] input_data_file: "x.bin" } } }'
)
TORCH = ONNX.replace("onnxruntime", "pytorch")
WARM_TORCH = WARM.replace("onnxruntime", "pytorch").replace(
    'input_data_file: "x.bin"', "zero_data: 1"
)
SCRIPT = {1: ("model.pt",)}


@pytest.mark.parametrize(
    ("code", "bad", "good"),
    [
        ("name-differs", [model('name: "n" ' + ONNX)], [model('name: "m" ' + ONNX)]),
        ("no-versions", [model(versions={})], [model(versions={}, alone=True)]),
        (
            "absent-versions",
            [model(ONNX + SPECIFIC)],
            [model(ONNX + SPECIFIC, versions={1: ("model.onnx",), 3: ("model.onnx",)})],
        ),
        (
            "versions-not-served",
            [model(versions={1: ("model.onnx",), 2: ("model.onnx",)})],
            [model(ONNX + "version_policy { all { } }", versions=dict.fromkeys((1, 2), ("a",)))],
        ),
        ("missing-model-file", [model(versions={1: ("other.onnx",)})], [model()]),
        ("missing-labels", [model(LABELS)], [model(LABELS, files=("labels.txt",))]),
        ("missing-warmup-data", [model(WARM)], [model(WARM, files=("warmup/x.bin",))]),
        ("preferred-above-max", [model(ONNX + BATCHING % 16)], [model(ONNX + BATCHING % 8)]),
        ("cache-impossible", [model(ONNX + CACHE + SEQUENCE)], [model(ONNX + CACHE)]),
        (
            "cache-impossible",
            [model(PYTHON + CACHE + "model_transaction_policy { decoupled: true }")],
            [model(PYTHON + "model_transaction_policy { decoupled: true }")],
        ),
        ("cache-may-be-wrong", [model(PYTHON + CACHE)], [model(ONNX + CACHE)]),
        (
            "cold-start",
            [model(TORCH, versions=SCRIPT)],
            [model(WARM_TORCH, versions=SCRIPT)],
        ),
        ("tensors-unsaid", [model('backend: "python"')], [model('backend: "onnxruntime"')]),
        (
            "unknown-backend",
            [model(ONNX.replace('backend: "onnxruntime"', ""), versions={1: ("weights.bin",)})],
            [model(ONNX.replace('backend: "onnxruntime"', 'platform: "onnxruntime_onnx"'))],
        ),
        (
            "not-kept",
            [model(ONNX + " instance_group { rate_limiter { resources { name: 'r' } } }")],
            [model()],
        ),
        ("custom-backend", [model(ONNX.replace("onnxruntime", "own"))], [model()]),
        (
            "repository-agents",
            [model(ONNX + " model_repository_agents { agents { name: 'checksum' } }")],
            [model()],
        ),
        ("no-steps", [ensemble("")], [ensemble(step()), model()]),
        ("unknown-member", [ensemble(step("n")), model()], [ensemble(step()), model()]),
        (
            "unknown-member",
            [ensemble(step().replace("-1", "2")), model()],
            [ensemble(step().replace("-1", "1")), model()],
        ),
        (
            "ensemble-setting",
            [ensemble(step(), tensors=TENSORS + "optimization { eager_batching: true }"), model()],
            [ensemble(step()), model()],
        ),
        (
            "missing-labels",
            [ensemble(step(), tensors=LABELLED), model()],
            [replace(ensemble(step(), tensors=LABELLED), files=("labels.txt",)), model()],
        ),
        (
            "ensemble-batch",
            [ensemble(step(), rows=16), model()],
            [ensemble(step(), rows=8), model()],
        ),
        (
            "ensemble-tensor",
            [ensemble(step(more='input_map { key: "z" value: "x" }')), model()],
            [ensemble(step()), model()],
        ),
        ("ensemble-tensor", [ensemble(step(x="q")), model()], [ensemble(step()), model()]),
        (
            "ensemble-tensor",
            [ensemble(step() + step()), model()],
            [ensemble(step(y="mid") + step(x="mid")), model()],
        ),
        (
            "ensemble-unused",
            [ensemble(step() + step(y="left")), model()],
            [ensemble(step()), model()],
        ),
        (
            "ensemble-cycle",
            [ensemble(step("b"), name="a"), ensemble(step("a"), name="b")],
            [ensemble(step("b"), name="a"), ensemble(step(), name="b"), model()],
        ),
    ],
)
def test_each_finding_is_made_where_it_holds_and_not_beside_it(
    code: str, bad: list[Directory], good: list[Directory]
) -> None:
    assert code in codes(*bad)
    assert code not in codes(*good)


def test_an_input_that_nobody_feeds_is_found_unless_it_is_optional() -> None:
    two = TENSORS + 'input { name: "z" data_type: TYPE_FP32 dims: [ 1 ] }'
    member = 'backend: "onnxruntime" max_batch_size: 8' + two
    assert "ensemble-tensor" in codes(ensemble(step()), model(member))
    optional = member.replace('name: "z"', 'name: "z" optional: true')
    assert "ensemble-tensor" not in codes(ensemble(step()), model(optional))


def test_what_was_promised_counts_for_every_model() -> None:
    slow = ONNX + "dynamic_batching { max_queue_delay_microseconds: 30000 }"
    assert codes(model(slow), p99_ms=20.0)["delay-over-sla"] == "error"
    assert "delay-over-sla" not in codes(model(slow))


def test_a_stall_that_was_reported_is_found_in_other_peoples_repositories() -> None:
    policy = "default_queue_policy { default_timeout_microseconds: 100000 }"
    assert "queue-timeout-stall" in codes(model(ONNX + f"dynamic_batching {{ {policy} }}"))


def test_the_worst_is_said_first() -> None:
    directory = model('name: "n" ' + PYTHON + CACHE, versions={1: ("model.py",), 2: ("model.py",)})
    assert list(codes(directory).values()) == ["error", "warning", "info"]


def test_a_file_that_no_version_may_have_is_refused() -> None:
    directory = model(versions={1: ("model.onnx", "weights of ours.bin")})
    assert codes(directory) == {"refused": "error"}


def test_every_finding_is_explained() -> None:
    explained = Path("docs/lint.md").read_text()
    made: set[str] = set()
    for name in ("repository_lint", "ensembles"):
        source = Path(f"control_plane/domain/adoption/{name}.py").read_text()
        made |= set(
            re.findall(r'"(?:error|warning|info)"(?: if [^\n]*)?,\s+"([a-z0-9-]+)"', source)
        )
        made |= set(re.findall(r'"([a-z]+-[a-z-]+)": "', source))
        made |= set(re.findall(r'\): "([a-z-]+)",', source))
    assert len(made) >= 18
    assert {code for code in made if f"`{code}`" not in explained} == set()
