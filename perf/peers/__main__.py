"""The same networks served by Nereid and by its peers, measured in turns.

    python -m perf.peers [--rounds 10] [--seconds 3] [--only TEXT] [--peers NAMES] [--out FOLDER]
                         [--poll-us N]

`make bench` is this with everything on. All servers run at once on the machine's cores, and wrk
asks one after the other (A B C D A B C D ...), with 1 and with 8 callers that each wait for their
answers: a round of it is one pair of Nereid with each peer. Those that take a part of a core with
nobody asking anything are held while another is asked. What is printed are medians over the
rounds, and the ratio of Nereid's rate to the peer's with the 95 % interval of its median
(perf/paired.py). Everybody answers JSON over HTTP; the first row is the same endpoint with binary
tensors, which is how Triton's own clients ask. "ONNX Runtime" is the network in this process: in
the fastest way with no more rows under way than there are callers, which is what a server can come
near to, and in the fastest of all, with whole batches. Each answer was checked against it.

With `--poll-us 200` the machine's idle cores look for work for that long before they sleep
(perf/idle_cores.py); needs root.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from rich.console import Console
from rich.table import Table

from perf.idle_cores import polling, told
from perf.paired import Estimate, estimate
from perf.peers.contenders import PEERS, Contender, Front, Nereid, peers, served
from perf.peers.environments import environment
from perf.peers.limit import Limit, Way
from perf.peers.load import Measured, measure
from perf.peers.networks import NETWORKS, Network

CALLERS = (1, 8)
WARM_S = 2.0
AWAKE_S = 1.0
"""What it is asked before each measurement, after it rested."""

OUT = Path("build/bench")


@dataclass
class Series:
    """What one contender did in every round, with one number of callers."""

    name: str
    rounds: list[Measured] = field(default_factory=list)
    memory_mib: float = 0.0

    def median(self, what: str) -> float:
        return statistics.median(getattr(one, what) for one in self.rounds)

    @property
    def failed(self) -> int:
        return sum(one.failed for one in self.rounds)


@dataclass
class Alone:
    """What ONNX Runtime did in every round by itself, called in one way."""

    way: Way
    rates: list[float] = field(default_factory=list)


@dataclass
class Bench:
    """One network with one number of callers: a table.

    `alone` has the fastest way that is open to so many callers, and the fastest of all.
    """

    network: Network
    operations: int
    callers: int
    series: list[Series]
    alone: list[Alone]

    @property
    def title(self) -> str:
        plural = "s" if self.callers > 1 else ""
        return (
            f"{self.network.name}: {self.network.words}, {self.operations / 1e6:,.2f} MFLOP a row; "
            f"{self.callers} caller{plural}"
        )

    def ratio(self, series: Series) -> Estimate:
        """Nereid's rate over this one's, round by round."""
        return estimate(
            [
                ours.rate / max(theirs.rate, 1e-9)
                for ours, theirs in zip(self.series[0].rounds, series.rounds, strict=True)
            ]
        )

    def share(self, alone: Alone) -> Estimate:
        """Nereid's rate as a share of ONNX Runtime's, round by round."""
        pairs = zip(self.series[0].rounds, alone.rates, strict=True)
        return estimate([ours.rate / rate for ours, rate in pairs])

    def document(self) -> dict[str, Any]:
        return {
            "network": self.network.name,
            "title": self.title,
            "callers": self.callers,
            "onnxruntime": [
                {
                    "way": str(alone.way),
                    "rates": alone.rates,
                    "nereid_over_it": self.share(alone).document(),
                }
                for alone in self.alone
            ],
            "series": [
                {
                    "name": one.name,
                    "memory_mib": one.memory_mib,
                    "rounds": [asdict(each) for each in one.rounds],
                    "nereid_over_it": self.ratio(one).document(),
                }
                for one in self.series
            ],
        }


def bench(
    network: Network, kinds: Sequence[type], rounds: int, seconds: float, console: Console
) -> list[Bench]:
    """All tables of one network."""
    with tempfile.TemporaryDirectory(prefix="nereid-bench-") as folder:
        model = Path(folder) / "model.onnx"
        operations = network.write(model)
        row = network.sample()
        session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        expected: np.ndarray = session.run(["y"], {"x": row[None]})[0][0]
        del session
        limit = Limit(model, row)
        with (
            served(network, model) as triton,
            peers(list(kinds), network, model, console) as others,
        ):
            contenders: list[Contender] = [
                Nereid(triton, network, binary=True, routed=True),
                Nereid(triton, network, binary=False, routed=True),
                Nereid(triton, network, binary=True, routed=False),
                Front(triton),
                *others,
            ]
            for contender in contenders:
                contender.prove(expected)
                measure(contender.asked, max(CALLERS), WARM_S)
                contender.rest()
            return [
                _table(network, operations, callers, limit, contenders, rounds, seconds, console)
                for callers in CALLERS
            ]


def _table(
    network: Network,
    operations: int,
    callers: int,
    limit: Limit,
    contenders: Sequence[Contender],
    rounds: int,
    seconds: float,
    console: Console,
) -> Bench:
    ways = dict.fromkeys((limit.best(callers), limit.best()))
    alone = [Alone(way) for way in ways]
    made = Bench(network, operations, callers, [Series(c.name) for c in contenders], alone)
    for i in range(rounds):
        for one in alone:
            one.rates.append(limit.rate(one.way, min(seconds, 1.0)))
        for contender, series in zip(contenders, made.series, strict=True):
            contender.wake()
            measure(contender.asked, callers, AWAKE_S)
            series.rounds.append(measure(contender.asked, callers, seconds))
            contender.rest()
        shown = ", ".join(f"{one.name} {one.rounds[-1].rate:,.0f}/s" for one in made.series)
        console.print(f"[dim]{network.name}, {callers} callers, round {i + 1}: {shown}[/]")
    for contender, series in zip(contenders, made.series, strict=True):
        series.memory_mib = contender.memory_mib()
    return made


def shown(found: Bench) -> Table:
    """As it is printed."""
    rounds = len(found.series[0].rounds)
    table = Table(title=f"{found.title}, {rounds} rounds", title_justify="left")
    for column in ("server", "answers/s", "Nereid over it", "p50", "p99", "memory", "failed"):
        table.add_column(column, justify="left" if column == "server" else "right")
    for i, one in enumerate(found.series):
        ratio = found.ratio(one)
        table.add_row(
            one.name,
            f"{one.median('rate'):,.0f}",
            f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" if i else "",
            f"{one.median('p50_us') / 1e3:.2f} ms",
            f"{one.median('p99_us') / 1e3:.2f} ms",
            f"{one.memory_mib:,.0f} MiB",
            str(one.failed),
        )
    table.add_section()
    for alone in found.alone:
        share = found.share(alone)
        table.add_row(
            f"ONNX Runtime alone, {alone.way}",
            f"{statistics.median(alone.rates):,.0f}",
            f"{share.median:.2f} [{share.low:.2f}, {share.high:.2f}]",
        )
    return table


def report(tables: Sequence[Bench], idle: str, out: Path, console: Console) -> None:
    """`report.json`, `report.md` and a plot for each table."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(
        json.dumps([found.document() for found in tables], indent=2) + "\n"
    )
    what = (__doc__ or "").partition("\n\n    ")[0]
    lines = ["# Nereid beside its peers", "", f"{what} On this machine {idle}.", ""]
    for found in tables:
        lines += [f"## {found.title}", "", *_markdown(found), ""]
        lines += [f"![rates]({found.network.name}-{found.callers}.svg)", ""]
    (out / "report.md").write_text("\n".join(lines))
    python = environment("plots", console) / "python"
    plots = Path(__file__).with_name("plots.py")
    subprocess.run([str(python), str(plots), str(out)], check=True)
    console.print(f"the report is {out / 'report.md'}")


def _markdown(found: Bench) -> list[str]:
    lines = ["| server | answers/s | Nereid over it | p50 ms | p99 ms | MiB | failed |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for i, one in enumerate(found.series):
        ratio = found.ratio(one)
        beside = f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" if i else ""
        lines.append(
            f"| {one.name} | {one.median('rate'):,.0f} | {beside} "
            f"| {one.median('p50_us') / 1e3:.2f} | {one.median('p99_us') / 1e3:.2f} "
            f"| {one.memory_mib:,.0f} | {one.failed} |"
        )
    for alone in found.alone:
        share = found.share(alone)
        lines.append(
            f"| ONNX Runtime alone, {alone.way} | {statistics.median(alone.rates):,.0f} "
            f"| {share.median:.2f} [{share.low:.2f}, {share.high:.2f}] | | | | |"
        )
    return lines


def main() -> int:
    """Runs the benchmark, prints its tables and writes the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement")
    parser.add_argument("--only", default="", help="networks whose name has this text")
    parser.add_argument(
        "--peers",
        default=",".join(kind.package for kind in PEERS),
        help="which, by the names of their packages",
    )
    parser.add_argument("--poll-us", type=int, help="how long idle cores look for work")
    parser.add_argument("--out", type=Path, default=OUT, help="the report's folder")
    arguments = parser.parse_args()
    wanted = set(filter(None, arguments.peers.split(",")))
    unknown = wanted - {kind.package for kind in PEERS}
    if unknown:
        parser.error(f"no peer is called {', '.join(sorted(unknown))}")
    kinds = [kind for kind in PEERS if kind.package in wanted]
    console = Console(width=140)
    tables: list[Bench] = []
    with nullcontext() if arguments.poll_us is None else polling(arguments.poll_us):
        idle = told()
        for network in NETWORKS:
            if arguments.only in network.name:
                tables += bench(network, kinds, arguments.rounds, arguments.seconds, console)
    console.print(idle)
    for found in tables:
        console.print(shown(found))
    report(tables, idle, arguments.out, console)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
