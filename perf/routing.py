"""What routing costs: a model called directly and through a router to that same single arm.

    python -m perf.routing [--pairs 20] [--quick] [--json FILE] [--only TEXT]

Starts a Triton of its own. Direct and routed are measured in turns (A B A B), each by one run of
perf_analyzer. The rate is that of a closed loop, callers / mean latency: the one that perf_analyzer
prints for a fixed number of requests comes in steps of a whole second. Figures are medians over the
pairs with their 95 % intervals (perf/paired.py), and a goal is met if the interval reaches it. The
2 ms model spends 2 ms of processor time, as a model on a CPU does: one that slept would leave its
core to the server, and the hop would look cheaper.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from control_plane.adapters.perf_analyzer.binary import find
from perf.own_triton import SIGNATURE, OwnTriton, own_triton
from perf.paired import Comparison, Estimate, Figures

TINY, SLOW, SEQUENCE = "tiny.v1.aaaaaa", "slow.v1.bbbbbb", "steps.v1.cccccc"
SHADOW, FLOATS = "tiny.v2.dddddd", "floats.v1.eeeeee"
BLS_PAIRS, SHADOW_PAIRS = 5, 20
SEQUENCES = "sequence_batching { max_sequence_idle_microseconds: 5000000 }\n"

TRIES = 4
"""Of one measurement, where perf_analyzer hangs: it does, rarely, with 32 callers of 1 MB."""

GOAL_RATIO, GOAL_ADDED_US, GOAL_RATE = 1.05, 40.0, 0.97

Rows = list[dict[str, object]]
"""What was measured, as JSON takes it."""


@dataclass(frozen=True)
class Scenario:
    """One row of the benchmark: what is called, how, and how often in one half of a pair."""

    title: str
    first: str
    second: str
    protocol: str
    callers: int
    size: int
    requests: int

    @property
    def name(self) -> str:
        """What `--only` looks at: "tiny, grpc, 8 callers"."""
        return f"{self.title}, {self.protocol}, {self.callers} callers"


def scenarios(quick: bool) -> list[Scenario]:
    """Both protocols, three numbers of callers, three models."""
    found = []
    for protocol in ("grpc", "http"):
        for callers in (1,) if quick else (1, 8, 32):
            more = 1 if callers == 1 else 2
            for title, direct, routed, size, requests in (
                ("tiny", TINY, "tiny", 64, 4000 * more),
                ("2 ms", SLOW, "slow", 64, 300 * more),
                ("1 MB", TINY, "tiny", 1 << 20, 300 * more),
            ):
                found.append(Scenario(title, direct, routed, protocol, callers, size, requests))
    return found


def bls_scenarios(quick: bool) -> list[Scenario]:
    """The same through a Python model, which is slow: fewer of each."""
    return [
        Scenario(f"BLS, {title}", direct, f"bls-{routed}", "grpc", callers, 64, requests)
        for callers in ((1,) if quick else (1, 8))
        for title, direct, routed, requests in (
            ("tiny", TINY, "tiny", 1000),
            ("2 ms", SLOW, "slow", 200),
        )
    ]


def shadow_scenarios(quick: bool) -> list[Scenario]:
    """A router beside the same one with a shadow: the second may be no slower."""
    return [
        Scenario("shadow of 10 %", "tiny", "tiny-shadowed", "grpc", callers, 64, 6000)
        for callers in ((1,) if quick else (1, 8))
    ]


def confidence_scenarios(quick: bool) -> list[Scenario]:
    """A router beside the same one that reads how sure the answers are, of so many logits."""
    return [
        Scenario(f"confidence of {size:,}", "floats", "floats-sure", "grpc", callers, size, 4000)
        for size in (64, 10_000)
        for callers in ((1,) if quick else (1, 8))
    ]


class Benchmark:
    """perf_analyzer against one server, in turns."""

    def __init__(self, server: OwnTriton, console: Console) -> None:
        self.server = server
        self.console = console
        self.analyzer = find()

    def compare(self, scenario: Scenario, pairs: int) -> Comparison:
        """`pairs` of the scenario's two models, measured in turns."""
        measured = []
        for _ in range(pairs):
            first = self.measure(scenario, scenario.first)
            measured.append((first, self.measure(scenario, scenario.second)))
        return Comparison(measured)

    def measure(self, scenario: Scenario, model: str) -> Figures:
        """One run of perf_analyzer; one that hangs, as it does now and then, is done again."""
        for _ in range(TRIES - 1):
            try:
                return self._measure(scenario, model)
            except subprocess.TimeoutExpired:
                said = f"perf_analyzer hung on {model} ({scenario.name}): once more"
                self.console.print(f"[yellow]{said}[/]")
        return self._measure(scenario, model)

    def _measure(self, scenario: Scenario, model: str) -> Figures:
        options = self.server.options
        address = options.grpc if scenario.protocol == "grpc" else options.http
        done = self.analyzer.run(
            *("-m", model, "-u", address, "-i", scenario.protocol, "-b", "1"),
            *("--shape", f"x:{scenario.size}", "--request-count", str(scenario.requests)),
            *("--concurrency-range", str(scenario.callers)),
            timeout_s=60,
        )
        found = {
            name: float(value)
            for name, value in re.findall(r"(p50|p99|Avg) latency: (\d+) usec", done.stdout)
        }
        if done.returncode != 0 or len(found) < 3:
            said = (done.stdout + done.stderr)[:800]
            raise RuntimeError(f"perf_analyzer on {model}: {said}")
        return Figures(found["p50"], found["p99"], scenario.callers * 1e6 / found["Avg"])

    def sequences(self) -> dict[str, str]:
        """perf_analyzer's sequence mode on a routed and a physical name: answered, or why not."""
        found = {}
        for name in ("steps", SEQUENCE):
            done = self.analyzer.run(
                *("-m", name, "-u", self.server.options.grpc, "-i", "grpc", "--shape", "x:64"),
                *("--num-of-sequences", "4", "--sequence-length", "20", "--async"),
                *("--concurrency-range", "4", "--request-count", "2000"),
                timeout_s=120,
            )
            lines = (done.stdout + done.stderr).splitlines()
            wanted = ("Throughput", "p50", "rror", "ailed", "sequence")
            said = [line.strip() for line in lines if any(word in line for word in wanted)]
            found[name] = f"exit {done.returncode}: " + "; ".join(said[:4])
        return found


def prepare(server: OwnTriton) -> None:
    """All models of the benchmark."""
    server.identity(TINY)
    server.identity(SHADOW)
    server.identity(SLOW, busy_us=2000)
    server.identity(SEQUENCE, config=SEQUENCES)
    one = "arm {} primary\nslots 0:10000\n"
    server.router("tiny", one.format(TINY))
    server.router("slow", one.format(SLOW))
    server.router("steps", one.format(SEQUENCE))
    server.router(
        "tiny-shadowed",
        f"arm {TINY} primary\narm {SHADOW}\nslots 0:10000\n"
        "shadow 1 parts 1000 max_in_flight 8 compare y\n",
    )
    floats = SIGNATURE.replace("UINT8", "FP32")
    server.identity(FLOATS, signature=floats)
    server.router("floats", one.format(FLOATS), signature=floats)
    sure = f"{one.format(FLOATS)}confidence y scores logits\n"
    server.router("floats-sure", sure, signature=floats)
    server.bls_router("bls-tiny", TINY)
    server.bls_router("bls-slow", SLOW)


def verdict(scenario: Scenario, comparison: Comparison) -> str:
    """Which goals the scenario has, and whether the intervals reach them."""
    if scenario.title.startswith(("BLS", "confidence")):
        return ""
    if scenario.title.startswith("shadow"):
        return _met("p99 <= 1", comparison.p99_ratio.low <= 1.0)
    goals = [_met(f"rate >= {GOAL_RATE}", comparison.rate_ratio.high >= GOAL_RATE)]
    if scenario.title == "2 ms":
        goals.append(_met(f"p50 <= {GOAL_RATIO}", comparison.p50_ratio.low <= GOAL_RATIO))
    if scenario.title == "tiny":
        goals.append(_met(f"+{GOAL_ADDED_US:.0f} us", comparison.p50_added_us.low <= GOAL_ADDED_US))
    return ", ".join(goals)


def _met(goal: str, reached: bool) -> str:
    return f"{goal}: {'met' if reached else 'MISSED'}"


def table(title: str) -> Table:
    made = Table(title=title)
    for column in (
        "scenario",
        "callers",
        "p50",
        "then",
        "p50 ratio",
        "p50 +us",
        "p99 ratio",
        "rate",
    ):
        made.add_column(column, justify="left" if column == "scenario" else "right")
    made.add_column("goals")
    return made


def _shown(value: Estimate, digits: int) -> str:
    return f"{value.median:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def run_all(
    benchmark: Benchmark,
    title: str,
    rows: Sequence[Scenario],
    pairs: int,
    keep: Callable[[Rows], None],
) -> None:
    """Measures the rows one after another, keeping what is done; prints them as one table."""
    shown = table(f"{title}: {pairs} pairs, medians with their 95 % intervals")
    documents: Rows = []
    for scenario in rows:
        comparison = benchmark.compare(scenario, pairs)
        goals = verdict(scenario, comparison)
        shown.add_row(
            f"{scenario.title}, {scenario.protocol}",
            str(scenario.callers),
            f"{comparison.p50_first:.0f} us",
            f"{comparison.p50_second:.0f} us",
            _shown(comparison.p50_ratio, 3),
            _shown(comparison.p50_added_us, 0),
            _shown(comparison.p99_ratio, 2),
            _shown(comparison.rate_ratio, 3),
            goals,
        )
        benchmark.console.print(
            f"[dim]{scenario.name}: p50 {_shown(comparison.p50_ratio, 3)}, "
            f"{_shown(comparison.p50_added_us, 0)} us; rate {_shown(comparison.rate_ratio, 3)}[/]"
        )
        documents.append({**vars(scenario), **comparison.document(), "goals": goals})
        keep(documents)
    benchmark.console.print(shown)


def main() -> int:
    """Runs the benchmark and prints its tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="one caller only, three pairs")
    parser.add_argument("--only", default="", help="scenarios whose name has this text")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    quick = arguments.quick
    pairs = min(arguments.pairs, 3) if quick else arguments.pairs
    console = Console(width=180)
    parts = (
        ("routed beside direct", scenarios(quick), pairs),
        ("through a Python BLS router", bls_scenarios(quick), min(BLS_PAIRS, pairs)),
        ("a router with a shadow beside one without", shadow_scenarios(quick), pairs),
        (
            "a router that reads confidence beside one that does not",
            confidence_scenarios(quick),
            pairs,
        ),
    )
    figures: dict[str, object] = {}

    def keep(part: str, found: object) -> None:
        """Also when a later part fails."""
        figures[part] = found
        if arguments.json:
            arguments.json.write_text(json.dumps(figures, indent=2) + "\n")

    with own_triton() as server:
        prepare(server)
        benchmark = Benchmark(server, console)
        for title, rows, count in parts:
            chosen = [row for row in rows if arguments.only in row.name]
            if chosen:
                run_all(benchmark, title, chosen, count, partial(keep, title))
        if not arguments.only:
            sequences = benchmark.sequences()
            keep("sequence mode", sequences)
            for name, said in sequences.items():
                console.print(f"sequence mode of perf_analyzer on {name}: {said}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
