"""A tune against the whole grid: how near it comes to the best, and how little it measures for it.

    python -m perf.tuning [--window 500ms] [--pairs 5] [--only tiny] [--json FILE]

Beside `make serve`. Two networks (`perf.peers.networks`), each with a grid of configurations and
callers that is measured whole by perf runs, and then tuned in the same space, on the same server.
What the grid found best within the limit and what the tune chose are then measured in turns (A B A
B): a best of a hundred measurements is the luckiest of them, too, and a machine is not the same an
hour later. Goals: at least 95 % of the grid's best throughput with at most a fifth of its
measurements. The limit is twice the p99 of what is served by default at 8 callers, unless --p99
says one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.tuning.configuration import (
    Configuration,
    configuration_of,
    overrides_for,
)
from control_plane.domain.tuning.space import Machine, Space, Tunable, space_for
from nereid import Client, PerfLevel, PerfRun, Server
from nereid.config import find_stack
from perf.peers.networks import NETWORKS, Network

PROFILE = "realtime"
SPACE: dict[str, list[Any]] = {
    "max_batch_size": [4, 16, 32],
    "queue_delay_us": [0, 1000],
    "preferred": [False],
    "instances": [1, 2],
    "threads": [1, 2],
}
MOST_CALLERS = 32
LOADS = [1, 2, 4, 8, 16, 32]
MIDDLE = 8
GOAL_SHARE, GOAL_MEASUREMENTS = 0.95, 0.2

Place = tuple[Configuration, float]


@dataclass(frozen=True)
class Outcome:
    """What became of one network; throughputs in inferences a second, from the pairs."""

    network: str
    limit_us: float
    grid_measurements: int
    grid_minutes: float
    grid_best: str
    grid_throughput: float
    tune_measurements: int
    tune_minutes: float
    tune_chosen: str
    tune_throughput: float

    @property
    def share(self) -> float:
        return self.tune_throughput / self.grid_throughput

    @property
    def measured(self) -> float:
        return self.tune_measurements / self.grid_measurements


def lab_server(client: Client) -> Server:
    """The first server that may be put under load; raises SystemExit where there is none."""
    for server in client.servers():
        if server.raw.get("lab"):
            return server
    raise SystemExit("no server is marked as a lab: nereid servers lab NAME on")


class Lab:
    """A server of the stack that may be put under load, and how a version is measured on it."""

    def __init__(self, client: Client, window: str) -> None:
        self.client = client
        self.window = window
        self.server = lab_server(client)

    def measure(
        self, name: str, loads: Sequence[float], overrides: Mapping[str, Any]
    ) -> dict[float, PerfLevel]:
        """Load -> what was measured; nothing where the run failed, which is told."""
        started = self.client.start_perf_run(
            {"model": name, "version": 1},
            self.server.name,
            concurrency=[int(load) for load in loads],
            window=self.window,
            input="random",
            **({"overrides": dict(overrides)} if overrides else {}),
        )
        done: PerfRun = self.client.wait_perf_run(started.id)
        if done.state != "succeeded":
            Console(stderr=True).print(f"perf run {done.id} {done.state}: {done.reason}")
        return {level.value: level for level in done.levels}


def compare(lab: Lab, network: Network, limit: float | None, pairs: int) -> Outcome:
    """The grid, the tune, and the best of both in turns."""
    name = f"tuned-{network.name}-{int(time.time())}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        network.write(path)
        lab.client.push(name, path, create=True, wait=True, profile=PROFILE, git=False)
    profile = ServingProfile.from_values(PROFILE, dict(lab.client.profile(PROFILE).document))
    space = _space(profile, int(lab.server.raw.get("cores") or 2))

    def overrides(one: Configuration) -> dict[str, Any]:
        return overrides_for(one, space.present, profile, "onnx")

    began = time.monotonic()
    found: dict[Place, PerfLevel] = {}
    candidates = space.candidates()
    for one in track(candidates, description=f"grid of {network.name}"):
        levels = lab.measure(name, LOADS, overrides(one))
        found |= {(one, load): level for load, level in levels.items()}
    grid_minutes = (time.monotonic() - began) / 60
    bound = limit or 2 * found[space.present, MIDDLE].p99_us
    best = max(
        (place for place, level in found.items() if level.p99_us <= bound),
        key=lambda place: found[place].throughput,
    )
    began = time.monotonic()
    chosen, measurements = _tuned(lab, name, bound)
    tune_minutes = (time.monotonic() - began) / 60
    rates = _in_turns(lab, name, {place: overrides(place[0]) for place in (best, chosen)}, pairs)
    return Outcome(
        network=network.name,
        limit_us=bound,
        grid_measurements=len(found),
        grid_minutes=grid_minutes,
        grid_best=f"{best[0]}, {best[1]:g} callers",
        grid_throughput=rates[best],
        tune_measurements=measurements,
        tune_minutes=tune_minutes,
        tune_chosen=f"{chosen[0]}, {chosen[1]:g} callers",
        tune_throughput=rates[chosen],
    )


def _space(profile: ServingProfile, cores: int) -> Space:
    present = configuration_of(profile, "onnx", {}, batched=True)
    return space_for(
        Tunable("onnx", batched=True), present, Machine(cores), most_rows=MOST_CALLERS, asked=SPACE
    )


def _tuned(lab: Lab, name: str, bound: float) -> tuple[Place, int]:
    """What a tune chooses in the same space, and how many levels it measured for it."""
    started = lab.client.start_tune(
        name,
        1,
        lab.server.name,
        objective="throughput",
        latency_limit=f"{bound / 1000:.3f}ms",
        max_concurrency=MOST_CALLERS,
        space=SPACE,
        window=lab.window,
        input="random",
        trials=40,
    )
    done = lab.client.wait_tune(started.id, timeout=7200)
    if done.result is None or done.result.chosen is None:
        raise SystemExit(f"tune {done.id} chose nothing: it {done.state} ({done.reason})")
    point = done.result.chosen
    one = Configuration.from_document(point.raw["configuration"])
    return (one, point.load), done.result.measurements


def _in_turns(
    lab: Lab, name: str, places: Mapping[Place, Mapping[str, Any]], pairs: int
) -> dict[Place, float]:
    """The median throughput of each place, measured one after the other, again and again."""
    rates: dict[Place, list[float]] = {place: [] for place in places}
    for _ in range(pairs):
        for place, overrides in places.items():
            levels = lab.measure(name, [place[1]], overrides)
            rates[place] += [level.throughput for level in levels.values()]
    return {place: statistics.median(values) for place, values in rates.items()}


def _shown(outcomes: Sequence[Outcome]) -> Table:
    table = Table(title="A tune against the whole grid")
    for column in ("network", "p99 within", "", "measurements", "minutes", "best", "per second"):
        table.add_column(column)
    for one in outcomes:
        grid = (str(one.grid_measurements), f"{one.grid_minutes:.1f}", one.grid_best)
        mine = (str(one.tune_measurements), f"{one.tune_minutes:.1f}", one.tune_chosen)
        limit = f"{one.limit_us / 1000:.1f} ms"
        table.add_row(one.network, limit, "grid", *grid, f"{one.grid_throughput:,.0f}")
        table.add_row("", "", "tune", *mine, f"{one.tune_throughput:,.0f}")
        met = one.share >= GOAL_SHARE and one.measured <= GOAL_MEASUREMENTS
        said = f"{one.share:.1%} of the throughput with {one.measured:.1%} of the measurements"
        table.add_row("", "", "", "", "", said, "met" if met else "missed")
        table.add_section()
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--window", default="500ms", help="a third of each measurement's time")
    parser.add_argument("--pairs", type=int, default=5, help="of the two best, in turns")
    parser.add_argument("--p99", type=float, help="the limit in milliseconds")
    parser.add_argument("--only", help="one network alone: tiny or cnn")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    stack = find_stack()
    if stack is None:
        raise SystemExit("no stack runs here: make serve")
    limit = options.p99 * 1000 if options.p99 else None
    with Client(stack.api, token=stack.token) as client:
        lab = Lab(client, options.window)
        chosen = [one for one in NETWORKS if options.only in (None, one.name)]
        outcomes = [compare(lab, network, limit, options.pairs) for network in chosen]
    Console().print(_shown(outcomes))
    if options.json:
        rows = [{**asdict(one), "share": one.share, "measured": one.measured} for one in outcomes]
        options.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
