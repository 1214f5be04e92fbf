"""A/A on the running stack: how often the tests find a difference between two arms that are alike.

    python -m perf.live_analysis [--minutes 5] [--window 20] [--json FILE]      beside `make serve`

Two versions with the same behaviour (`perf.marked_model`) share real requests through the router,
while a rollout that decides nothing keeps their server scraped every second. What was measured is
cut into windows; in each of them a run is played by the code that judges real ones (`POST
/endpoints/{name}/replays/`), once with either arm as the candidate, looked at every second. First
requests are independent of each other, then bursts make more of them fail, dawdle and be wrong for
some seconds, on both arms. Beside it the same metrics simulated (`perf.analysis`).
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from nereid import Client
from nereid.config import find_stack
from perf.analysis import ALPHAS, STREAMS, Kind, Stream, false_rollbacks
from perf.marked_load import OUTCOME, MarkedLoad
from perf.marked_model import SERVED, Behaviour

NAME = "alike"
ALIKE = Behaviour(fails=0.01, slow_ms=20.0, wrong=0.1)
ALPHA = ALPHAS[0]
SIMULATED = 2_000

METRICS: tuple[tuple[Kind, dict[str, Any]], ...] = (
    (Kind("error rate, 1 %", 0.01), {"kind": "error_rate", "margin": 0}),
    (
        Kind("labels, 10 % wrong", 0.1),
        {"kind": "feedback", "outcome": OUTCOME, "margin": 0},
    ),
    (
        Kind("p99 of latency", 0.01, latency=True),
        {"kind": "latency_quantile", "q": 0.99, "marginRelative": 0.05, "unit": "request"},
    ),
)
"""What is measured: for the simulation, and for a template. Margins are 0: the very edge."""

SPREAD, FORGETS = 0.5, 0.8
"""Of a burst: standard deviation of its logarithm, and what is left of it after a second."""


@dataclass(frozen=True)
class Alike:
    """Of so many runs on arms that are alike, those that failed one, and the same simulated."""

    metric: str
    stream: str
    runs: int
    failed: int
    simulated: float

    @property
    def allowed(self) -> float:
        """Alpha and three standard errors of a share over so many runs."""
        return ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / self.runs)


class Burst:
    """What all callers share: a factor that remembers itself for some seconds."""

    def __init__(self, spread: float) -> None:
        self._spread, self._level, self._at = spread, 0.0, time.monotonic()
        self._dice = np.random.default_rng(7)

    def __call__(self) -> float:
        now = time.monotonic()
        if self._spread and now - self._at >= 1:
            shock = self._dice.normal(0, self._spread * math.sqrt(1 - FORGETS**2))
            self._level, self._at = FORGETS * self._level + shock, now
        return math.exp(self._level)


@contextmanager
def shared(client: Client, folder: Path) -> Iterator[tuple[str, str]]:
    """Two versions that are alike, each with half of the requests; their physical models."""
    archive = ALIKE.archive(folder)
    pushed = [
        client.push(NAME, archive, framework="python", overrides=SERVED, create=True, wait=True)
        for _ in range(2)
    ]
    client.ensure_endpoint(NAME)
    first, second = (
        {"model": NAME, "version": version.number, "weight": 100} for version in pushed
    )
    accepted = client.put_policy(NAME, {"arms": [first]}, etag="*")
    client.wait_endpoint(NAME, generation=accepted.generation)
    rollout = client.start_rollout(
        NAME,
        {"model": NAME, "version": second["version"]},
        steps=[{"setWeight": 50}, {"pause": {}}],
        harm_budget=1_000_000,
        dry_run=True,
    )
    while client.rollout(rollout.id).state != "paused":
        time.sleep(0.2)
    arms = client.endpoint(NAME).arms
    yield tuple(str(arm.physical) for arm in arms[:2])  # type: ignore[misc] # there are two
    client.delete_endpoint(NAME)


def measured(
    client: Client, arms: tuple[str, str], begins: datetime, ends: datetime, window: timedelta
) -> dict[str, list[bool]]:
    """Metric -> of each run in a window whether it failed the arm that was the candidate."""
    count = int((ends - begins) / window)
    windows = [begins + i * window for i in range(count)]
    found: dict[str, list[bool]] = {kind.name: [] for kind, _ in METRICS}
    for since in track(windows, description="judging"):
        for kind, metric in METRICS:
            template = {"alpha": ALPHA, "metrics": [{"name": "one", **metric}]}
            for candidate, baseline in (arms, arms[::-1]):
                run = client.replay(
                    NAME, candidate, baseline, since, since + window, template=template
                )
                found[kind.name].append(run.phase == "Failed")
    return found


def main() -> int:
    """Prints the table; 1 where more failed than alpha and three standard errors allow."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5, help="of each kind of load")
    parser.add_argument("--window", type=float, default=20, help="seconds of one run")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    stack = find_stack()
    if stack is None:
        parser.error("no running stack found; start one with `make serve`")
    rows: list[Alike] = []
    window = timedelta(seconds=arguments.window)
    with (
        Client(stack.api, stack.token) as client,
        tempfile.TemporaryDirectory() as folder,
        shared(client, Path(folder)) as arms,
    ):
        for stream in STREAMS[:2]:
            burst = Burst(SPREAD if stream.shared_burst else 0)
            begins = datetime.now(UTC)
            with MarkedLoad(client, str(stack.triton("grpc")), NAME, burst=burst):
                time.sleep(60 * arguments.minutes)
            found = measured(client, arms, begins, datetime.now(UTC), window)
            rows += [_row(kind, stream, found, arguments.window) for kind, _ in METRICS]
    Console().print(_table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return int(any(row.failed > row.allowed * row.runs for row in rows))


def _row(kind: Kind, stream: Stream, found: dict[str, list[bool]], seconds: float) -> Alike:
    half = Stream(stream.name, stream.burst, stream.shared_burst, weight=0.5)
    simulated = false_rollbacks(kind, half, SIMULATED, round(seconds))
    runs = found[kind.name]
    return Alike(kind.name, stream.name, len(runs), sum(runs), simulated.by_request[0])


def _table(rows: list[Alike]) -> Table:
    table = Table(title=f"runs on arms that are alike which failed one, at alpha {ALPHA}")
    for column in ("metric", "requests", "runs", "failed", "share", "simulated"):
        table.add_column(column, justify="left" if column in ("metric", "requests") else "right")
    for row in rows:
        share = f"{row.failed / row.runs:.1%}"
        figures = (str(row.runs), str(row.failed), share, f"{row.simulated:.1%}")
        table.add_row(row.metric, row.stream, *figures)
    return table


if __name__ == "__main__":
    raise SystemExit(main())
