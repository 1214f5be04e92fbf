"""Framework x type x batch x batched or static x protocol, against the framework's own answers.

`make test` takes one of each: every framework, three rows of a batching model, over gRPC.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnxruntime
import pytest
import torch
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient
import tritonclient.utils.shared_memory as shm
import xgboost
from onnx import TensorProto, helper
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from tritonclient.utils import (
    deserialize_bf16_tensor,
    deserialize_bytes_tensor,
    serialize_bf16_tensor,
    serialize_byte_tensor,
    triton_to_np_dtype,
)

from control_plane.adapters.triton.pbtxt import config_text
from control_plane.domain.planning.model_config import version_config
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.signature import Signature, Tensor
from nereid.conversion import converted
from tests.support import models
from tests.support.triton import RunningTriton, running_triton

Arrays = Mapping[str, np.ndarray]

STATIC_ROWS, WIDTH = 4, 3
BATCHES = (1, 3, 8)
PROTOCOLS = ("grpc", "http", "grpc-shm", "http-shm")
ONNX_KINDS = tuple("BYTES" if kind == "STRING" else kind for kind in models.ONNX_TYPES)
TORCH_TYPES = {
    "BOOL": torch.bool,
    "UINT8": torch.uint8,
    "INT8": torch.int8,
    "INT16": torch.int16,
    "INT32": torch.int32,
    "INT64": torch.int64,
    "FP16": torch.float16,
    "BF16": torch.bfloat16,
    "FP32": torch.float32,
    "FP64": torch.float64,
}
ADDED_BY_ORT = ("FP16", "FP32", "FP64", "INT32", "INT64")
REGION_BYTES = 4096  # a tensor's shared memory: more than any of them takes

PYTHON = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [
            pb_utils.InferenceResponse([self.answer(tensor) for tensor in request.inputs()])
            for request in requests
        ]

    def answer(self, tensor):
        x = tensor.as_numpy()
        y = ~x if x.dtype == bool else x if x.dtype == object else x + x
        return pb_utils.Tensor(tensor.name().replace("x_", "y_"), y)
"""


class Doubled(torch.nn.Module):
    """Twice each tensor, and the contrary of what is true or false."""

    def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(~x if x.dtype == torch.bool else x + x for x in given)


# --- what each framework is given, and what it says itself ----------------------------------------


@dataclass(frozen=True)
class Case:
    """One model, and what its framework answers in this process."""

    framework: str
    kinds: tuple[str, ...]
    write: Callable[[Path, bool], str]
    """Writes the model, batching or static, and says the name of its file."""
    answer: Callable[[Path, Arrays], Arrays]

    def signature(self, batched: bool) -> Signature:
        shape = (-1 if batched else STATIC_ROWS, WIDTH)
        inputs, outputs = (
            tuple(Tensor(f"{side}_{kind}", kind, shape) for kind in self.kinds) for side in "xy"
        )
        return Signature(inputs, outputs)


def write_onnx(folder: Path, batched: bool) -> str:
    shape: list[Any] = ["batch" if batched else STATIC_ROWS, WIDTH]
    nodes, inputs, outputs = [], [], []
    for kind in ONNX_KINDS:
        element = models.ONNX_TYPES["STRING" if kind == "BYTES" else kind]
        x, y = f"x_{kind}", f"y_{kind}"
        inputs.append(helper.make_tensor_value_info(x, element, shape))
        outputs.append(helper.make_tensor_value_info(y, element, shape))
        if kind in ("BOOL", "BYTES"):
            nodes.append(helper.make_node("Not" if kind == "BOOL" else "Identity", [x], [y]))
        elif kind in ADDED_BY_ORT:
            nodes.append(helper.make_node("Add", [x, x], [y]))
        else:
            nodes += [
                helper.make_node("Cast", [x], [f"{x}_wide"], to=TensorProto.INT64),
                helper.make_node("Add", [f"{x}_wide"] * 2, [f"{y}_wide"]),
                helper.make_node("Cast", [f"{y}_wide"], [y], to=element),
            ]
    models.save_onnx(folder / "model.onnx", nodes, inputs, outputs)
    return "model.onnx"


def ask_ort(folder: Path, given: Arrays) -> Arrays:
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    names = [output.name for output in session.get_outputs()]
    given = {name: decoded(x) if x.dtype == object else x for name, x in given.items()}
    found = dict(zip(names, session.run(names, given), strict=True))
    return {name: encoded(y) if y.dtype == object else y for name, y in found.items()}


def decoded(texts: np.ndarray) -> np.ndarray:
    return np.array([text.decode() for text in texts.flat], object).reshape(texts.shape)


def encoded(texts: np.ndarray) -> np.ndarray:
    return np.array([text.encode() for text in texts.flat], object).reshape(texts.shape)


def torch_example(rows: int) -> tuple[torch.Tensor, ...]:
    return tuple(torch.zeros(rows, WIDTH, dtype=kind) for kind in TORCH_TYPES.values())


def write_scripted(folder: Path, batched: bool) -> str:
    with warnings.catch_warnings():  # deprecated by PyTorch, and what many teams have
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(Doubled(), torch_example(STATIC_ROWS))
        traced.save(str(folder / "model.pt"))
    return "model.pt"


def write_exported(folder: Path, batched: bool) -> str:
    example = torch_example(STATIC_ROWS)
    batch = torch.export.Dim("batch", min=1, max=64)
    shapes = (tuple({0: batch} for _ in example),) if batched else None
    program = torch.export.export(Doubled(), example, dynamic_shapes=shapes)
    torch.export.save(program, str(folder / "model.pt2"))
    return "model.pt2"


def ask_torch(folder: Path, given: Arrays) -> Arrays:
    if (folder / "model.pt").exists():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            program = torch.jit.load(str(folder / "model.pt"))
    else:
        program = torch.export.load(str(folder / "model.pt2")).module()
    tensors = []
    for kind in TORCH_TYPES:
        x = torch.from_numpy(given[f"x_{kind}"])
        tensors.append(x.to(torch.bfloat16) if kind == "BF16" else x)
    found = zip(TORCH_TYPES, program(*tensors), strict=True)
    return {f"y_{k}": (y.float() if k == "BF16" else y).numpy() for k, y in found}


def write_python(folder: Path, batched: bool) -> str:
    (folder / "model.py").write_text(PYTHON)
    return "model.py"


def ask_numpy(folder: Path, given: Arrays) -> Arrays:
    def twice(x: np.ndarray) -> np.ndarray:
        return ~x if x.dtype == bool else x if x.dtype == object else x + x

    return {name.replace("x_", "y_"): twice(x) for name, x in given.items()}


CASES = {
    "onnx": Case("onnx", ONNX_KINDS, write_onnx, ask_ort),
    "torchscript": Case("pytorch", tuple(TORCH_TYPES), write_scripted, ask_torch),
    "torch-export": Case("pytorch", tuple(TORCH_TYPES), write_exported, ask_torch),
    "python": Case("python", ONNX_KINDS, write_python, ask_numpy),
}


def values(kind: str, rows: int, seed: int) -> np.ndarray:
    """Any that the type holds: unsigned ones wrap where they are doubled."""
    draw = np.random.default_rng(seed)
    shape = (rows, WIDTH)
    if kind == "BYTES":
        words = np.array(["", "a", "Zürich", "数字", "a b"])
        return encoded(draw.choice(words, shape))
    if kind == "BF16":  # held by numpy as the FP32 that it is exactly
        return torch.from_numpy(draw.standard_normal(shape)).to(torch.bfloat16).float().numpy()
    dtype = np.dtype(triton_to_np_dtype(kind))
    if dtype.kind == "b":
        return draw.random(shape) < 0.5
    if dtype.kind == "f":
        return draw.standard_normal(shape).astype(dtype)
    info = np.iinfo(dtype)
    return draw.integers(info.min // 2, info.max // 2, shape, dtype, endpoint=True)


# --- asking the server ----------------------------------------------------------------------------


def serialized(kind: str, value: np.ndarray) -> bytes:
    if kind == "BYTES":
        return serialize_byte_tensor(value).item()
    return serialize_bf16_tensor(value).item() if kind == "BF16" else value.tobytes()


def deserialized(kind: str, raw: bytes, like: np.ndarray) -> np.ndarray:
    if kind == "BYTES":
        # Of a region nothing says how much of it was written: it is read text by text.
        return np.array(list(itertools.islice(_texts(raw), like.size)), object).reshape(like.shape)
    if kind == "BF16":
        return deserialize_bf16_tensor(raw[: like.size * 2]).reshape(like.shape)
    return np.frombuffer(raw, like.dtype, like.size).reshape(like.shape)


def _texts(raw: bytes) -> Iterator[bytes]:
    at = 0
    while True:
        size = int.from_bytes(raw[at : at + 4], "little")
        yield deserialize_bytes_tensor(raw[at : at + 4 + size])[0]
        at += 4 + size


@dataclass
class Caller:
    """Asks one server by one protocol."""

    server: RunningTriton
    protocol: str

    def __post_init__(self) -> None:
        self.kind = grpcclient if self.protocol.startswith("grpc") else httpclient
        grpc = self.kind is grpcclient
        self.client: Any = self.server.grpc_client() if grpc else self.server.http_client()
        self.headers = self.server.shm["grpc" if grpc else "http"]

    def ask(self, model: str, given: Arrays, signature: Signature, like: Arrays) -> Arrays:
        """The outputs; in shared memory, with the types and shapes of `like`."""
        if self.protocol.endswith("shm"):
            return self._ask_in_shared_memory(model, given, signature, like)
        inputs = []
        for tensor in signature.inputs:
            value = given[tensor.name]
            asked = self.kind.InferInput(tensor.name, list(value.shape), tensor.datatype)
            asked.set_data_from_numpy(value)
            inputs.append(asked)
        answer = self.client.infer(model, inputs)
        return {tensor.name: answer.as_numpy(tensor.name) for tensor in signature.outputs}

    def _ask_in_shared_memory(
        self, model: str, given: Arrays, signature: Signature, like: Arrays
    ) -> Arrays:
        with ExitStack() as open_regions:
            inputs, outputs, written = [], [], {}
            for tensor in signature.inputs:
                value = given[tensor.name]
                raw = serialized(tensor.datatype, value)
                region = self._region(open_regions, tensor.name)
                shm.set_shared_memory_region(region, [np.frombuffer(raw, np.uint8)])
                asked = self.kind.InferInput(tensor.name, list(value.shape), tensor.datatype)
                asked.set_shared_memory(tensor.name, len(raw))
                inputs.append(asked)
            for tensor in signature.outputs:
                written[tensor.name] = self._region(open_regions, tensor.name)
                wanted = self.kind.InferRequestedOutput(tensor.name)
                wanted.set_shared_memory(tensor.name, REGION_BYTES)
                outputs.append(wanted)
            self.client.infer(model, inputs, outputs=outputs)
            read = {
                name: shm.get_contents_as_numpy(region, np.uint8, [REGION_BYTES]).tobytes()
                for name, region in written.items()
            }
        return {
            tensor.name: deserialized(tensor.datatype, read[tensor.name], like[tensor.name])
            for tensor in signature.outputs
        }

    def _region(self, open_regions: ExitStack, name: str) -> Any:
        key = f"/{self.server.options.shm_prefix}{self.protocol}_{name}"
        region = shm.create_shared_memory_region(name, key, REGION_BYTES)
        open_regions.callback(shm.destroy_shared_memory_region, region)
        self.client.register_system_shared_memory(name, key, REGION_BYTES, headers=self.headers)
        open_regions.callback(
            self.client.unregister_system_shared_memory, name, headers=self.headers
        )
        return region


# --- the matrix -----------------------------------------------------------------------------------


def serve(server: RunningTriton, name: str, case: Case, batched: bool) -> Path:
    """Writes the model as the planner compiles it, and loads it; the folder of its file."""
    folder = server.repository / name / "1"
    folder.mkdir(parents=True)
    file = case.write(folder, batched)
    profile = ServingProfile.from_values("matrix", {"max_batch_size": 8, "dynamic_batching": {}})
    config = version_config(case.framework, case.signature(batched), profile, "cpu", main_file=file)
    (folder.parent / "config.pbtxt").write_text(config_text(name, config))
    server.load(name)
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[RunningTriton]:
    with running_triton("matrix") as running:
        yield running


@pytest.fixture(scope="module")
def folders(server: RunningTriton) -> Callable[[str, bool], Path]:
    """Each model is loaded when a test first asks for it."""
    loaded: dict[str, Path] = {}

    def folder(case: str, batched: bool) -> Path:
        name = model_name(case, batched)
        if name not in loaded:
            loaded[name] = serve(server, name, CASES[case], batched)
        return loaded[name]

    return folder


def model_name(case: str, batched: bool) -> str:
    return f"{case}-{'batched' if batched else 'static'}"


def cells() -> Iterator[Any]:
    shapes = [(True, rows) for rows in BATCHES] + [(False, STATIC_ROWS)]
    for (batched, rows), case, protocol in itertools.product(shapes, CASES, PROTOCOLS):
        usual = (batched, rows, protocol) == (True, 3, "grpc")
        yield pytest.param(
            case,
            batched,
            rows,
            protocol,
            marks=() if usual else pytest.mark.long,
            id=f"{model_name(case, batched)}-{rows}-{protocol}",
        )


@pytest.mark.parametrize(("case", "batched", "rows", "protocol"), list(cells()))
def test_answers_equal_the_frameworks_own(
    server: RunningTriton, folders, case: str, batched: bool, rows: int, protocol: str
) -> None:
    folder = folders(case, batched)
    signature = CASES[case].signature(batched)
    given = {
        tensor.name: values(tensor.datatype, rows, seed)
        for seed, tensor in enumerate(signature.inputs)
    }
    wanted = CASES[case].answer(folder, given)
    found = Caller(server, protocol).ask(model_name(case, batched), given, signature, wanted)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype, name
        assert np.array_equal(found[name], value), name


FITTED = {
    "scikit-learn": lambda: LogisticRegression(max_iter=5000),
    "xgboost": lambda: xgboost.XGBClassifier(n_estimators=20),
    "lightgbm": lambda: lightgbm.LGBMClassifier(n_estimators=20, verbose=-1),
}


@pytest.fixture(scope="module", params=FITTED)
def fitted_model(request: pytest.FixtureRequest, server: RunningTriton) -> Any:
    """A fitted classifier and the name under which its ONNX form is served; it completes itself."""
    x, y = load_wine(return_X_y=True)
    model = FITTED[request.param]().fit(x, y)
    folder = models.model_directory(server.repository, request.param, 'backend: "onnxruntime"\n')
    converted(model, x, folder)
    server.load(request.param)
    return model, request.param


@pytest.mark.long
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("rows", [1, 3, 4])
def test_fitted_models_answer_as_the_original(
    server: RunningTriton, fitted_model: Any, rows: int, protocol: str
) -> None:
    model, name = fitted_model
    x = load_wine(return_X_y=True)[0][60 : 60 + rows]
    metadata = server.http_client().get_model_metadata(name)
    [tensor] = metadata["inputs"]
    given = {tensor["name"]: x.astype(triton_to_np_dtype(tensor["datatype"]))}
    [output] = [o for o in metadata["outputs"] if o["datatype"].startswith("FP")]
    wanted = model.predict_proba(x)
    signature = Signature(
        (Tensor(tensor["name"], tensor["datatype"], (-1, 13)),),
        (Tensor(output["name"], output["datatype"], (-1, 3)),),
    )
    like = {output["name"]: wanted.astype(triton_to_np_dtype(output["datatype"]))}
    found = Caller(server, protocol).ask(name, given, signature, like)
    assert np.allclose(found[output["name"]], wanted, atol=1e-4)
