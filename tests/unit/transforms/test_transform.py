"""The file itself, and how its steps fit together."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import BaseModel

from backends.transform.nereid_transforms import table
from backends.transform.nereid_transforms.files import Files
from backends.transform.nereid_transforms.spec import SpecError, is_json
from backends.transform.nereid_transforms.tensor_type import TensorType
from backends.transform.nereid_transforms.transform import RowError, Transform
from tests.support.transforms import png, texts

DIGITS = b"""
description: From a picture to what the digits model takes, and how large it was.
inputs:
  - {name: png, datatype: BYTES, dims: [1]}
steps:
  - {op: decode_image, inputs: png, outputs: pixels, options: {mode: grey}}
  - {op: resize, inputs: pixels, outputs: small, options: {height: 8, width: 8, method: box}}
  - {op: to_chw, inputs: [small], outputs: {output: planes}}
  - op: normalize
    inputs: {input: planes}
    outputs: [image]
    options: {mean: [0], std: [1], scale: 0.0625}
outputs:
  - image
  - {name: file, from: png}
"""


def read(text: str | bytes) -> Transform:
    return Transform.read(text.encode() if isinstance(text, str) else text, Files({}))


def changed(old: str, new: str) -> str:
    assert old in DIGITS.decode()
    return DIGITS.decode().replace(old, new)


def test_types_follow_from_the_steps_alone() -> None:
    made = read(DIGITS)
    assert made.inputs == {"png": TensorType("BYTES", (1,))}
    assert made.outputs == {
        "image": TensorType("FP32", (1, 8, 8)),
        "file": TensorType("BYTES", (1,)),
    }
    assert made.types["pixels"] == TensorType("UINT8", (-1, -1, 1))


def test_images_of_several_sizes_become_one_batch() -> None:
    pixels = [np.full((size, size + 1), 16 * size, np.uint8) for size in (3, 8, 12)]
    files = texts(*(png(each) for each in pixels))
    image, file = read(DIGITS).run(["image", "file"], {"png": files})
    assert image.shape == (3, 1, 8, 8)
    assert [set(each.reshape(-1).tolist()) for each in image] == [{3.0}, {8.0}, {12.0}]
    assert np.array_equal(file, files)


def test_rows_of_several_sizes_go_through_steps_of_any_kind() -> None:
    # Nothing brings them to one size but the crop at the end.
    made = read(
        changed("op: resize", "op: to_chw")
        .replace(", options: {height: 8, width: 8, method: box}", "")
        .replace("op: to_chw, inputs: [small]", "op: transpose, inputs: [small]")
        .replace("{output: planes}}", "{output: planes}, options: {order: [1, 2, 0]}}")
        .replace("outputs: [image]", "outputs: [whole]")
        .replace(
            "outputs:\n  - image",
            "  - {op: crop, inputs: whole, outputs: image, options: "
            "{top: 0, left: 0, height: 2, width: 2}}\noutputs:\n  - image",
        )
    )
    sizes = [(3, 4), (5, 2)]
    files = texts(*(png(np.full(size, 32, np.uint8)) for size in sizes))
    [image] = made.run(["image"], {"png": files})
    assert image.shape == (2, 2, 2, 1)
    assert set(image.reshape(-1).tolist()) == {2.0}


def test_steps_that_nobody_asks_for_do_not_run() -> None:
    [file] = read(DIGITS).run(["file"], {"png": texts("no picture")})
    assert file.tolist() == [[b"no picture"]]
    with pytest.raises(RowError, match=r"step 1 \(decode_image\) of 'png': 10 bytes"):
        read(DIGITS).run(["image"], {"png": texts("no picture")})


def test_json_says_the_same() -> None:
    document = {
        "inputs": [{"name": "x", "datatype": "FP32", "dims": [2]}],
        "steps": [{"op": "clip", "inputs": "x", "outputs": "y", "options": {"min": 0}}],
        "outputs": ["y"],
    }
    content = json.dumps(document).encode()
    assert is_json(content)
    assert not is_json(DIGITS)
    [y] = read(content).run(["y"], {"x": np.array([[-1, 1]], np.float32)})
    assert y.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a mapping with inputs, steps and outputs"),
        ("- 1", "a mapping with inputs, steps and outputs"),
        ("a: [", "neither YAML nor JSON"),
        (b"\xff", "not UTF-8"),
        ("a: &x 1\nb: *x", "aliases (*name) are not taken"),
        ("inputs: 1\ninputs: 2", "the key 'inputs' is there twice"),
        ("a: !!python/object:os.system x", "neither YAML nor JSON"),
        ('{"inputs": NaN}', "NaN is no number in JSON"),
        ("[" * 100_000, "nested too deep"),
        ("a: 2024-99-99", "cannot be read"),
        ("x" * (4 << 20) + "y", "at most 4194304 bytes"),
        ("inputs: []\nsteps: []\noutputs: []", "inputs: the list should have at least 1 item"),
        (changed("inputs:\n  -", "input:\n  -"), "inputs is missing; there is no 'input' here"),
        (changed("dims: [1]", "dims: [0]"), "input 1 (png): a dimension is -1 or above 0"),
        (changed("dims: [1]", "dims: 1"), "input 1 (png) dims: "),
        (changed("BYTES", "STRING"), "input 1 (png): 'STRING' is none of BOOL, UINT8"),
        (changed("op: resize", "opp: resize"), "step 2: op is missing; step 2: there is no 'opp'"),
        (changed("op: resize", "op: resise"), "step 2 (resise): there is no op 'resise'; there"),
        (changed("height: 8", "high: 8"), "step 2 (resize) options: there is no 'high' here"),
        (changed("height: 8", "height: big"), "step 2 (resize) options height: input should be"),
        (
            changed("inputs: pixels", "inputs: pixel"),
            "step 2 (resize) takes 'pixel': no input and no step before it gives 'pixel'; there "
            "are png, pixels",
        ),
        (changed("outputs: small", "outputs: png"), "gives 'png', which is there already"),
        (
            changed("inputs: [small]", "inputs: 7"),
            "step 3 (to_chw) inputs: a tensor's name, a list of names, or a mapping",
        ),
        (changed("outputs: small", "outputs: a b"), "outputs: 'a b' names no tensor"),
        (changed("[small]", "[small, small]"), "takes at most 1 tensors (input), and 2 are named"),
        (changed("{input: planes}", "{image: planes}"), "takes no 'image', only input"),
        (changed("{output: planes}", "{y: planes}"), "step 3 (to_chw) gives no 'y', only output"),
        (changed("inputs: [small]", "inputs: []"), "takes input, and 'input' is not named"),
        (changed("  - image\n", ""), "step 4 (normalize) gives 'image', and nothing takes it"),
        (changed("  - image\n", "  - image\n  - image\n"), "two outputs have the same name"),
        (changed("from: png", "from: gif"), "the output 'file' is 'gif': no input and no step"),
        (
            changed("dims: [1]}", "dims: [1]}\n  - {name: more, datatype: FP32, dims: []}"),
            "nothing takes the input 'more': leave it out",
        ),
        (
            changed("dims: [1]}", "dims: [1]}\n  - {name: png, datatype: FP32, dims: []}"),
            "two inputs have the same name",
        ),
        (
            changed("op: to_chw, inputs: [small]", "op: softmax, inputs: [small]"),
            "step 3 (softmax): the tensor 'small' is UINT8[8,8,1], and it takes FP16 or FP32 or "
            "FP64: cast it first",
        ),
        (
            changed("op: to_chw, inputs: [small]", "op: one_hot, inputs: [small]")
            .replace("{output: planes}", "{output: planes}, options: {classes: 1048576}")
            .replace("height: 8, width: 8", "height: 800, width: 800"),
            "a row has at most 268435456 values",
        ),
    ],
)
def test_what_is_no_transform_is_refused_with_its_place(text: str | bytes, says: str) -> None:
    with pytest.raises(SpecError) as error:
        read(text)
    assert says in str(error.value)


def test_inputs_of_another_type_are_refused() -> None:
    two = read(SUM)
    with pytest.raises(RowError, match=r"disagree on how many rows there are: \[1, 3\]"):
        two.run(["y"], {"x": np.zeros((1, 2), np.float32), "z": np.zeros((3, 2), np.float32)})
    with pytest.raises(RowError, match="the input 'png' is missing"):
        read(DIGITS).run(["file"], {})
    with pytest.raises(RowError, match=r"'png' is float32\[1\], and BYTES\[1\] is asked for"):
        read(DIGITS).run(["file"], {"png": np.zeros((1, 1), np.float32)})


class Halved(BaseModel):
    """What an operator's package may hold: nothing in it is Nereid's."""

    takes: ClassVar[tuple[str, ...]] = ("input",)
    gives: ClassVar[tuple[str, ...]] = ("output",)
    by: float = 2

    def infer(self, types: Any) -> Any:
        datatype, dims = types["input"]
        if datatype != "FP32":
            raise ValueError("it halves FP32 alone")
        return {"output": (datatype, dims)}

    def run(self, values: Any) -> Any:
        if (values["input"] < 0).any():
            raise KeyError("whatever it raises")
        return {"output": values["input"] / self.by}


SUM = """
inputs: [{name: x, datatype: FP32, dims: [2]}, {name: z, datatype: FP32, dims: [2]}]
steps: [{op: add, inputs: [x, z], outputs: y}]
outputs: [y]
"""
OWN = """
inputs: [{name: x, datatype: FP32, dims: [2]}]
steps: [{op: halved, inputs: x, outputs: y, options: {by: 4}}]
outputs: [y]
"""


def installed(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    entry = EntryPoint("halved", value, table.ENTRY_POINTS)

    def entry_points(group: str) -> list[EntryPoint]:
        return [entry] if group == entry.group else []

    monkeypatch.setattr(table.importlib.metadata, "entry_points", entry_points)


def test_an_op_of_the_operators_own_works_as_ours_do(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, f"{__name__}:Halved")
    made = read(OWN)
    assert made.outputs == {"y": TensorType("FP32", (2,))}
    [y] = made.run(["y"], {"x": np.array([[2, 4]], np.float32)})
    assert (y.dtype, y.tolist()) == (np.float32, [[0.5, 1]])
    with pytest.raises(RowError, match=r"step 1 \(halved\) of 'x': 'whatever it raises'"):
        made.run(["y"], {"x": np.array([[-2, 4]], np.float32)})
    with pytest.raises(SpecError, match=r"step 1 \(halved\): it halves FP32 alone"):
        read(OWN.replace("datatype: FP32", "datatype: FP64"))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (f"{__name__}:DIGITS", "is no pydantic model with takes, gives, infer and run"),
        ("no.such.package:Halved", "cannot be imported: No module named"),
    ],
)
def test_an_op_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str, says: str
) -> None:
    installed(monkeypatch, value)
    with pytest.raises(SpecError, match=says):
        read(OWN)
    with pytest.raises(SpecError, match="and installed here: halved"):
        read(OWN.replace("op: halved", "op: halve"))
