"""The Python-based onnxruntime backend, in a real Triton."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from tests.support import models
from tests.support.triton import RunningTriton, running_triton, tensor

NUMPY = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "STRING": np.object_,
}


BATCHES = """
backend: "onnxruntime"
max_batch_size: 16
dynamic_batching { max_queue_delay_microseconds: 200000 preferred_batch_size: [8] }
"""


def identities(path) -> None:
    """Every type in and out again, with a batch dimension and a second one that varies."""
    infos = {
        kind: [
            helper.make_tensor_value_info(f"{side}_{kind}", element, ["batch", "n"])
            for side in ("in", "out")
        ]
        for kind, element in models.ONNX_TYPES.items()
    }
    models.save_onnx(
        path,
        [helper.make_node("Identity", [f"in_{kind}"], [f"out_{kind}"]) for kind in infos],
        [pair[0] for pair in infos.values()],
        [pair[1] for pair in infos.values()],
    )


def reciprocal_rows(path) -> None:
    """Picks the row `at` of a table of three: fails in ONNX Runtime where `at` is out of it."""
    models.save_onnx(
        path,
        [helper.make_node("Gather", ["table", "at"], ["row"])],
        [helper.make_tensor_value_info("at", TensorProto.INT64, ["batch"])],
        [helper.make_tensor_value_info("row", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor("table", TensorProto.FLOAT, [3, 2], [0, 1, 10, 11, 20, 21])],
    )


def halves(path) -> None:
    """BF16 in and out, as itself and as FP32, with an FP32 beside it."""
    half, wide = TensorProto.BFLOAT16, TensorProto.FLOAT
    models.save_onnx(
        path,
        [
            helper.make_node("Identity", ["x"], ["y"]),
            helper.make_node("Cast", ["x"], ["cast"], to=wide),
            helper.make_node("Add", ["cast", "plus"], ["wide"]),
        ],
        [
            helper.make_tensor_value_info("x", half, ["batch", 2]),
            helper.make_tensor_value_info("plus", wide, ["batch", 1]),
        ],
        [
            helper.make_tensor_value_info("y", half, ["batch", 2]),
            helper.make_tensor_value_info("wide", wide, ["batch", 2]),
        ],
    )


def scaled(path) -> None:
    """y = x * factor, where a factor of 3 is the model's own."""
    models.save_onnx(
        path,
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2]),
            helper.make_tensor_value_info("factor", TensorProto.FLOAT, ["rows", 1]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor("factor", TensorProto.FLOAT, [1, 1], [3.0])],
    )


@pytest.fixture(scope="module")
def server() -> Iterator[RunningTriton]:
    with running_triton("ort") as running:
        repository = running.repository
        shrinks = 'key: "memory.enable_memory_arena_shrinkage" value { string_value: "cpu:0" }'
        models.multiplier_model(repository, "double", 2.0, f"parameters {{ {shrinks} }}")
        identities(
            models.model_directory(repository, "identities", 'backend: "onnxruntime"')
            / "model.onnx"
        )
        reciprocal_rows(
            models.model_directory(
                repository,
                "rows",
                """
                backend: "onnxruntime"
                max_batch_size: 16
                dynamic_batching { max_queue_delay_microseconds: 200000 preferred_batch_size: [8] }
                default_model_filename: "rows.onnx"
                """,
            )
            / "rows.onnx"
        )
        halves(models.model_directory(repository, "halves", BATCHES) / "model.onnx")
        optional = """
        input { name: "x" data_type: TYPE_FP32 dims: [2] }
        input { name: "factor" data_type: TYPE_FP32 dims: [1] optional: true }
        output { name: "y" data_type: TYPE_FP32 dims: [2] }
        """
        scaled(models.model_directory(repository, "scaled", BATCHES + optional) / "model.onnx")
        for name in ("double", "identities", "rows", "halves", "scaled"):
            running.load(name)
        yield running


@pytest.fixture(scope="module")
def client(server: RunningTriton) -> grpcclient.InferenceServerClient:
    return server.grpc_client()


def test_the_configuration_is_completed_from_the_file(server: RunningTriton) -> None:
    _, config = server.call("/v2/models/double/config")
    assert config["max_batch_size"] == 4
    assert "dynamic_batching" in config
    assert [(each["name"], each["dims"]) for each in config["input"]] == [("x", [4])]
    assert config["output"][0]["data_type"] == "TYPE_FP32"


def test_a_scalar_per_row_is_completed_with_a_reshape(server: RunningTriton) -> None:
    _, config = server.call("/v2/models/rows/config")
    assert config["input"][0]["dims"] == [1]
    assert config["input"][0]["reshape"] == {"shape": []}


@pytest.mark.parametrize("rows", [1, 3])
def test_every_type_comes_back_as_it_went_in(client, rows: int) -> None:
    values = {}
    for kind, dtype in NUMPY.items():
        if kind == "STRING":
            words = [[f"ü{row}".encode(), b"", b"z" * 300] for row in range(rows)]
            values[kind] = np.array(words, dtype=np.object_)
        else:
            values[kind] = np.arange(rows * 3).reshape(rows, 3).astype(dtype)
    answer = client.infer("identities", [tensor(f"in_{k}", v) for k, v in values.items()])
    for kind, value in values.items():
        got = answer.as_numpy(f"out_{kind}")
        assert got.dtype == value.dtype
        assert np.array_equal(got, value), kind


def test_a_tensor_without_elements_is_answered(client) -> None:
    answer = client.infer("double", [tensor("x", np.zeros((1, 4), np.float32))])
    assert answer.as_numpy("y").shape == (1, 4)
    values = [
        tensor(f"in_{kind}", np.zeros((2, 0), dtype if kind != "STRING" else np.object_))
        for kind, dtype in NUMPY.items()
    ]
    answer = client.infer("identities", values)
    assert answer.as_numpy("out_FP32").shape == (2, 0)


def test_only_requested_outputs_are_computed_and_returned(client) -> None:
    values = [
        tensor(f"in_{kind}", np.zeros((1, 1), dtype if kind != "STRING" else np.object_))
        for kind, dtype in NUMPY.items()
    ]
    answer = client.infer(
        "identities", values, outputs=[grpcclient.InferRequestedOutput("out_INT8")]
    )
    assert [each.name for each in answer.get_response().outputs] == ["out_INT8"]


def infer_all_at_once(client, rows: list[list[int]]) -> list[np.ndarray | InferenceServerException]:
    """Every list as a request of its own, in flight together; the answers in order."""
    asked = [[tensor("at", np.array(row, np.int64).reshape(-1, 1))] for row in rows]
    return all_at_once(client, "rows", asked, "row")


def all_at_once(client, model: str, asked: list[list], output: str) -> list:
    answers: list = [None] * len(asked)
    finished = threading.Semaphore(0)

    def keep(index: int, result, error) -> None:
        answers[index] = error if error is not None else result.as_numpy(output)
        finished.release()

    for index, tensors in enumerate(asked):
        client.async_infer(
            model,
            tensors,
            callback=lambda result, error, index=index: keep(index, result, error),
        )
    for _ in asked:
        assert finished.acquire(timeout=30)
    return answers


def statistics(client, model: str):
    return client.get_inference_statistics(model).model_stats[0]


def test_requests_are_run_in_one_call_and_split_again(client) -> None:
    before = statistics(client, "rows")
    answers = infer_all_at_once(client, [[0], [1, 2], [2], [0, 0, 1], [1]])
    expected = [[[0, 1]], [[10, 11], [20, 21]], [[20, 21]], [[0, 1]] * 2 + [[10, 11]], [[10, 11]]]
    for answer, rows in zip(answers, expected, strict=True):
        assert np.array_equal(answer, np.array(rows, np.float32))
    after = statistics(client, "rows")
    assert after.inference_count - before.inference_count == 8
    assert after.execution_count - before.execution_count < 5


def test_one_bad_request_does_not_fail_its_batch_mates(client) -> None:
    answers = infer_all_at_once(client, [[0], [99], [2], [1, 77], [1]])
    failed = [isinstance(answer, InferenceServerException) for answer in answers]
    assert failed == [False, True, False, True, False]
    assert np.array_equal(answers[2], np.array([[20, 21]], np.float32))
    assert "99" in answers[1].message()


def test_bf16_comes_back_as_it_went_in_alone_and_in_a_batch(client) -> None:
    """Its client sends and gets it as FP32, of which it is the upper half."""
    numbers = [np.array([[1.5, -2.0]], np.float32), np.array([[0.25, 3e38], [7, -0.0]], np.float32)]
    asked = []
    for each in numbers:
        x = grpcclient.InferInput("x", list(each.shape), "BF16")
        x.set_data_from_numpy(each)
        asked.append([x, tensor("plus", np.zeros((len(each), 1), np.float32))])
    cut = [(each.view(np.uint32) & 0xFFFF0000).view(np.float32) for each in numbers]
    answer = client.infer("halves", asked[0])
    assert np.array_equal(answer.as_numpy("y"), cut[0])
    assert np.array_equal(answer.as_numpy("wide"), cut[0])
    for output in ("y", "wide"):
        for got, expected in zip(all_at_once(client, "halves", asked, output), cut, strict=True):
            assert np.array_equal(got, expected)


def test_requests_that_leave_an_optional_input_out_have_the_models_own_value(client) -> None:
    """Those with and those without it are batches of their own."""
    ones = tensor("x", np.ones((1, 2), np.float32))
    five = tensor("factor", np.full((1, 1), 5, np.float32))
    wrong = tensor("factor", np.full((1, 2), 5, np.float32))
    before = statistics(client, "scaled")
    answers = all_at_once(client, "scaled", [[ones], [ones], [ones, five], [ones, five]], "y")
    assert [answer[0, 0] for answer in answers] == [3, 3, 5, 5]
    after = statistics(client, "scaled")
    assert after.execution_count - before.execution_count < 4
    with pytest.raises(InferenceServerException, match="factor"):
        client.infer("scaled", [ones, wrong])


def test_text_that_is_not_utf8_is_the_callers_mistake(client) -> None:
    values = [
        tensor(
            f"in_{kind}",
            np.array([[b"\xff\xfe"]], np.object_) if kind == "STRING" else np.zeros((1, 1), dtype),
        )
        for kind, dtype in NUMPY.items()
    ]
    with pytest.raises(InferenceServerException, match="not UTF-8") as caught:
        client.infer("identities", values)
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('parameters { key: "execution_mode" value { string_value: "2" } }', "execution_mode"),
        ('parameters { key: "intra_op_thread_count" value { string_value: "x" } }', "whole number"),
        ('default_model_filename: "other.onnx"', "unable to find"),
        (
            'max_batch_size: 4 input [{ name: "x" data_type: TYPE_FP64 dims: [4] }]'
            ' output [{ name: "y" data_type: TYPE_FP32 dims: [4] }]',
            "TYPE_FP64 in its configuration",
        ),
        (
            'max_batch_size: 4 input [{ name: "x" data_type: TYPE_FP32 dims: [5] }]'
            ' output [{ name: "y" data_type: TYPE_FP32 dims: [4] }]',
            "has shape",
        ),
        (
            "optimization { execution_accelerators "
            '{ cpu_execution_accelerator { name: "openvino" } } }',
            "needs ONNX Runtime with OpenVINOExecutionProvider",
        ),
        ('model_operations { op_library_filename: "no.so" }', "library 'no.so' cannot be loaded"),
    ],
)
def test_a_contradiction_fails_the_load_and_says_why(
    server: RunningTriton, config: str, message: str
) -> None:
    models.multiplier_model(server.repository, "wrong", 1.0, config)
    with pytest.raises(RuntimeError, match=message):
        server.load("wrong")


def test_a_broken_file_fails_the_load_and_says_why(server: RunningTriton) -> None:
    version = models.model_directory(server.repository, "broken", 'backend: "onnxruntime"')
    (version / "model.onnx").write_bytes(b"this is no model")
    with pytest.raises(RuntimeError, match=r"cannot load 'model\.onnx'"):
        server.load("broken")


def test_official_parameters_are_taken_and_unknown_ones_named(server: RunningTriton) -> None:
    parameters = {
        "intra_op_thread_count": "1",
        "inter_op_thread_count": "1",
        "execution_mode": "1",
        "enable_mem_arena": "0",
        "enable_mem_pattern": "false",
        "session.dynamic_block_base": "4",
        "no_such_thing": "1",
    }
    lines = [
        f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'
        for key, value in parameters.items()
    ]
    lines.append("optimization { graph { level: 1 } }")
    models.multiplier_model(server.repository, "tuned", 3.0, "\n".join(lines))
    server.load("tuned")
    answer = server.grpc_client().infer("tuned", [tensor("x", np.ones((1, 4), np.float32))])
    assert answer.as_numpy("y")[0, 0] == 3.0
    assert "ignored: no_such_thing" in server.log.read_text()
