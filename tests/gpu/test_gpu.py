"""What needs a GPU to be seen: where programs run, and tensors that never leave it.

make test ARGS=tests/gpu
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tritonclient.grpc as grpcclient

from tests.gpu.cuda_memory import CudaRegion
from tests.support import models
from tests.support.triton import RunningTriton, eventually, tensor

WIDTH = 4096  # 64 MiB of weights: more than what an idle process holds on a GPU moves by
SIGNATURE = f"""
max_batch_size: 16
input {{ name: "x" data_type: TYPE_FP32 dims: [{WIDTH}] }}
output {{ name: "y" data_type: TYPE_FP32 dims: [{WIDTH}] }}
output {{ name: "place" data_type: TYPE_INT64 dims: [1] }}
"""
KEEP = 'parameters { key: "FORCE_CPU_ONLY_INPUT_TENSORS" value { string_value: "no" } }\n'
GENERATIONS = itertools.count(2)
GPU, CPU = "instance_group { kind: KIND_GPU }\n", "instance_group { kind: KIND_CPU }\n"


class Layer(torch.nn.Module):
    """y = x @ weight + bias; and on which kind of device that was, 0 the CPU and 1 a GPU."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        weight = torch.randn(WIDTH, WIDTH, generator=generator) / WIDTH**0.5
        self.register_buffer("weight", weight)
        self.bias = bias

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        place = torch.ones(x.shape[0], 1, dtype=torch.int64, device=x.device) * int(x.is_cuda)
        return {"y": x @ self.weight + self.bias, "place": place}


class Total(torch.nn.Module):
    """A running sum that writes into its state; and on which kind of device that lies."""

    def forward(self, x: torch.Tensor, total: torch.Tensor) -> dict[str, torch.Tensor]:
        total += x
        place = torch.ones(x.shape[0], 1, dtype=torch.int64, device=x.device) * int(total.is_cuda)
        return {"y": total, "after": total, "place": place}


TOTAL = """
backend: "pytorch"
max_batch_size: 4
input { name: "x" data_type: TYPE_FP32 dims: [1] }
output { name: "y" data_type: TYPE_FP32 dims: [1] }
output { name: "place" data_type: TYPE_INT64 dims: [1] }
sequence_batching {
  max_sequence_idle_microseconds: 60000000
  state [{ input_name: "total" output_name: "after" data_type: TYPE_FP32 dims: [1]
           initial_state { name: "none" data_type: TYPE_FP32 dims: [1] zero_data: true } }]
}
"""


def scripted(module: torch.nn.Module, path: Path) -> None:
    with warnings.catch_warnings():  # deprecated by PyTorch, and what many teams have
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(str(path))


def layer_model(repository: Path, name: str, bias: float, config: str) -> None:
    header = 'backend: "pytorch"\ndefault_model_filename: "model.pt"\n'
    folder = models.model_directory(repository, name, header + SIGNATURE + config)
    scripted(Layer(bias), folder / "model.pt")


def ensemble(repository: Path, name: str, first: str, second: str) -> None:
    """Two steps; what goes from one to the other stays where it is."""
    steps = f"""
step {{ model_name: "{first}" model_version: -1
  input_map {{ key: "x" value: "x" }} output_map {{ key: "y" value: "between" }} }}
step {{ model_name: "{second}" model_version: -1
  input_map {{ key: "x" value: "between" }}
  output_map {{ key: "y" value: "y" }} output_map {{ key: "place" value: "place" }} }}
"""
    config = f'platform: "ensemble"\n{SIGNATURE}ensemble_scheduling {{ {steps} }}'
    models.model_directory(repository, name, config)


@pytest.fixture(scope="module")
def served(server: RunningTriton) -> RunningTriton:
    repository = server.repository
    layer_model(repository, "on-cpu", 0.0, CPU)
    for bias, name in enumerate(("gpu.v1.aaaaaa", "gpu.v2.aaaaaa")):
        layer_model(repository, name, float(bias), GPU + KEEP)
    models.router(
        repository,
        "gpu",
        {"gpu.v1.aaaaaa": 10_000},
        pinned={1: "gpu.v1.aaaaaa", 2: "gpu.v2.aaaaaa"},
        signature=SIGNATURE,
    )
    scripted(Total(), models.model_directory(repository, "total", TOTAL + GPU) / "model.pt")
    ensemble(repository, "chain", "gpu.v1.aaaaaa", "gpu.v2.aaaaaa")
    ensemble(repository, "routed-chain", "gpu.v1.aaaaaa", "gpu")
    names = ("total", "on-cpu", "gpu.v1.aaaaaa", "gpu.v2.aaaaaa", "gpu", "chain", "routed-chain")
    for name in names:
        server.load(name)
    return server


@pytest.fixture
def client(served: RunningTriton) -> grpcclient.InferenceServerClient:
    return served.grpc_client()


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(5).standard_normal((3, WIDTH)).astype(np.float32)


def expected(x: np.ndarray, *biases: float) -> np.ndarray:
    value = torch.from_numpy(x)
    for bias in biases:
        value = Layer(bias)(value)["y"]
    return value.numpy()


def same(found: np.ndarray, wanted: np.ndarray) -> bool:
    return bool(np.allclose(found, wanted, rtol=2e-3, atol=2e-3))


def routed(served: RunningTriton, *lines: str, arms: Any = None) -> None:
    """Loads the router of the endpoint with these arms and further lines of its policy."""
    text = models.policy_text(
        "gpu",
        arms or {"gpu.v1.aaaaaa": 10_000, "gpu.v2.aaaaaa": 0},
        generation=next(GENERATIONS),
        lines=lines,
    )
    models.write_policy(served.repository, "gpu", text)
    served.load("gpu")


@pytest.mark.parametrize(("model", "place"), [("on-cpu", 0), ("gpu.v1.aaaaaa", 1)])
def test_an_instance_runs_where_its_group_says(client, x, model: str, place: int) -> None:
    answer = client.infer(model, [tensor("x", x)])
    assert answer.as_numpy("place").tolist() == [[place]] * 3
    assert same(answer.as_numpy("y"), expected(x, 0))


def test_the_weights_lie_on_the_gpu(served) -> None:
    """Two programs of 64 MiB each, and what CUDA takes for each process."""
    used = "nv_gpu_memory_used_bytes"
    eventually(lambda: served.metric(used) > 128 * 2**20, within_s=15, what=used)


def test_a_router_gives_back_what_lies_on_a_gpu(served, client, x) -> None:
    routed(served)
    for version, bias in (("", 0), ("1", 0), ("2", 1)):
        answer = client.infer("gpu", [tensor("x", x)], model_version=version)
        assert same(answer.as_numpy("y"), expected(x, bias))
        assert answer.as_numpy("place").tolist() == [[1]] * 3


@pytest.mark.parametrize("chain", ["chain", "routed-chain"])
def test_tensors_go_from_step_to_step_on_the_gpu(served, client, x, chain: str) -> None:
    routed(served, arms={"gpu.v2.aaaaaa": 10_000})
    for _ in range(20):
        answer = client.infer(chain, [tensor("x", x)])
        assert same(answer.as_numpy("y"), expected(x, 0, 1))


@pytest.fixture
def regions(served: RunningTriton, x: np.ndarray) -> Iterator[tuple[CudaRegion, CudaRegion]]:
    given, made = (CudaRegion(served, name, x.nbytes) for name in ("given", "made"))
    given.write(x)
    yield given, made
    given.close()
    made.close()


def infer_in_place(client, model: str, x: np.ndarray, regions) -> np.ndarray:
    given, made = regions
    asked = grpcclient.InferInput("x", list(x.shape), "FP32")
    asked.set_shared_memory(given.name, given.size)
    wanted = grpcclient.InferRequestedOutput("y")
    wanted.set_shared_memory(made.name, made.size)
    made.write(np.zeros_like(x))
    client.infer(model, [asked], outputs=[wanted])
    return made.read(x.shape, np.float32)


@pytest.mark.parametrize("model", ["gpu.v1.aaaaaa", "gpu", "chain", "routed-chain"])
def test_inputs_and_outputs_in_cuda_shared_memory(served, client, x, regions, model: str) -> None:
    routed(served, arms={"gpu.v1.aaaaaa": 10_000})
    biases = {"chain": (0, 1), "routed-chain": (0, 0)}.get(model, (0,))
    assert same(infer_in_place(client, model, x, regions), expected(x, *biases))


def test_a_shadow_reads_a_copy_of_what_lies_on_the_gpu(served, client, x, regions) -> None:
    """The caller may write its region again while the shadow still runs."""
    routed(served, "shadow 1 parts 10000 max_in_flight 1000 compare y")
    compared = {"endpoint": "gpu", "arm": "gpu.v2.aaaaaa"}
    before = served.metric("nereid_shadow_difference_count", **compared)
    for _ in range(20):
        regions[0].write(x)
        assert same(infer_in_place(client, "gpu", x, regions), expected(x, 0))
        regions[0].write(np.full_like(x, 1e6))
    eventually(
        lambda: served.metric("nereid_shadow_difference_count", **compared) == before + 20,
        within_s=10,
    )
    # The second arm answers the first's and one more: far off, had it read the new bytes.
    total = served.metric("nereid_shadow_difference_sum", **compared)
    assert total / served.metric("nereid_shadow_difference_count", **compared) < 1.1


@pytest.mark.parametrize("in_place", [False, True])
def test_how_sure_an_answer_is_is_read_from_the_gpu(
    served, client, x, regions, in_place: bool
) -> None:
    routed(served, "confidence y scores logits", arms={"gpu.v1.aaaaaa": 10_000})
    of_arm = {"endpoint": "gpu", "arm": "gpu.v1.aaaaaa"}
    name = "nereid_output_confidence"
    count, total = (served.metric(f"{name}_{part}", **of_arm) for part in ("count", "sum"))
    if in_place:
        infer_in_place(client, "gpu", x, regions)
    else:
        client.infer("gpu", [tensor("x", x)])
    eventually(lambda: served.metric(f"{name}_count", **of_arm) == count + 1, within_s=10)
    sure = torch.softmax(torch.from_numpy(expected(x, 0)), dim=-1).amax(dim=-1).mean()
    found = served.metric(f"{name}_sum", **of_arm) - total
    assert found == pytest.approx(float(sure), rel=0.05)


def test_a_rescued_request_is_sent_again_from_the_gpu(served, client, x, regions) -> None:
    """The candidate is not loaded: what it cannot answer, the primary answers."""
    routed(
        served,
        "rescue budget 10000 floor 1000",
        arms={"gpu.v1.aaaaaa": 5_000, "gpu.v9.aaaaaa": 5_000},
    )
    for _ in range(20):
        assert same(infer_in_place(client, "gpu", x, regions), expected(x, 0))
    assert served.metric("nereid_requests_total", endpoint="gpu", outcome="rescued") > 0


def test_the_state_of_a_sequence_is_kept_on_the_gpu(client) -> None:
    """Two sequences in turn: a state is its sequence's own, and the program may write into it."""
    found: dict[int, list[float]] = {1: [], 2: []}
    for step in range(3):
        for sequence in found:
            x = tensor("x", np.array([[sequence * 10.0]], np.float32))
            place = {"sequence_start": step == 0, "sequence_end": step == 2}
            answer = client.infer("total", [x], sequence_id=sequence, **place)
            found[sequence].append(float(answer.as_numpy("y")[0, 0]))
            assert answer.as_numpy("place").tolist() == [[1]]
    assert found == {1: [10, 20, 30], 2: [20, 40, 60]}
