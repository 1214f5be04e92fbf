"""`nereid tune` beside Triton Model Analyzer: measurements, minutes, and what each of them chose.

    python -m perf.model_analyzer [--only tiny] [--window-ms 500] [--pairs 10] [--json FILE]

Beside `make serve`, whose server is tuned. Model Analyzer, in an environment of its own, searches
in both of its modes (`quick` and `optuna`) on a second Triton of the same program and the same
flags, which it may ask to load without a key: it knows of none (`--triton-launch-mode remote`).
All have the same network, the same limit of p99, and may use as many callers and rows. A tune asks
for no more instances than cores; Model Analyzer has its default of five, for in a smaller space its
quick mode turns for good among what it has measured: after two minutes of that it is ended.
What they chose is then served by the second Triton, and measured in turns (A B C D A B C D) by
perf_analyzer, beside what is served by default: each one's own figure is of another hour.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from google.protobuf import text_format
from rich.console import Console
from rich.table import Table
from tritonclient.grpc import model_config_pb2

from control_plane.adapters.perf_analyzer.binary import find
from control_plane.adapters.perf_analyzer.load import PerfAnalyzerLoad
from control_plane.domain.perf.request import Input, Load, LoadKind, PerfRequest, Target, TargetKind
from control_plane.domain.tuning.configuration import Configuration
from control_plane.ports.load import Aim
from nereid import Client
from nereid.config import find_stack
from perf.own_triton import OwnTriton, own_triton
from perf.paired import Estimate, estimate
from perf.peers.contenders import CLASSES
from perf.peers.environments import environment, version
from perf.peers.networks import NETWORKS, Network
from perf.tuning import lab_server

MODES = ("quick", "optuna")
MOST_CALLERS, MOST_INSTANCES, MOST_ROWS = 32, 5, 32
DEFAULT = Configuration(max_batch_size=MOST_ROWS, dynamic=True)
WITHIN_S = 3600
STUCK_S = 120
MEASURES = "] Profiling "


@dataclass(frozen=True)
class Choice:
    """What a search came to: served so, asked by so many callers; None: not measured by itself."""

    by: str
    configuration: Configuration
    callers: int
    measurements: int = 0
    minutes: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """One choice in turns with the others: its rates, and p99 in microseconds, of each round."""

    network: str
    choice: Choice
    rates: list[float]
    p99_us: list[float]


class Lab:
    """A Triton of our own that serves one network in as many ways as are asked for."""

    def __init__(self, server: OwnTriton, network: Network, folder: Path) -> None:
        self.server, self.network, self.folder = server, network, folder
        self._load = PerfAnalyzerLoad()
        self._model = folder / "model.onnx"
        network.write(self._model)

    def serve(self, name: str, one: Configuration) -> None:
        """Under that name, so."""
        place = self.server.file_model(name, config_text(name, self.network, one))
        (place / "model.onnx").write_bytes(self._model.read_bytes())
        self.server.load(name)

    def measure(self, name: str, callers: int, window: int) -> tuple[float, float]:
        """Inferences a second, and the p99 in microseconds."""
        request = PerfRequest(
            target=Target(TargetKind.VERSION, name, 1),
            server=self.server.options.name,
            load=Load(LoadKind.CONCURRENCY, values=(float(callers),)),
            input=Input.RANDOM,
            window=window,
        )
        options = self.server.options
        aim = Aim(name, http=options.http, grpc=f"127.0.0.1:{options.grpc_port}")
        found = self._load.measure(request, callers, aim, goes_on=lambda: True).measurement
        return found.throughput, found.p99_us


def config_text(name: str, network: Network, one: Configuration) -> str:
    """The config.pbtxt of the network served so."""
    row = ", ".join(map(str, network.row))
    delay = f"max_queue_delay_microseconds: {one.queue_delay_us}" if one.queue_delay_us else ""
    preferred = f"preferred_batch_size: {list(one.preferred)}" if one.preferred else ""
    threads = (
        f'parameters {{ key: "intra_op_thread_count" value {{ string_value: "{one.threads}" }} }}\n'
        if one.threads
        else ""
    )
    return (
        f'name: "{name}"\nbackend: "onnxruntime"\nmax_batch_size: {one.max_batch_size}\n'
        f'input [{{ name: "x" data_type: TYPE_FP32 dims: [{row}] }}]\n'
        f'output [{{ name: "y" data_type: TYPE_FP32 dims: [{CLASSES}] }}]\n'
        f"instance_group [{{ kind: KIND_CPU count: {one.instances} }}]\n{threads}"
        + (f"dynamic_batching {{ {preferred} {delay} }}\n" if one.dynamic else "")
    )


def searched(lab: Lab, mode: str, limit_us: float, console: Console) -> Choice | None:
    """What Model Analyzer finds on the server; None where it came to no end, which is said.

    Raises:
        SystemExit: it failed, with the end of what it said; or nothing kept the limit.
    """
    home = lab.folder / mode
    home.mkdir()
    programs = environment("model-analyzer", console)
    began = time.monotonic()
    said = _profiled(lab, mode, limit_us, home, programs)
    minutes = (time.monotonic() - began) / 60
    if said is None:
        console.print(f"Model Analyzer ({mode}) measured nothing for {STUCK_S} s, and was ended")
        return None
    configuration, callers = _best(home, mode, limit_us)
    # Its table keeps what is best of each configuration; what it says has every measurement.
    measurements = said.count(MEASURES)
    return Choice(f"Model Analyzer, {mode}", configuration, callers, measurements, minutes)


def _profiled(lab: Lab, mode: str, limit_us: float, home: Path, programs: Path) -> str | None:
    """All that it said; None where it measured nothing for so long that it had to be ended."""
    analyzer = find()
    asked = _asked(lab, mode, limit_us, home) | {"perf_analyzer_path": str(analyzer.binary)}
    (home / "config.yaml").write_text(yaml.safe_dump(asked))
    log = home / "said.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(programs / "model-analyzer"), "profile", "-f", str(home / "config.yaml")],
            env={**analyzer.environment, "PATH": f"{programs}:{os.environ['PATH']}"},
            cwd=home,
            stdout=output,
            stderr=output,
        )
    seen, since = 0, time.monotonic()
    while process.poll() is None:
        # It goes on talking where it only finds again what it has measured.
        if (measured := log.read_text(errors="replace").count(MEASURES)) > seen:
            seen, since = measured, time.monotonic()
        if time.monotonic() - since > STUCK_S:
            process.kill()
            process.wait()
            return None
        time.sleep(1)
    said = log.read_text(errors="replace")
    if process.returncode:
        raise SystemExit(f"Model Analyzer ({mode}) failed:\n{said[-3000:]}")
    return said


def _asked(lab: Lab, mode: str, limit_us: float, home: Path) -> dict[str, object]:
    options = lab.server.options
    return {
        "triton_launch_mode": "remote",
        "client_protocol": "grpc",
        "triton_http_endpoint": options.http,
        "triton_grpc_endpoint": f"127.0.0.1:{options.grpc_port}",
        "triton_metrics_url": f"http://127.0.0.1:{options.metrics_port}/metrics",
        "model_repository": str(options.repository),
        "output_model_repository_path": str(home / "repository"),
        "checkpoint_directory": str(home / "checkpoints"),
        "export_path": str(home / "export"),
        "run_config_search_mode": mode,
        "run_config_search_max_concurrency": MOST_CALLERS,
        "run_config_search_max_instance_count": MOST_INSTANCES,
        "run_config_search_max_model_batch_size": MOST_ROWS,
        "gpus": [],
        "profile_models": {
            lab.network.name: {
                "cpu_only": True,
                "objectives": ["perf_throughput"],
                "constraints": {"perf_latency_p99": {"max": round(limit_us / 1000)}},
            }
        },
    }


def _best(home: Path, mode: str, limit_us: float) -> tuple[Configuration, int]:
    """What it found best within the limit, and with how many callers."""
    rows = list(csv.DictReader(next(home.rglob("metrics-model-inference.csv")).open()))
    kept = [row for row in rows if row["Satisfies Constraints"] == "Yes"]
    if not kept:
        raise SystemExit(f"Model Analyzer ({mode}) found nothing within {limit_us / 1000:.1f} ms")
    best = max(kept, key=lambda row: float(row["Throughput (infer/sec)"]))
    config = model_config_pb2.ModelConfig()
    written = home / "repository" / best["Model Config Path"] / "config.pbtxt"
    text_format.Parse(written.read_text(), config)
    return _read(config), int(best["Concurrency"])


def _read(config: model_config_pb2.ModelConfig) -> Configuration:
    threads = config.parameters["intra_op_thread_count"].string_value
    return Configuration(
        max_batch_size=config.max_batch_size,
        dynamic=config.HasField("dynamic_batching"),
        queue_delay_us=config.dynamic_batching.max_queue_delay_microseconds,
        preferred=tuple(config.dynamic_batching.preferred_batch_size),
        instances=config.instance_group[0].count if config.instance_group else 1,
        threads=int(threads or 0),
    )


def tuned(client: Client, network: Network, limit_us: float, window_ms: int) -> Choice:
    """What a tune of the stack's own server chooses, with its defaults."""
    name = f"tuned-{network.name}-{int(time.time())}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        network.write(path)
        client.push(name, path, create=True, wait=True, profile="realtime", git=False)
    server = lab_server(client)
    began = time.monotonic()
    started = client.start_tune(
        name,
        1,
        server.name,
        objective="throughput",
        latency_limit=f"{limit_us / 1000:.3f}ms",
        max_concurrency=MOST_CALLERS,
        window=f"{window_ms}ms",
        input="random",
    )
    done = client.wait_tune(started.id, timeout=WITHIN_S)
    if done.result is None or done.result.chosen is None:
        raise SystemExit(f"tune {done.id} chose nothing: it {done.state} ({done.reason})")
    point = done.result.chosen
    one = Configuration.from_document(point.raw["configuration"])
    minutes = (time.monotonic() - began) / 60
    return Choice("nereid tune", one, int(point.load), done.result.measurements, minutes)


def compare(
    client: Client, network: Network, window_ms: int, pairs: int, console: Console
) -> tuple[float, list[Outcome]]:
    """The limit in microseconds, twice the p99 of the default at 8 callers, and all choices."""
    window_us = 1000 * window_ms
    with own_triton(keys=False) as server, tempfile.TemporaryDirectory() as folder:
        lab = Lab(server, network, Path(folder))
        lab.serve(network.name, DEFAULT)
        limit = 2 * statistics.median(lab.measure(network.name, 8, window_us)[1] for _ in range(3))
        limit = max(1000.0, 1000 * round(limit / 1000))  # Model Analyzer takes whole milliseconds
        console.print(f"{network.name}: p99 within {limit / 1000:.0f} ms")
        choices = [Choice("the default", DEFAULT, 8), tuned(client, network, limit, window_ms)]
        for mode in MODES:
            if choice := searched(lab, mode, limit, console):
                choices.append(choice)
        for i, choice in enumerate(choices):
            console.print(f"[dim]{choice.by}: {choice.configuration}, {choice.callers} callers[/]")
            lab.serve(f"choice-{i}", choice.configuration)
        outcomes = [Outcome(network.name, choice, [], []) for choice in choices]
        for _ in range(pairs):
            for i, outcome in enumerate(outcomes):
                rate, p99 = lab.measure(f"choice-{i}", outcome.choice.callers, window_us)
                outcome.rates.append(rate)
                outcome.p99_us.append(p99)
        return limit, outcomes


def over_default(outcome: Outcome, default: Outcome) -> Estimate:
    """Its rate over that of the default, round by round."""
    pairs = zip(outcome.rates, default.rates, strict=True)
    return estimate([mine / theirs for mine, theirs in pairs])


def shown(limit_us: float, outcomes: Sequence[Outcome]) -> Table:
    """As it is printed."""
    title = f"{outcomes[0].network}: throughput with a p99 within {limit_us / 1000:.0f} ms"
    table = Table(title=title, title_justify="left")
    columns = (
        "search",
        "measurements",
        "minutes",
        "chose",
        "per second",
        "over the default",
        "p99",
    )
    for column in columns:
        table.add_column(column, justify="left" if column in ("search", "chose") else "right")
    for one in outcomes:
        ratio = over_default(one, outcomes[0])
        searching = one.choice.measurements > 0
        table.add_row(
            one.choice.by,
            str(one.choice.measurements) if searching else "",
            f"{one.choice.minutes:.1f}" if searching else "",
            f"{one.choice.configuration}, {one.choice.callers} callers",
            f"{statistics.median(one.rates):,.0f}",
            f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" if searching else "",
            f"{statistics.median(one.p99_us) / 1000:.1f} ms",
        )
    return table


def main() -> None:
    """Prints a table for each network."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--window-ms", type=int, default=500, help="a third of a measurement")
    parser.add_argument("--pairs", type=int, default=10, help="rounds of all choices in turns")
    parser.add_argument("--only", help="one network alone: tiny or cnn")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    stack = find_stack()
    if stack is None:
        parser.error("no stack runs here: make serve")
    console = Console()
    found: dict[str, tuple[float, list[Outcome]]] = {}
    with Client(stack.api, token=stack.token) as client:
        for network in NETWORKS:
            if options.only in (None, network.name):
                found[network.name] = compare(
                    client, network, options.window_ms, options.pairs, console
                )
    console.print(f"Model Analyzer {version('triton-model-analyzer', of='model-analyzer')}")
    for limit, outcomes in found.values():
        console.print(shown(limit, outcomes))
    if options.json:
        options.json.write_text(json.dumps(_document(found), indent=2) + "\n")


def _document(found: Mapping[str, tuple[float, list[Outcome]]]) -> dict[str, object]:
    return {
        name: {"limit_us": limit, "choices": [asdict(one) for one in outcomes]}
        for name, (limit, outcomes) in found.items()
    }


if __name__ == "__main__":
    main()
