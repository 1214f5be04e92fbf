"""Faults under load, one after the other: the chaos table.

    python -m tests.chaos [--runs 3] [--minutes M] [--only FAULT] [--seed N] [--edge] [--out FOLDER]

`make chaos` is this. It starts a stack of three real servers of its own on free ports, calls it
all the while over HTTP and gRPC, changes weights each second and keeps a rollout going, and does
each fault so many times. It ends with 1 where a promise of docs/faults.md is broken: a request
failed, an acknowledged change was lost, a fault was not recovered from, or something was left.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tests.chaos.faults import FAULTS, Fault
from tests.chaos.report import table, write
from tests.chaos.trial import Outcome, under_load
from tests.support.ended_early import ended_by_a_signal

OUT = Path("build/chaos")


def main() -> int:
    """Runs the faults and prints the table; 1 where a promise was broken."""
    names = [fault.name for fault in FAULTS]
    parser = argparse.ArgumentParser(
        prog="make chaos", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3, help="of each fault")
    parser.add_argument("--minutes", type=float, help="rounds of all faults for so long instead")
    parser.add_argument(
        "--only", action="append", choices=names, metavar="FAULT", help=", ".join(names)
    )
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn at random")
    parser.add_argument("--servers", type=int, default=3)
    parser.add_argument("--edge", action="store_true", help="call through the stack's edge")
    parser.add_argument("--out", type=Path, default=OUT, help="where the report goes")
    options = parser.parse_args()
    console = Console()
    chosen = [fault for fault in FAULTS if fault.name in (options.only or names)]
    outcomes: list[Outcome] = []
    ended_early = False
    try:
        _run(options, chosen, outcomes, console)
    except KeyboardInterrupt:
        ended_early = True
        console.print("ended early; what was done until then:")
    console.print(table(outcomes))
    console.print(f"report: {options.out}/report.md, report.json")
    return 0 if all(outcome.held for outcome in outcomes) and not ended_early else 1


def _run(
    options: argparse.Namespace, chosen: Sequence[Fault], outcomes: list[Outcome], console: Console
) -> None:
    """Every round of the faults, each with a line, a report and its place in `outcomes`."""
    end = time.monotonic() + (options.minutes or 0) * 60
    with (
        ended_by_a_signal(),
        tempfile.TemporaryDirectory(prefix="nereid-chaos-") as folder,
        under_load(
            Path(folder) / "home", servers=options.servers, seed=options.seed, edge=options.edge
        ) as trial,
    ):
        dice, rounds = random.Random(options.seed), 0
        while time.monotonic() < end if options.minutes else rounds < options.runs:
            for fault in dice.sample(chosen, len(chosen)) if rounds else chosen:
                outcome = trial.run(fault)
                outcomes.append(outcome)
                console.print(_line(outcome), highlight=False, soft_wrap=True)
                write(options.out, outcomes, options.seed)
            rounds += 1


def _line(outcome: Outcome) -> str:
    mark = "[green]✓[/]" if outcome.held else "[red]✗[/]"
    took = "-" if outcome.seconds is None else f"{outcome.seconds:.1f} s"
    said = f"{mark} {outcome.fault:16} {len(outcome.failures)} of {outcome.requests} failed  {took}"
    details = [outcome.problem, *outcome.lost[:3], *outcome.left[:5], *outcome.failures[:5]]
    return "\n    ".join([said, *(detail.replace("[", "\\[") for detail in details if detail)])


if __name__ == "__main__":
    raise SystemExit(main())
