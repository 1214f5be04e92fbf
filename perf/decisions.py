"""Nanoseconds that the router takes to decide where a request goes, and to note who answered.

    python -m perf.decisions [--runs 40] [--threads 1 4] [--json figures.json]

A native benchmark over the router's own sources, compiled with the backend's flags. A figure is
CPU time of one decision with the request counted in and out again; what Triton takes to hand a
request's parameters over is not in it. Median over the runs, with the middle half of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from backends.build import FLAGS, PURE_SOURCES, SOURCES, find_compiler

BENCHMARK = Path(__file__).parent / "native" / "decisions.cc"

GOALS = {"noting who answered": 50, "weighted": 150, "sticky": 150, "adaptive over 4 arms": 300}
"""Nanoseconds, from one thread."""

Runs = dict[tuple[str, int], list[float]]


def build_benchmark(folder: Path) -> Path:
    """Compiles the benchmark into `folder`, with the flags that the backend is compiled with."""
    compiler = find_compiler()
    program = folder / "decisions"
    flags = [flag for flag in FLAGS if flag != "-shared"]
    sources = [str(SOURCES / source) for source in PURE_SOURCES]
    command = [*compiler.command, *compiler.flags, *flags, "-pthread", f"-I{SOURCES}"]
    subprocess.run([*command, str(BENCHMARK), *sources, "-o", str(program)], check=True)
    return program


def measure(program: Path, *, runs: int, decisions: int, threads: list[int]) -> Runs:
    """(scenario, threads) -> nanoseconds a decision, one figure for each run."""
    command = [str(program), str(runs), str(decisions), *map(str, threads)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: Runs = defaultdict(list)
    for line in output.splitlines():
        scenario, count, nanoseconds = line.split("\t")
        found[scenario, int(count)].append(float(nanoseconds))
    return found


def summary(runs: Runs) -> list[dict[str, object]]:
    """Median and quartiles of each scenario, with its goal where it has one."""
    rows: list[dict[str, object]] = []
    for (scenario, threads), figures in runs.items():
        low, median, high = statistics.quantiles(figures, n=4)
        goal = GOALS.get(scenario) if threads == 1 else None
        rows.append(
            {
                "scenario": scenario,
                "threads": threads,
                "median_ns": round(median, 1),
                "quartiles_ns": [round(low, 1), round(high, 1)],
                "goal_ns": goal,
                "met": None if goal is None else median <= goal,
            }
        )
    return rows


def main() -> int:
    """Prints the figures; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--decisions", type=int, default=200_000, help="in one run of a thread")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    if arguments.runs < 2:
        parser.error("a median with its spread takes two runs at least")
    with tempfile.TemporaryDirectory(prefix="nereid-decisions-") as folder:
        program = build_benchmark(Path(folder))
        runs = measure(
            program,
            runs=arguments.runs,
            decisions=arguments.decisions,
            threads=arguments.threads,
        )
    rows = summary(runs)
    table = Table("scenario", "threads", "ns a decision", "middle half", "goal")
    for row in rows:
        low, high = row["quartiles_ns"]  # type: ignore[misc]
        goal = "" if row["goal_ns"] is None else f"{row['goal_ns']} {'met' if row['met'] else 'NO'}"
        table.add_row(
            str(row["scenario"]),
            str(row["threads"]),
            str(row["median_ns"]),
            f"{low} - {high}",
            goal,
        )
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 1 if any(row["met"] is False for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
