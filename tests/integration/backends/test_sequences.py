"""Sequences with a state in our Python-based backends, as NVIDIA's native ones have them."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tritonclient.grpc as grpcclient
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from tests.support import models
from tests.support.triton import RunningTriton, eventually, running_triton, tensor

STRATEGIES = {
    "direct": "direct { max_queue_delay_microseconds: 20000 }",
    "oldest": "oldest { max_candidate_sequences: 32 max_queue_delay_microseconds: 20000 }",
}

# Sums up what a table has at the places that callers name, and remembers the word of the request
# before; 7 is in the file that the first sum comes from.
SUM = """
backend: "onnxruntime"
max_batch_size: 16
instance_group {{ count: 2 kind: KIND_CPU }}
sequence_batching {{
  max_sequence_idle_microseconds: 60000000
  {strategy}
  control_input [
    {{ name: "starts" control [{{ kind: CONTROL_SEQUENCE_START fp32_false_true: [0, 1] }}] }},
    {{ name: "ends" control [{{ kind: CONTROL_SEQUENCE_END fp32_false_true: [0, 1] }}] }},
    {{ name: "ready" control [{{ kind: CONTROL_SEQUENCE_READY fp32_false_true: [0, 1] }}] }},
    {{ name: "id" control [{{ kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 }}] }}
  ]
  state [
    {{ input_name: "sum_in" output_name: "sum_out" data_type: TYPE_FP32 dims: [1]
       initial_state {{ name: "first" data_type: TYPE_FP32 dims: [1] data_file: "seven" }} }},
    {{ input_name: "word_in" output_name: "word_out" data_type: TYPE_STRING dims: [1]
       initial_state {{ name: "none" data_type: TYPE_STRING dims: [1] zero_data: true }} }}
  ]
}}
"""
TABLE = [float(i) for i in range(10)]

PYTORCH_SUM = """
backend: "pytorch"
max_batch_size: 4
input { name: "x" data_type: TYPE_FP32 dims: [1] }
output { name: "y" data_type: TYPE_FP32 dims: [1] }
sequence_batching {
  max_sequence_idle_microseconds: 60000000
  state [{ input_name: "total" output_name: "after" data_type: TYPE_FP32 dims: [1]
           initial_state { name: "none" data_type: TYPE_FP32 dims: [1] zero_data: true } }]
}
"""


class Total(torch.nn.Module):
    """A running sum that writes into its state, and fails for what is negative after that."""

    def forward(self, x: torch.Tensor, total: torch.Tensor) -> dict[str, torch.Tensor]:
        total += x
        if bool((x < 0).any()):
            raise ValueError("negative")
        return {"y": total, "after": total}


def sum_onnx(path: Path) -> None:
    def value(name: str, kind: int) -> Any:
        return helper.make_tensor_value_info(name, kind, ["batch", 1])

    floats = TensorProto.FLOAT
    models.save_onnx(
        path,
        [
            helper.make_node("Gather", ["table", "at"], ["picked"]),
            helper.make_node("Add", ["sum_in", "picked"], ["sum"]),
            helper.make_node("Identity", ["sum"], ["sum_out"]),
            helper.make_node("Identity", ["word_in"], ["word_before"]),
            helper.make_node("Identity", ["word"], ["word_out"]),
            helper.make_node("Cast", ["id"], ["number"], to=floats),
            helper.make_node("Concat", ["starts", "ends", "ready", "number"], ["told"], axis=1),
        ],
        [
            value("at", TensorProto.INT64),
            value("word", TensorProto.STRING),
            value("sum_in", floats),
            value("word_in", TensorProto.STRING),
            *(value(name, floats) for name in ("starts", "ends", "ready")),
            value("id", TensorProto.UINT64),
        ],
        [
            value("sum", floats),
            value("sum_out", floats),
            value("word_before", TensorProto.STRING),
            value("word_out", TensorProto.STRING),
            helper.make_tensor_value_info("told", floats, ["batch", 4]),
        ],
        [helper.make_tensor("table", floats, [len(TABLE)], TABLE)],
    )


@pytest.fixture(scope="module")
def server() -> Iterator[RunningTriton]:
    with running_triton("sequences") as running:
        for name, strategy in STRATEGIES.items():
            config = SUM.format(strategy=strategy)
            version = models.model_directory(running.repository, name, config)
            sum_onnx(version / "model.onnx")
            first = version.parent / "initial_state" / "seven"
            first.parent.mkdir()
            first.write_bytes(np.array([7], np.float32).tobytes())
            running.load(name)
        scripted = models.model_directory(running.repository, "total", PYTORCH_SUM) / "model.pt"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.jit.script(Total()).save(str(scripted))
        running.load("total")
        yield running


@dataclass
class Caller:
    """One sequence of requests to one model."""

    client: grpcclient.InferenceServerClient
    model: str
    sequence: int | str
    _begun: bool = field(default=False)

    def inputs(self, at: int, word: str) -> list[Any]:
        return [
            tensor("at", np.array([[at]], np.int64)),
            tensor("word", np.array([[word.encode()]], np.object_)),
        ]

    def ask(self, at: int, word: str = "", *, end: bool = False, start: bool | None = None) -> Any:
        """(sum, the word before, what the batcher told)."""
        begins = not self._begun if start is None else start
        self._begun = True
        answer = self.client.infer(
            self.model,
            self.inputs(at, word),
            sequence_id=self.sequence,
            sequence_start=begins,
            sequence_end=end,
        )
        names = [output.name for output in answer.get_response().outputs]
        assert sorted(names) == ["sum", "told", "word_before"]
        return (
            answer.as_numpy("sum")[0, 0],
            answer.as_numpy("word_before")[0, 0].decode(),
            answer.as_numpy("told")[0].tolist(),
        )


@pytest.mark.parametrize("model", list(STRATEGIES))
def test_sequences_go_on_where_they_were(server: RunningTriton, model: str) -> None:
    client = server.grpc_client()
    one, other = Caller(client, model, 21), Caller(client, model, 22)
    assert one.ask(1, "a") == (8, "", [1, 0, 1, 21])
    assert other.ask(2, "b") == (9, "", [1, 0, 1, 22])
    assert one.ask(3, "c") == (11, "a", [0, 0, 1, 21])
    assert other.ask(4, "d") == (13, "b", [0, 0, 1, 22])
    assert one.ask(5, end=True) == (16, "c", [0, 1, 1, 21])
    assert one.ask(1, start=True) == (8, "", [1, 0, 1, 21])
    named = Caller(client, model, "by-name")
    named.ask(1, "first")
    assert named.ask(2, end=True)[:2] == (10, "first")
    for caller in (one, other):
        caller.ask(0, end=True)


def test_callers_see_neither_states_nor_controls(server: RunningTriton) -> None:
    """The configuration is completed without them, as NVIDIA's native backend does."""
    _, config = server.call("/v2/models/direct/config")
    assert [each["name"] for each in config["input"]] == ["at", "word"]
    assert [each["name"] for each in config["output"]] == ["sum", "word_before", "told"]


@pytest.mark.parametrize("model", list(STRATEGIES))
def test_a_request_that_failed_leaves_the_state_as_it_was(
    server: RunningTriton, model: str
) -> None:
    client = server.grpc_client()
    caller = Caller(client, model, 31)
    with pytest.raises(InferenceServerException, match="99"):
        caller.ask(99, "first")
    assert caller.ask(1, "second")[:2] == (8, "")
    with pytest.raises(InferenceServerException, match="99"):
        caller.ask(99, "third")
    assert caller.ask(2, end=True)[:2] == (10, "second")


@pytest.mark.parametrize("model", list(STRATEGIES))
def test_many_sequences_at_once_are_batched_and_kept_apart(
    server: RunningTriton, model: str
) -> None:
    """24 sequences over two instances, every one with numbers of its own."""
    client = server.grpc_client()

    def counted() -> Any:
        return client.get_inference_statistics(model).model_stats[0]

    before = counted()
    wrong: list[Any] = []

    def run(number: int) -> None:
        caller = Caller(server.grpc_client(), model, 100 + number)
        total = 7.0
        for turn in range(12):
            at = (number + turn) % len(TABLE)
            total += TABLE[at]
            said = f"{number}-{turn - 1}" if turn else ""
            got = caller.ask(at, f"{number}-{turn}", end=turn == 11)
            if got[:2] != (total, said):
                wrong.append((number, turn, got, total, said))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert not wrong
    # Triton counts a request after its answer has gone.
    asked = before.inference_count + 24 * 12
    eventually(lambda: counted().inference_count >= asked)
    after = counted()
    assert after.inference_count == asked
    assert after.execution_count - before.execution_count < 24 * 12


def test_one_bad_request_of_a_batch_fails_alone_and_its_sequence_goes_on(
    server: RunningTriton,
) -> None:
    client = server.grpc_client()
    callers = [Caller(client, "oldest", 200 + number) for number in range(4)]
    for caller in callers:
        caller.ask(1)
    answers = at_once(callers, [1, 99, 2, 3])
    assert [isinstance(answer, Exception) for answer in answers] == [False, True, False, False]
    ends = [caller.ask(1, end=True)[0] for caller in callers]
    assert ends == [10, 9, 11, 12]


def at_once(callers: Sequence[Caller], at: Sequence[int]) -> list[Any]:
    answers: list[Any] = [None] * len(callers)
    finished = threading.Semaphore(0)

    def keep(index: int, result: Any, error: Any) -> None:
        answers[index] = error if error is not None else result.as_numpy("sum")
        finished.release()

    for index, (caller, place) in enumerate(zip(callers, at, strict=True)):
        caller.client.async_infer(
            caller.model,
            caller.inputs(place, ""),
            callback=lambda result, error, index=index: keep(index, result, error),
            sequence_id=caller.sequence,
        )
    for _ in callers:
        assert finished.acquire(timeout=30)
    return answers


def test_a_pytorch_program_that_writes_into_its_state(server: RunningTriton) -> None:
    client = server.grpc_client()

    def ask(x: float, **sequence: Any) -> float:
        given = [tensor("x", np.array([[x]], np.float32))]
        return client.infer("total", given, sequence_id=5, **sequence).as_numpy("y")[0, 0]

    assert ask(1, sequence_start=True) == 1
    assert ask(2) == 3
    with pytest.raises(InferenceServerException, match="negative"):
        ask(-1)
    assert ask(4) == 7
    assert ask(1, sequence_end=True) == 8
    assert ask(1, sequence_start=True, sequence_end=True) == 1


def test_a_state_that_the_model_does_not_have_fails_the_load(server: RunningTriton) -> None:
    models.multiplier_model(
        server.repository,
        "stateless",
        1.0,
        """
        sequence_batching {
          state [{ input_name: "kept" output_name: "y" data_type: TYPE_FP32 dims: [4] }]
        }
        """,
    )
    with pytest.raises(RuntimeError, match="the input 'kept', and the model has none"):
        server.load("stateless")
