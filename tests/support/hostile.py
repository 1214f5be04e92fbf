"""Files that mean harm, made when they are needed: none of them lies in the repository."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
}

GOOD_PYTHON = b"class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"


@dataclass(frozen=True)
class Hostile:
    """One such file; `word` is what the answer has to say of it."""

    name: str
    content: bytes
    word: str
    framework: str = "onnx"
    metadata: dict[str, Any] = field(default_factory=dict)
    status: int = 400


_MADE: list[Callable[[], Iterator[Hostile]]] = []


def _family(make: Callable[[], Iterator[Hostile]]) -> Callable[[], Iterator[Hostile]]:
    _MADE.append(make)
    return make


def hostile_files() -> list[Hostile]:
    """All of them."""
    return [one for make in _MADE for one in make()]


def good_onnx(**changes: Any) -> onnx.ModelProto:
    """y = x * 2, as it should be, less the changes."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])
    factor = helper.make_tensor("f", TensorProto.FLOAT, [1], [2.0])
    nodes = changes.get("nodes") or [helper.make_node("Mul", ["x", "f"], ["y"])]
    graph = helper.make_graph(nodes, "g", [x], [changes.get("y", y)], [factor])
    opset = helper.make_opsetid(changes.get("domain", ""), changes.get("opset", 17))
    model = helper.make_model(graph, opset_imports=[opset])
    model.ir_version = changes.get("ir_version", 8)
    return model


def zip_of(members: dict[str, bytes], **options: Any) -> bytes:
    """A zip of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", options.get("method", zipfile.ZIP_STORED)) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tar_of(*entries: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> bytes:
    """A tar of these entries."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for info, content in entries:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """The head of a tar's member."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def external(location: str, offset: str = "0", length: str = "4") -> bytes:
    """An ONNX file whose factor lies in another file."""
    model = good_onnx()
    [factor] = model.graph.initializer
    factor.ClearField("float_data")
    factor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        factor.external_data.add(key=key, value=value)
    return model.SerializeToString()


@_family
def _damaged() -> Iterator[Hostile]:
    good = good_onnx().SerializeToString()
    yield Hostile("empty.onnx", b"", "no graph")
    yield Hostile("text.onnx", b"I am a model, trust me", "ONNX")
    yield Hostile("cut.onnx", good[: len(good) // 2], "ONNX")
    yield Hostile("html.onnx", b"<!DOCTYPE html><html>404</html>", "ONNX")
    yield Hostile("elf.onnx", b"\x7fELF\x02\x01\x01" + bytes(64), "ONNX")
    yield Hostile("half.zip", zip_of({"model.onnx": good})[:-30], "archive")
    yield Hostile("half.tar.gz", tar_of((entry("model.onnx"), good), mode="w:gz")[:60], "archive")
    yield Hostile("gzip.onnx", b"\x1f\x8b" + bytes(100), "archive")


@_family
def _graphs() -> Iterator[Hostile]:
    def onnx_file(name: str, word: str, **changes: Any) -> Hostile:
        return Hostile(name, good_onnx(**changes).SerializeToString(), word)

    yield onnx_file("future-opset.onnx", "opset", opset=9999)
    yield onnx_file("future-ir.onnx", "checker", ir_version=9999)
    yield onnx_file(
        "unknown-operator.onnx", "checker", nodes=[helper.make_node("Explode", ["x"], ["y"])]
    )
    yield onnx_file(
        "dangling.onnx", "checker", nodes=[helper.make_node("Mul", ["x", "nothing"], ["y"])]
    )
    shape = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 7])
    yield onnx_file("contradicting-shapes.onnx", "shapes", y=shape)
    shapeless = helper.make_tensor_value_info("y", TensorProto.STRING, [None, 4])
    yield onnx_file("wrong-type.onnx", "shapes", y=shapeless)
    yield Hostile("nested.onnx", _field(7, _nested(200)), "ONNX")


def _nested(depth: int) -> bytes:
    """A graph in a graph in a graph: deeper than any parser follows."""
    inner = b""
    for _ in range(depth):
        inner = _field(1, _field(5, _field(6, inner)))  # node, attribute, graph
    return inner


def _field(number: int, content: bytes) -> bytes:
    """A field of a protobuf message that holds another message."""
    length, size = b"", len(content)
    while size >= 128:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


@_family
def _external_data() -> Iterator[Hostile]:
    yield Hostile("external.onnx", external("weights.bin"), "zip or tar")
    for name, location in (
        ("climbing", "../../etc/passwd"),
        ("absolute", "/etc/passwd"),
        ("missing", "other.bin"),
    ):
        archive = zip_of({"model.onnx": external(location), "weights.bin": bytes(4)})
        yield Hostile(f"external-{name}.zip", archive, "lie in")
    for name, offset, length in (("beyond", "0", "400"), ("negative", "-8", "4")):
        archive = zip_of(
            {"model.onnx": external("weights.bin", offset, length), "weights.bin": bytes(4)}
        )
        yield Hostile(f"external-{name}.zip", archive, "beyond the end")


@_family
def _names() -> Iterator[Hostile]:
    good = good_onnx().SerializeToString()
    for name, member in (
        ("slip", "../../escaped.txt"),
        ("absolute", "/tmp/escaped.txt"),  # noqa: S108 - nothing is written there, that is the test
        ("backslash", "..\\..\\escaped.txt"),
        ("hidden", ".ssh/authorized_keys"),
        ("newline", "a\nb"),
        ("unicode", "mod\u202eel.bin"),
        ("long", "x" * 300),
        ("deep", "/".join(["a"] * 20)),
        ("drive", "C:evil"),
    ):
        yield Hostile(f"zip-{name}.zip", zip_of({"model.onnx": good, member: b"x"}), "archive")
        if name in ("slip", "absolute"):
            tar = tar_of((entry("model.onnx"), good), (entry(member), b"x"))
            yield Hostile(f"tar-{name}.tar", tar, "archive")
    yield Hostile(
        "twice.tar", tar_of((entry("model.onnx"), good), (entry("model.onnx"), good)), "twice"
    )
    yield Hostile("case.zip", zip_of({"model.onnx": good, "MODEL.onnx": good}), "twice")
    yield Hostile(
        "folder-and-file.zip", zip_of({"a": b"1", "a/model.onnx": good}), "folder at once"
    )
    yield Hostile("no-model.zip", zip_of({"readme.txt": b"hello"}), "no model.onnx")
    yield Hostile("no-file.zip", zip_of({}), "no file")


@_family
def _kinds() -> Iterator[Hostile]:
    good = good_onnx().SerializeToString()
    for name, kind, word in (
        ("symlink", tarfile.SYMTYPE, "symbolic link"),
        ("hardlink", tarfile.LNKTYPE, "hard link"),
        ("device", tarfile.CHRTYPE, "device"),
        ("disk", tarfile.BLKTYPE, "device"),
        ("pipe", tarfile.FIFOTYPE, "pipe"),
    ):
        tar = tar_of((entry("model.onnx"), good), (entry("weights.bin", kind, "/etc/passwd"), b""))
        yield Hostile(f"{name}.tar", tar, word)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.onnx", good)
        link = zipfile.ZipInfo("weights.bin")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    yield Hostile("symlink.zip", buffer.getvalue(), "symbolic link")
    secret = bytearray(zip_of({"model.onnx": good}))
    for head, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        secret[secret.index(head) + flags] |= 1
    yield Hostile("encrypted.zip", bytes(secret), "encrypted")
    packed = zip_of({"model.onnx": good}, method=zipfile.ZIP_LZMA)
    yield Hostile("lzma.zip", packed, "method")


@_family
def _transforms() -> Iterator[Hostile]:
    good = b"""
inputs: [{name: x, datatype: FP32, dims: [4]}]
steps: [{op: clip, inputs: x, outputs: y, options: {min: 0}}]
outputs: [y]
"""
    laughs = b"a: &a [x, x]\n" + b"".join(
        b"%c: &%c [*%c, *%c]\n" % (i, i, i - 1, i - 1) for i in range(ord("b"), ord("z"))
    )
    for name, content, word in (
        ("prose", b"I am a transform, trust me", "inputs, steps and outputs"),
        ("laughs", laughs, "aliases"),
        ("tag", b"inputs: !!python/object/apply:os.system [id]", "neither YAML nor JSON"),
        ("deep", b"[" * 100_000, "nested too deep"),
        ("op", good.replace(b"clip", b"os.system"), "step 1 (os.system): there is no op"),
        ("file", good.replace(b"{min: 0}", b"{file: /etc/passwd}"), "step 1 (clip) options"),
        ("types", good.replace(b"FP32", b"BYTES"), "the tensor 'x' is BYTES[4]"),
    ):
        yield Hostile(f"{name}.transform.yaml", content, word, "transform")
    archive = zip_of({"transform.yaml": good, "ops.py": b"1"})
    yield Hostile("scripted-transform.zip", archive, "a transform is data", "transform")
    said = b"{file: tokenizer.json, max_length: 4}"
    tokens = good.replace(b"FP32, dims: [4]", b"BYTES, dims: [1]").replace(b"clip", b"tokenize")
    archive = zip_of(
        {
            "transform.yaml": tokens.replace(b"{min: 0}", said),
            "tokenizer.json": b'{"version": "1.0", "model": {"type": "BPE"}}',
        }
    )
    yield Hostile("tokenizer.zip", archive, "is no tokenizer", "transform")


@_family
def _bombs() -> Iterator[Hostile]:
    zeros = bytes(96 << 20)
    bomb = zip_of({"model.onnx": zeros}, method=zipfile.ZIP_DEFLATED)
    yield Hostile("bomb.zip", bomb, "grows beyond")
    yield Hostile("bomb.tar.gz", tar_of((entry("model.onnx"), zeros), mode="w:gz"), "grows beyond")
    yield Hostile("many.zip", zip_of({f"f{i}": b"" for i in range(1001)}), "1000 members")
    lying = bytearray(bomb)
    # The size that the directory announces is made small: what comes out is counted all the same.
    place = lying.rindex(b"PK\x01\x02") + 24
    lying[place : place + 4] = struct.pack("<I", 10)
    yield Hostile("lying.zip", bytes(lying), "")


@_family
def _code() -> Iterator[Hostile]:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path("/nonexistent/escaped").write_text, ("pickled",))

    said = {"signature": SIGNATURE}
    pickled = pickle.dumps(Evil())
    yield Hostile("pickle.pt", pickled, "neither", "pytorch", said)
    state = zip_of({"m/data.pkl": pickled, "m/version": b"3"})
    yield Hostile("state.pt", state, "pickled models", "pytorch", said)
    broken = zip_of({"m/constants.pkl": pickled, "m/data.pkl": pickled, "m/version": b"3"})
    yield Hostile("broken.pt", broken, "says no", "pytorch", said)
    yield Hostile("syntax.py", b"class TritonPythonModel(:\n", "line 1", "python", said)
    yield Hostile("nul.py", b"x = 1\0", "model.py", "python", said)
    yield Hostile("nested.py", b"x = " + b"(" * 5000 + b")" * 5000, "model.py", "python", said)
    yield Hostile("classless.py", b"import os\n", "TritonPythonModel", "python", said)
    yield Hostile("idle.py", b"class TritonPythonModel:\n    x = 1\n", "execute", "python", said)
    yield Hostile("unsigned.py", GOOD_PYTHON, "signature", "python")
    for name, config, word in (
        ("agent", "version_policy { all {} }", "nothing that an upload sets"),
        ("parameter", 'parameters { key: "LD_PRELOAD" value { string_value: "x" } }', "LD_PRELOAD"),
        (
            "environment",
            'parameters { key: "EXECUTION_ENV_PATH" value { string_value: "/etc/env.tar.gz" } }',
            "EXECUTION_ENV_PATH",
        ),
        ("backend", 'backend: "../../evil"', "backend"),
        ("library", 'model_operations { op_library_filename: "/lib/evil.so" }', "library"),
        ("grammar", "input {{{", "cannot be read"),
    ):
        archive = zip_of({"model.py": GOOD_PYTHON, "config.pbtxt": config.encode()})
        yield Hostile(f"config-{name}.zip", archive, word, "python", said)
