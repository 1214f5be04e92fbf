"""The reconciles of a large fleet, simulated: how long queues get, and how soon all is as wanted.

    python -m perf.reconcile_load [--servers 100] [--endpoints 10000] [--replicas 3] [--json FILE]

A discrete-event simulation (`perf.fleet_simulation`) without a database or a broker. What a look
costs is measured (`python -m perf.control_plane_scale`) and an argument here; so is what a node
takes. A worker is a process that has a core, and looks at one endpoint at a time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from perf.fleet_simulation import SILENT_AFTER_S, Figures, Fleet, Simulation


def quiet(s: Simulation) -> float:
    """Nothing happens for two minutes."""
    s.at(120.0, lambda: None)
    return 120.0


def weights(s: Simulation) -> float:
    """Fifty endpoints a second get other weights, for a minute: rollouts, say."""
    for k in range(3000):
        number = s.chance.randrange(len(s.endpoints))
        s.at(1 + k / 50, lambda n=number: s.change(n, models=False))  # type: ignore[misc]
    return 61.0


def lost_messages(s: Simulation) -> float:
    """The same, and one message of twenty is lost."""
    s.loss = 0.05
    return weights(s)


def broker_outage(s: Simulation) -> float:
    """A minute without a broker, emptied; meanwhile one in ten endpoints gets other weights."""
    s.at(10.0, s.lose_everything)
    for k in range(len(s.endpoints) // 10):
        s.at(10.5 + k / 100, lambda n=k: s.change(n, models=False))  # type: ignore[misc]

    def back() -> None:
        s.broker_up = True

    s.at(70.0, back)
    return 70.0


def server_away(s: Simulation) -> float:
    """One server falls silent, and is back five minutes later."""
    s.at(SILENT_AFTER_S, lambda: s.away.add(0))
    s.at(300.0, s.away.clear)
    return 300.0


def server_joins(s: Simulation) -> float:
    """A server joins: nobody is to be there who has the replicas that are wanted."""
    s.at(1.0, lambda: s.change_server(None))
    return 1.0


def server_relabelled(s: Simulation) -> float:
    """A server's labels change: who is there is looked at."""
    s.at(1.0, lambda: s.change_server(0))
    return 1.0


def weights_and_joins(s: Simulation) -> float:
    """Fifty changes of weights a second, and every ten seconds a server joins."""
    for k in range(6):
        s.at(1.5 + 10 * k, lambda: s.change_server(None))
    return weights(s)


def fleet_restart(s: Simulation) -> float:
    """Every Triton starts anew; its node brings its models back within one to three minutes."""
    s.at(1.0, lambda: s.troubled.update(range(s.fleet.servers)))
    for server in range(s.fleet.servers):
        back = s.chance.uniform(60.0, 180.0)
        s.at(1.0 + back, lambda n=server: s.troubled.discard(n))  # type: ignore[misc]
    return 181.0


def everything_anew(s: Simulation) -> float:
    """Every endpoint gets new models at once: the fleet's first server of another kind, say."""
    for number in range(len(s.endpoints)):
        s.at(1.0, lambda n=number: s.change(n, models=True))  # type: ignore[misc]
    return 1.0


SCENARIOS: dict[str, Callable[[Simulation], float]] = {
    "quiet": quiet,
    "weights, 50 a second": weights,
    "5 % of messages lost": lost_messages,
    "broker gone for 60 s": broker_outage,
    "one server away": server_away,
    "a server joins": server_joins,
    "a server's labels change": server_relabelled,
    "weights, and servers join": weights_and_joins,
    "fleet restarts": fleet_restart,
    "everything anew": everything_anew,
}


def simulate(fleet: Fleet, scenario: str, workers: int) -> Figures:
    """One scenario, from a fleet that serves what it should until it does again."""
    simulation = Simulation(fleet, scenario, workers)
    return simulation.run(SCENARIOS[scenario](simulation))


def show(figures: list[Figures], fleet: Fleet, console: Console) -> None:
    title = (
        f"{fleet.servers} servers, {fleet.endpoints:,} endpoints on {fleet.replicas} each, "
        f"{1000 * fleet.look_s:g} ms a look"
    )
    columns = ("workers", "looks", "longest queue", "core s", "change p50 s", "p99 s", "settled s")
    table = Table("scenario", *columns, title=title)
    for one in figures:
        p50, p99 = quantiles(one.took_s)
        settled = "never" if one.settled_s is None else f"{one.settled_s:.1f}"
        counts = (f"{one.looks:,}", f"{one.longest_queue:,}", f"{one.busy_s:,.0f}")
        table.add_row(one.scenario, str(one.workers), *counts, p50, p99, settled)
    console.print(table)


def quantiles(seconds: list[float]) -> tuple[str, str]:
    if len(seconds) < 2:
        return "", ""
    p99 = statistics.quantiles(seconds, n=100, method="inclusive")[-1]
    return f"{statistics.median(seconds):.2f}", f"{p99:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", type=int, default=Fleet.servers)
    parser.add_argument("--endpoints", type=int, default=Fleet.endpoints)
    parser.add_argument("--replicas", type=int, default=Fleet.replicas)
    parser.add_argument("--look-ms", type=float, default=1000 * Fleet.look_s)
    parser.add_argument("--prepare-s", type=float, default=Fleet.prepare_s)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--only", choices=SCENARIOS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    fleet = Fleet(
        servers=options.servers,
        endpoints=options.endpoints,
        replicas=options.replicas,
        look_s=options.look_ms / 1000,
        prepare_s=options.prepare_s,
    )
    console, began = Console(), time.monotonic()
    names = [options.only] if options.only else list(SCENARIOS)
    figures = [simulate(fleet, name, workers) for name in names for workers in options.workers]
    show(figures, fleet, console)
    console.print(f"simulated in {time.monotonic() - began:.0f} s")
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in figures], indent=2) + "\n")


if __name__ == "__main__":
    main()
