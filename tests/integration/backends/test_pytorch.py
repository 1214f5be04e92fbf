"""The Python-based pytorch backend, in a real Triton."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException

from tests.support import models
from tests.support.triton import RunningTriton, running_triton, tensor

NUMPY = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}
TORCH = {kind: torch.from_numpy(np.zeros(1, dtype)).dtype for kind, dtype in NUMPY.items()}


class Affine(torch.nn.Module):
    """Learned nothing: y = x * 2 + 1, and the sum of each row."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x * 2 + 1, x.sum(dim=1)


class Table(torch.nn.Module):
    """Picks a row of three: fails where `at` is out of the table."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rows", torch.tensor([[0.0, 1], [10, 11], [20, 21]]))

    def forward(self, at: torch.Tensor, plus: float = 0.0) -> dict[str, torch.Tensor]:
        return {"row": self.rows[at] + plus}


class Words(torch.nn.Module):
    """How long each text is, and the texts themselves."""

    def forward(self, words: list[str]) -> tuple[torch.Tensor, list[str]]:
        return torch.tensor([len(word) for word in words]), words


class Many(torch.nn.Module):
    """Every type in and out again."""

    def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(each.clone() for each in given)


AFFINE = """
max_batch_size: 16
dynamic_batching { max_queue_delay_microseconds: 200000 preferred_batch_size: [8] }
input { name: "x" data_type: TYPE_FP32 dims: [3] }
output { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [3] }
output { name: "OUTPUT__1" data_type: TYPE_FP32 dims: [1] reshape { shape: [] } }
"""
ROWS = """
max_batch_size: 16
dynamic_batching { max_queue_delay_microseconds: 200000 preferred_batch_size: [8] }
input { name: "at" data_type: TYPE_INT64 dims: [1] reshape { shape: [] } }
output { name: "row" data_type: TYPE_FP32 dims: [2] }
"""
WORDS = """
input { name: "INPUT__0" data_type: TYPE_STRING dims: [-1] }
output { name: "OUTPUT__0" data_type: TYPE_INT64 dims: [-1] }
output { name: "OUTPUT__1" data_type: TYPE_STRING dims: [-1] }
"""


def served(repository: Path, name: str, file: str, config: str = "") -> Path:
    """The place of the model's file."""
    header = f'backend: "pytorch"\ndefault_model_filename: "{file}"\n'
    return models.model_directory(repository, name, header + config) / file


def script(module: torch.nn.Module, path: Path) -> None:
    with warnings.catch_warnings():  # deprecated by PyTorch, and what many teams have
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(module).save(str(path))


def export(module: torch.nn.Module, path: Path, *example: torch.Tensor) -> None:
    batch = torch.export.Dim("batch", min=1, max=4096)
    shapes = tuple({0: batch} for _ in example)
    if isinstance(module, Many):
        shapes = (shapes,)  # of its starred argument
    torch.export.save(torch.export.export(module, example, dynamic_shapes=shapes), str(path))


@pytest.fixture(scope="module")
def server() -> Iterator[RunningTriton]:
    with running_triton("torch") as running:
        repository = running.repository
        script(Affine(), served(repository, "scripted", "model.pt", AFFINE))
        export(Affine(), served(repository, "exported", "model.pt2", AFFINE), torch.ones(2, 3))
        export(Affine(), served(repository, "complete", "model.pt2"), torch.ones(2, 3))
        script(Table(), served(repository, "rows", "model.pt", ROWS))
        script(Words(), served(repository, "words", "model.pt", WORDS))
        example = [torch.zeros(2, 3, dtype=dtype) for dtype in TORCH.values()]
        export(Many(), served(repository, "many", "model.pt2"), *example)
        brain = [torch.zeros(2, 3, dtype=torch.bfloat16)]
        export(Many(), served(repository, "brain", "model.pt2"), *brain)
        for name in sorted(path.name for path in repository.iterdir()):
            running.load(name)
        yield running


@pytest.fixture(scope="module")
def client(server: RunningTriton) -> grpcclient.InferenceServerClient:
    return server.grpc_client()


@pytest.mark.parametrize("model", ["scripted", "exported", "complete"])
@pytest.mark.parametrize("rows", [1, 4])
def test_both_kinds_of_programs_answer_as_the_framework_does(client, model: str, rows: int) -> None:
    x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    answer = client.infer(model, [tensor("x", x)])
    wanted, sums = Affine()(torch.from_numpy(x))
    assert np.array_equal(answer.as_numpy("OUTPUT__0"), wanted.numpy())
    assert np.array_equal(answer.as_numpy("OUTPUT__1").reshape(-1), sums.numpy())


def test_one_output_alone_may_be_asked_for(client) -> None:
    wanted = [grpcclient.InferRequestedOutput("OUTPUT__1")]
    answer = client.infer("scripted", [tensor("x", np.ones((2, 3), np.float32))], outputs=wanted)
    assert answer.as_numpy("OUTPUT__0") is None
    assert answer.as_numpy("OUTPUT__1").reshape(-1).tolist() == [3.0, 3.0]


def test_an_exported_program_says_its_own_configuration(server: RunningTriton) -> None:
    _, config = server.call("/v2/models/complete/config")
    assert config["max_batch_size"] == 4
    assert [(t["name"], t["data_type"], t["dims"]) for t in config["input"]] == [
        ("x", "TYPE_FP32", [3])
    ]
    assert [t["name"] for t in config["output"]] == ["OUTPUT__0", "OUTPUT__1"]


def test_every_type_comes_back_as_it_went_in(server: RunningTriton, client) -> None:
    _, config = server.call("/v2/models/many/config")
    values = [np.arange(6).reshape(2, 3).astype(dtype) for dtype in NUMPY.values()]
    names = [each["name"] for each in config["input"]]
    answer = client.infer("many", [tensor(n, v) for n, v in zip(names, values, strict=True)])
    for i, value in enumerate(values):
        got = answer.as_numpy(f"OUTPUT__{i}")
        assert got.dtype == value.dtype
        assert np.array_equal(got, value)


def test_bf16_comes_back_as_it_went_in(server: RunningTriton, client) -> None:
    _, config = server.call("/v2/models/brain/config")
    value = np.array([[1.5, -2.0, 0.25]], np.float32)
    given = grpcclient.InferInput(config["input"][0]["name"], [1, 3], "BF16")
    given.set_data_from_numpy(value)
    answer = client.infer("brain", [given])
    assert np.array_equal(answer.as_numpy("OUTPUT__0"), value)


def test_texts_go_in_and_out_of_torchscript(client) -> None:
    words = np.array(["ü".encode(), b"", b"abc"], dtype=np.object_)
    answer = client.infer("words", [tensor("INPUT__0", words)])
    assert answer.as_numpy("OUTPUT__0").tolist() == [2, 0, 3]  # TorchScript counts bytes
    assert answer.as_numpy("OUTPUT__1").tolist() == words.tolist()
    with pytest.raises(InferenceServerException, match="is not UTF-8"):
        client.infer("words", [tensor("INPUT__0", np.array([b"\xff"], dtype=np.object_))])


def test_one_bad_request_of_a_batch_fails_alone(server: RunningTriton) -> None:
    results: dict[int, object] = {}

    def ask(index: int) -> None:
        at = np.array([index % 4], np.int64).reshape(1, 1)
        mine = grpcclient.InferenceServerClient(server.options.grpc)
        try:
            results[index] = mine.infer("rows", [tensor("at", at)]).as_numpy("row").tolist()
        except InferenceServerException as error:
            results[index] = error
        finally:
            mine.close()

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, result in results.items():
        if index % 4 == 3:
            assert "out of" in str(result)
        else:
            assert result == [[10.0 * (index % 4), 10.0 * (index % 4) + 1]]
    _, stats = server.call("/v2/models/rows/stats")
    batches = {each["batch_size"] for each in stats["model_stats"][0]["batch_stats"]}
    assert max(batches) > 1, "nothing was batched"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (
            'parameters { key: "INTRA_OP_THREAD_COUNT" value { string_value: "two" } }',
            "whole number",
        ),
        ('parameters { key: "INFERENCE_MODE" value { string_value: "maybe" } }', "true, false"),
        ('input { name: "z" data_type: TYPE_FP32 dims: [1] }', "takes 1 inputs"),
    ],
)
def test_what_cannot_be_loaded_says_why(server: RunningTriton, config: str, says: str) -> None:
    path = served(server.repository, "wrong", "model.pt", AFFINE + config)
    script(Affine(), path)
    with pytest.raises(RuntimeError):
        server.load("wrong")
    assert says in server.log.read_text()
