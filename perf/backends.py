"""What our onnxruntime backend costs: a batch through Triton beside the same batch in process.

    python -m perf.backends [--rounds 9] [--quick] [--json FILE] [--only TEXT]

The limit is ONNX Runtime called in this process with the backend's own session settings and one
thread; with two instances, two sessions in two threads. The floor is a Python model that only reads
its inputs and answers zeros: what Triton's Python backend takes by itself. Ours is the network by
our backend. The last two are models of a Triton of the benchmark's own, driven by perf_analyzer
with as many callers as keep their instances busy. All are measured in turns (A B C A B C).

What is compared is the time of one batch: in process around `run`; in Triton what its statistics
have for an execution (compute input, infer and output), so neither protocol nor queue is in it.
"one request" is a caller that sends the whole batch, "as many requests" are callers of one row each
that the dynamic batcher puts together. Figures are medians over the rounds with their 95 %
intervals (perf/paired.py). Overhead is ours less the limit, and of it ours alone is what the floor
does not have; the ratio is the limit over ours, 1.00 being no cost.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import tritonclient.grpc as grpcclient
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from rich.table import Table

from control_plane.adapters.perf_analyzer.binary import find
from perf.own_triton import OwnTriton, own_triton
from perf.paired import Estimate, estimate

BATCHES, INSTANCES = (1, 8, 32), (1, 2)
MEASURED_S = 0.6
"""Of each half of a pair, roughly."""

TRIES = 4
"""Of one measurement, where perf_analyzer hangs, as it rarely does."""


@dataclass(frozen=True)
class Network:
    """A multi-layer perceptron: so wide in front, so wide and deep behind."""

    name: str
    inputs: int
    hidden: int
    layers: int

    def write(self, path: Path) -> None:
        rng = np.random.default_rng(20)
        widths = [self.inputs, *[self.hidden] * self.layers, 10]
        nodes, constants, last = [], [], "x"
        for i, (rows, columns) in enumerate(pairwise(widths)):
            weights = rng.normal(0, rows**-0.5, (rows, columns)).astype(np.float32)
            constants.append(numpy_helper.from_array(weights, f"w{i}"))
            end = i == self.layers
            nodes.append(helper.make_node("MatMul", [last, f"w{i}"], ["y" if end else f"m{i}"]))
            if not end:
                nodes.append(helper.make_node("Relu", [f"m{i}"], [f"r{i}"]))
            last = f"r{i}"
        graph = helper.make_graph(
            nodes,
            self.name,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", self.inputs])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 10])],
            constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        path.write_bytes(model.SerializeToString())
        onnx.checker.check_model(model)


FLOOR = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
            y = pb_utils.Tensor("y", np.zeros((len(x), 10), np.float32))
            responses.append(pb_utils.InferenceResponse([y]))
        return responses
"""

NETWORKS = (Network("small", 64, 64, 1), Network("medium", 784, 1024, 3))


@dataclass(frozen=True)
class Scenario:
    """One row: which network, how large its batches are, who makes them, and how many instances."""

    network: Network
    batch: int
    instances: int
    joined: bool

    @property
    def model(self) -> str:
        kind = "joined" if self.joined else "sent"
        return f"{self.network.name}-{self.batch}-{self.instances}-{kind}"

    @property
    def name(self) -> str:
        """What `--only` looks at: "small, 8 rows, 1 instance, as many requests"."""
        who = "as many requests" if self.joined else "one request"
        plural = "s" if self.instances > 1 else ""
        return f"{self.network.name}, {self.batch} rows, {self.instances} instance{plural}, {who}"

    def config(self, backend: str) -> str:
        """Of the network by our backend, or of the floor."""
        batching = f"dynamic_batching {{ preferred_batch_size: [{self.batch}] "
        batching += "max_queue_delay_microseconds: 20000 }" if self.joined else "}"
        return (
            f'backend: "{backend}"\nmax_batch_size: {self.batch}\n{batching}\n'
            f"instance_group {{ kind: KIND_CPU count: {self.instances} }}\n"
            'parameters { key: "intra_op_thread_count" value { string_value: "1" } }\n'
            f'input {{ name: "x" data_type: TYPE_FP32 dims: [{self.network.inputs}] }}\n'
            'output { name: "y" data_type: TYPE_FP32 dims: [10] }\n'
        )


def scenarios(quick: bool) -> list[Scenario]:
    """Every network, batch and number of instances; batches of one are joined of nothing."""
    return [
        Scenario(network, batch, instances, joined)
        for network in NETWORKS[: 1 if quick else 2]
        for instances in INSTANCES[: 1 if quick else 2]
        for joined in (False, True)
        for batch in BATCHES
        if batch > 1 or not joined
    ]


class Limit:
    """ONNX Runtime in this process."""

    def __init__(self, scenario: Scenario, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._sessions = [
            onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            for _ in range(scenario.instances)
        ]
        rows = np.random.default_rng(1).random((scenario.batch, scenario.network.inputs))
        self._x = rows.astype(np.float32)

    def batch_us(self) -> float:
        """The median time of a batch, while every session is busy."""
        found: list[float] = []
        threads = [
            threading.Thread(target=self._run, args=(session, found)) for session in self._sessions
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return statistics.median(found) * 1e6

    def _run(self, session: onnxruntime.InferenceSession, found: list[float]) -> None:
        end = time.perf_counter() + MEASURED_S
        while (began := time.perf_counter()) < end:
            session.run(["y"], {"x": self._x})
            found.append(time.perf_counter() - began)


class Served:
    """A model of Triton's under the scenario's load."""

    def __init__(self, server: OwnTriton, scenario: Scenario, model: str) -> None:
        self._model = model
        self._scenario = scenario
        self._options = server.options
        self._analyzer = find()
        self._client = grpcclient.InferenceServerClient(server.options.grpc)

    def batch_us(self) -> tuple[float, float]:
        """The mean time of an execution, and how many rows one had."""
        for _ in range(TRIES - 1):
            try:
                return self._measured()
            except subprocess.TimeoutExpired:
                continue
        return self._measured()

    def _measured(self) -> tuple[float, float]:
        scenario = self._scenario
        before = self._statistics()
        callers = scenario.instances * (scenario.batch if scenario.joined else 1)
        # Twice as many callers as there is room for: a batch is ready when an instance is.
        done = self._analyzer.run(
            *("-m", self._model, "-u", self._options.grpc, "-i", "grpc"),
            *("-b", "1" if scenario.joined else str(scenario.batch)),
            *("--concurrency-range", str(2 * callers), "--async"),
            *("--request-count", str(self._requests())),
            timeout_s=60,
        )
        if done.returncode:
            raise RuntimeError(f"perf_analyzer: {(done.stdout + done.stderr)[:800]}")
        after = self._statistics()
        executions = after[0] - before[0]
        return (after[2] - before[2]) / executions / 1000, (after[1] - before[1]) / executions

    def _requests(self) -> int:
        scenario = self._scenario
        batches = (1500 if scenario.network is NETWORKS[0] else 300) * scenario.instances
        return batches * (scenario.batch if scenario.joined else 1) // (2 if scenario.joined else 1)

    def _statistics(self) -> tuple[int, int, int]:
        """Executions, rows, and nanoseconds of computing, so far."""
        [model] = self._client.get_inference_statistics(self._model).model_stats
        # Of each request: those of one execution are all told its whole time.
        batches = [
            (
                b.batch_size,
                b.compute_infer.count,
                b.compute_input,
                b.compute_infer,
                b.compute_output,
            )
            for b in model.batch_stats
        ]
        time_ns = sum(i.ns + c.ns + o.ns for _, _, i, c, o in batches)
        return model.execution_count, model.inference_count, time_ns


@dataclass(frozen=True)
class Round:
    """One measurement of each, in microseconds for a batch, and the rows of ours."""

    limit_us: float
    floor_us: float
    ours_us: float
    rows: float


def compare(server: OwnTriton, scenario: Scenario, rounds: int) -> list[Round]:
    """Loads the two models, measures all in turns, and unloads them."""
    names = {"python": f"floor-{scenario.model}", "onnxruntime": scenario.model}
    files = {
        backend: server.file_model(name, scenario.config(backend))
        for backend, name in names.items()
    }
    (files["python"] / "model.py").write_text(FLOOR)
    network = files["onnxruntime"] / "model.onnx"
    scenario.network.write(network)
    for name in names.values():
        server.load(name)
    try:
        limit = Limit(scenario, network)
        floor, ours = (Served(server, scenario, name) for name in names.values())
        for warming in (floor, ours):  # the first figures are of cold caches
            warming.batch_us()
        found = []
        for _ in range(rounds):
            limit_us, (floor_us, _) = limit.batch_us(), floor.batch_us()
            found.append(Round(limit_us, floor_us, *ours.batch_us()))
        return found
    finally:
        for name in names.values():
            server.unload(name)


def overhead(rounds: Sequence[Round]) -> Estimate:
    return estimate([one.ours_us - one.limit_us for one in rounds])


def alone(rounds: Sequence[Round]) -> Estimate:
    """Of the overhead, what is this backend's and not every Python model's."""
    return estimate([one.ours_us - one.limit_us - one.floor_us for one in rounds])


def ratio(rounds: Sequence[Round]) -> Estimate:
    return estimate([one.limit_us / one.ours_us for one in rounds])


def run_all(
    server: OwnTriton,
    rows: Sequence[Scenario],
    rounds: int,
    console: Console,
    keep: Callable[[list[dict[str, object]]], None],
) -> None:
    """Measures row after row, keeping what is done; prints them as one table."""
    table = Table(title=f"onnxruntime backend beside ONNX Runtime in process: {rounds} rounds")
    for column in ("scenario", "limit", "floor", "ours", "overhead", "ours alone", "ratio", "rows"):
        table.add_column(column, justify="left" if column == "scenario" else "right")
    documents: list[dict[str, object]] = []
    for scenario in rows:
        found = compare(server, scenario, rounds)
        added, own, share = overhead(found), alone(found), ratio(found)
        table.add_row(
            scenario.name,
            f"{statistics.median(p.limit_us for p in found):.0f} us",
            f"{statistics.median(p.floor_us for p in found):.0f} us",
            f"{statistics.median(p.ours_us for p in found):.0f} us",
            f"{added.median:.0f} us [{added.low:.0f}, {added.high:.0f}]",
            f"{own.median:.0f} us [{own.low:.0f}, {own.high:.0f}]",
            f"{share.median:.2f} [{share.low:.2f}, {share.high:.2f}]",
            f"{statistics.median(p.rows for p in found):.1f}",
        )
        console.print(f"[dim]{scenario.name}: +{added.median:.0f} us, {share.median:.2f}[/]")
        documents.append(
            {
                "scenario": scenario.name,
                "overhead_us": added.document(),
                "ours_alone_us": own.document(),
                "limit_over_ours": share.document(),
                "measured": [asdict(one) for one in found],
            }
        )
        keep(documents)
    console.print(table)


def main() -> int:
    """Runs the benchmark and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="the small network, one instance")
    parser.add_argument("--only", default="", help="scenarios whose name has this text")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    rounds = min(arguments.rounds, 5) if arguments.quick else arguments.rounds
    chosen = [row for row in scenarios(arguments.quick) if arguments.only in row.name]

    def keep(documents: list[dict[str, object]]) -> None:
        if arguments.json:
            arguments.json.write_text(json.dumps(documents, indent=2) + "\n")

    with own_triton() as server:
        run_all(server, chosen, rounds, Console(width=160), keep)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
