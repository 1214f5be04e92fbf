"""Model directories for tests, made from nothing: small ONNX files, Python models, routers."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper

PRIMARY_VERSION = 1_000_000_000

# Triton's name of a type, ONNX's of the same.
ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "STRING": TensorProto.STRING,
}


def save_onnx(
    path: Path, nodes: Sequence, inputs: Sequence, outputs: Sequence, constants=(), domains=()
) -> None:
    graph = helper.make_graph(nodes, "test", inputs, outputs, initializer=list(constants))
    own = [helper.make_opsetid(domain, 1) for domain in domains]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), *own])
    model.ir_version = 8  # one that every ONNX Runtime of the last years reads
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def multiplier(path: Path, factor: float, width: int = 4) -> None:
    """y = x * factor, batched: the answer tells which model gave it."""
    save_onnx(
        path,
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", width])],
        [helper.make_tensor("factor", TensorProto.FLOAT, [1], [factor])],
    )


def inverse(path: Path) -> None:
    """y is the inverse of a 2 x 2 matrix, by an operator of onnxruntime-extensions."""
    matrix = [2, 2]
    save_onnx(
        path,
        [helper.make_node("Inverse", ["x"], ["y"], domain="ai.onnx.contrib")],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, matrix)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, matrix)],
        domains=["ai.onnx.contrib"],
    )


def model_directory(repository: Path, name: str, config: str) -> Path:
    """`<repository>/<name>/config.pbtxt`; returns the folder of version 1."""
    version = repository / name / "1"
    version.mkdir(parents=True, exist_ok=True)
    (repository / name / "config.pbtxt").write_text(textwrap.dedent(config))
    return version


def multiplier_model(repository: Path, name: str, factor: float, config: str = "") -> None:
    """A served multiplier, its configuration completed by the backend."""
    version = model_directory(
        repository, name, f'backend: "onnxruntime"\n{textwrap.dedent(config)}'
    )
    multiplier(version / "model.onnx", factor)


def python_model(repository: Path, name: str, config: str, source: str) -> None:
    version = model_directory(repository, name, f'backend: "python"\n{textwrap.dedent(config)}')
    (version / "model.py").write_text(textwrap.dedent(source))


MULTIPLIER_SIGNATURE = """
max_batch_size: 8
input [{ name: "x" data_type: TYPE_FP32 dims: [4] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [4] }]
"""


def policy_text(
    endpoint: str,
    arms: Mapping[str, int],
    *,
    generation: int = 1,
    primary: str | None = None,
    words: Mapping[str, str] | None = None,
    allowances: Sequence[str] = (),
    slots: str = "",
    lines: Sequence[str] = (),
) -> str:
    """policy.txt: the arms in order, with their slots, one run for each unless `slots` says how.

    `words` are what stands behind an arm's name, `lines` what comes after the slots.
    """
    main = primary or next(iter(arms))
    text = ["nereid-traffic 1", f"endpoint {endpoint}", f"generation {generation}"]
    for arm in arms:
        more = (words or {}).get(arm, "")
        text.append(f"arm {arm}{' primary' if arm == main else ''}{' ' if more else ''}{more}")
    text += [f"allowance {allowance}" for allowance in allowances]
    runs = " ".join(f"{index}:{count}" for index, count in enumerate(arms.values()) if count)
    return "\n".join([*text, f"slots {slots or runs}", *lines, ""])


def write_policy(
    repository: Path, endpoint: str, text: str, version: int = PRIMARY_VERSION
) -> Path:
    path = repository / endpoint / str(version) / "policy.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def router(
    repository: Path,
    endpoint: str,
    arms: Mapping[str, int],
    *,
    pinned: Mapping[int, str] | None = None,
    signature: str = MULTIPLIER_SIGNATURE,
    generation: int = 1,
) -> None:
    """An endpoint's router: its policy, and one version for each that is pinned to an arm."""
    folder = repository / endpoint
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.pbtxt").write_text(
        'backend: "traffic"\nversion_policy { all {} }\n'
        "instance_group [{ kind: KIND_CPU count: 1 }]\n" + textwrap.dedent(signature)
    )
    write_policy(repository, endpoint, policy_text(endpoint, arms, generation=generation))
    for version, arm in (pinned or {}).items():
        write_policy(repository, endpoint, policy_text(endpoint, {arm: 10_000}), version)
