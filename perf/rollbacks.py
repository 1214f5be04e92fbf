"""What rollouts decide on the running stack, and how soon the last request met a bad version.

    python -m perf.rollbacks [--rollbacks 50] [--beside 20] [--scenarios] [--json FILE]

Beside a running `make serve`.

A model of its own (`perf.marked_model`) serves under constant load. First four candidates, each
with one thing different (`SCENARIOS`), are rolled out by errors, latency against a twin and labels:
is it promoted or taken back, what did callers see, what did it cost. Then one that fails a tenth of
its requests is rolled out again and again with half of the traffic: from the beginning of the look
that finds it bad to the moment at which the last request was sent that the candidate answered.
Beside that the same of an abort by hand, and of an ordinary policy that sends everything to the old
version, both from the moment the call was sent.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from nereid import Client
from nereid.config import find_stack
from nereid.rollouts import Rollout
from perf.marked_load import OUTCOME, MarkedLoad
from perf.marked_model import HEAVY, SERVED, Behaviour

NAME = "marked"
GOOD = Behaviour()
BUDGET = 100

TEMPLATE: dict[str, Any] = {
    "metrics": [
        {"name": "errors", "kind": "error_rate", "margin": 0.005},
        {
            "name": "p99",
            "kind": "latency_quantile",
            "q": 0.99,
            "compare": "twin",
            "marginRelative": 0.15,
            "block": "2s",
        },
        {"name": "labels", "kind": "feedback", "outcome": OUTCOME, "margin": 0.03},
    ],
    "inconclusiveAfter": "20m",
}
BY_ERRORS: dict[str, Any] = {"metrics": [{"name": "errors", "kind": "error_rate"}]}


@dataclass(frozen=True)
class Scenario:
    """A candidate, and how its rollout has to end."""

    name: str
    behaviour: Behaviour
    state: str


SCENARIOS = (
    Scenario("as good", GOOD, "promoted"),
    Scenario("fails 5 % of its requests", Behaviour(fails=0.05), "rolledBack"),
    Scenario("30 % slower at p99", Behaviour(slow_ms=1.3 * GOOD.slow_ms), "rolledBack"),
    Scenario("answers 15 % wrong, not 5 %", Behaviour(wrong=0.15), "rolledBack"),
)


@dataclass(frozen=True)
class Outcome:
    """How a rollout ended: what callers saw, and what its candidate did until then.

    `harmed` are the attempts that it failed, which the old version answered; `met` are the
    answers that callers had of it, and `seconds` is from its start to its end, or to the promotion.
    """

    scenario: str
    state: str
    reason: str
    seconds: float
    requests: int
    failures: int
    met: int
    harmed: int
    budget: int


class Bench:
    """The stack's own endpoint for this, with version 1 serving."""

    def __init__(self, client: Client, grpc: str, folder: Path) -> None:
        self.client, self._grpc, self._folder = client, grpc, folder
        for name, document in (("marked", TEMPLATE), ("marked-errors", BY_ERRORS)):
            with_tag = {"etag": "*"} if name in known(client) else {}
            client.put_analysis_template(name, document, **with_tag)
        self.base = self.push(GOOD)
        client.ensure_endpoint(NAME)
        self.serve(self.base)

    def push(self, behaviour: Behaviour) -> int:
        """A version that behaves like that; returns its number."""
        path = behaviour.archive(self._folder)
        said = {"framework": "python", "overrides": SERVED}
        return self.client.push(NAME, path, create=True, wait=True, **said).number

    def serve(self, version: int) -> None:
        """Everything to that version."""
        arms = [{"model": NAME, "version": version, "weight": 100, "name": "stable"}]
        accepted = self.client.put_policy(NAME, {"arms": arms}, etag="*")
        self.client.wait_endpoint(NAME, generation=accepted.generation)

    @contextmanager
    def load(self) -> Iterator[MarkedLoad]:
        with MarkedLoad(self.client, self._grpc, NAME) as load:
            yield load

    def start(self, version: int, template: str, weight: int, budget: int) -> Rollout:
        steps = [{"setWeight": weight}, {"analysis": {"template": template}}]
        return self.client.start_rollout(
            NAME,
            {"model": NAME, "version": version},
            steps=steps,
            analysis=[template],
            harm_budget=budget,
            watch="0s",
        )

    def decided_at(self, rollout: Rollout) -> float:
        """When the look began that found it bad, in seconds since 1970."""
        events = self.client.rollout_events(rollout.id)
        found = next(e for e in events if e.event in ("measuredBad", "budgetSpent"))
        return datetime.fromisoformat(found.at).timestamp()

    def play(self, scenario: Scenario) -> Outcome:
        """One scenario, from its start to its end; version `base` serves before and after."""
        version = self.push(scenario.behaviour)
        began = time.monotonic()
        with self.load() as load:
            rollout = self.start(version, "marked", 30, BUDGET)
            ended = self.client.wait_rollout(rollout.id, watched=True, timeout=1500)
        seconds = time.monotonic() - began
        met = [answer for answer in load.answers if answer.arm.startswith(f"{NAME}.v{version}.")]
        self.serve(self.base)
        return Outcome(
            scenario=scenario.name,
            state=ended.state,
            reason=ended.reason,
            seconds=round(seconds, 1),
            requests=len(load.answers),
            failures=len(load.failures),
            met=len(met),
            harmed=ended.harm_spent,
            budget=ended.harm_budget,
        )


def known(client: Client) -> set[str]:
    """The names of the analysis templates there are."""
    return {template.name for template in client.analysis_templates()}


def last_after(load: MarkedLoad, version: int, moment: float) -> float:
    """Seconds from a moment to the sending of the last request that this version answered."""
    own = f"{NAME}.v{version}."
    answers = list(load.answers)
    return max((a.sent - moment for a in answers if a.arm.startswith(own)), default=0.0)


def by_verdict(bench: Bench, version: int) -> float:
    """One rollback by what was measured."""
    with bench.load() as load:
        rollout = bench.start(version, "marked-errors", 50, 10_000)
        bench.client.wait_rollout(rollout.id, timeout=600)
    return last_after(load, version, bench.decided_at(rollout))


def by_hand(bench: Bench, version: int) -> float:
    """One abort, of a rollout that nothing is wrong with."""
    with bench.load() as load:
        rollout = bench.start(version, "marked", 50, 10_000)
        _until(lambda: bench.client.rollout(rollout.id).state == "analysing")
        sent = time.time()
        bench.client.abort_rollout(rollout.id)
        bench.client.wait_rollout(rollout.id, timeout=600)
    return last_after(load, version, sent)


def by_policy(bench: Bench, version: int) -> float:
    """One ordinary change of weights."""
    arms = [
        {"model": NAME, "version": bench.base, "weight": 50, "primary": True},
        {"model": NAME, "version": version, "weight": 50},
    ]
    accepted = bench.client.put_policy(NAME, {"arms": arms}, etag="*")
    bench.client.wait_endpoint(NAME, generation=accepted.generation)
    with bench.load() as load:
        _until(lambda: any(f".v{version}." in answer.arm for answer in list(load.answers)))
        sent = time.time()
        bench.serve(bench.base)
    return last_after(load, version, sent)


WAYS: Mapping[str, tuple[Callable[[Bench, int], float], Behaviour]] = {
    "rollback by a verdict": (by_verdict, Behaviour(fails=0.1)),
    "abort by hand": (by_hand, GOOD),
    "another policy by hand": (by_policy, GOOD),
}


def measure(bench: Bench, rollbacks: int, beside: int, console: Console) -> dict[str, list[float]]:
    """Way -> seconds to the last request on the arm that goes, of each time."""
    found = {}
    for way, (once, behaviour) in WAYS.items():
        version = bench.push(behaviour)
        times = range(rollbacks if once is by_verdict else beside)
        found[way] = [once(bench, version) for _ in track(times, description=way, console=console)]
    return found


def main() -> int:
    """Prints the tables; 1 when a rollout ended otherwise, or a caller saw a failure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rollbacks", type=int, default=50, help="by a verdict; 0: none")
    parser.add_argument("--beside", type=int, default=20, help="of each of the other ways")
    parser.add_argument("--scenarios", action="store_true", help="the four candidates as well")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    stack = find_stack()
    if stack is None:
        parser.error("no running stack found; start one with `make serve`")
    console = Console()
    with Client(stack.api, stack.token) as client, tempfile.TemporaryDirectory() as folder:
        bench = Bench(client, str(stack.triton("grpc")), Path(folder))
        outcomes = [bench.play(scenario) for scenario in SCENARIOS] if arguments.scenarios else []
        often = (arguments.rollbacks, arguments.beside)
        ways = measure(bench, *often, console) if arguments.rollbacks else {}
        client.delete_endpoint(NAME)
    if outcomes:
        console.print(_outcomes(outcomes))
        for one in outcomes:
            console.print(f"{one.scenario}: [dim]{one.reason}")
    if ways:
        console.print(_ways(ways))
    if arguments.json:
        figures = {"scenarios": [asdict(one) for one in outcomes], "seconds": ways}
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    as_expected = {scenario.name: scenario.state for scenario in SCENARIOS}
    wrong = [one for one in outcomes if one.state != as_expected[one.scenario] or one.failures]
    return 1 if wrong else 0


def _outcomes(outcomes: list[Outcome]) -> Table:
    title = f"a candidate with 30 % of the requests; {HEAVY:.0%} of them are heavy"
    table = Table(title=title, min_width=100)
    for column in ("candidate", "ended", "after", "callers' failures", "answered", "failed"):
        table.add_column(column, min_width=30 if column == "candidate" else None)
    for one in outcomes:
        failures = f"{one.failures} of {one.requests:,}"
        harm = f"{one.harmed} of {one.budget}"
        row = (one.scenario, one.state, f"{one.seconds} s", failures, f"{one.met:,}", harm)
        table.add_row(*row)
    return table


def _ways(ways: Mapping[str, list[float]]) -> Table:
    table = Table(title="to the last request on the arm that goes, ms")
    for column in ("way back", "times", "median", "p95", "max"):
        table.add_column(column, justify="left" if column == "way back" else "right")
    for way, seconds in ways.items():
        ms = sorted(1000 * each for each in seconds)
        p95 = statistics.quantiles(ms, n=20, method="inclusive")[-1] if len(ms) > 1 else ms[0]
        figures = (f"{value:.0f}" for value in (statistics.median(ms), p95, ms[-1]))
        table.add_row(way, str(len(ms)), *figures)
    return table


def _until(condition: Callable[[], bool], patience_s: float = 120.0) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {patience_s:.0f} s")
        time.sleep(0.05)


if __name__ == "__main__":
    raise SystemExit(main())
