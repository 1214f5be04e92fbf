"""Changes weights under constant load: how many requests fail, how long old weights linger.

    python -m perf.weight_changes [--changes 200]     beside a running `make serve`

Every change moves all traffic from one version of `digits` to the other, so each answer
tells which policy chose it. A change takes from the moment PUT is sent to the moment the last
request was sent that the old policy still answered, on whichever server: all of the fleet's are
called (`make serve ARGS="--servers 4"`), and the clients share them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from nereid import Client
from nereid.config import find_stack
from perf.load import Load

ENDPOINT = "digits"
INPUTS = {"image": np.zeros((1, 1, 8, 8), np.float32)}


def main() -> int:
    """Runs the changes and prints the figures; 1 when a request failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument(
        "--clients", type=int, default=4, help="half HTTP, half gRPC; two a server at least"
    )
    parser.add_argument(
        "--pause-ms",
        type=float,
        default=0,
        help="between an answer and the next request: several servers on one machine need some",
    )
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    stack = find_stack()
    if stack is None:
        parser.error("no running stack found; start one with `make serve`")
    console = Console()
    with Client(stack.api, stack.token) as client:
        before = client.policy(ENDPOINT)
        try:
            figures = measure(
                client,
                addresses(client),
                arguments.changes,
                arguments.clients,
                console,
                pause_s=arguments.pause_ms / 1000,
            )
        finally:
            client.put_policy(ENDPOINT, before.document, etag="*")
    for name, value in figures.items():
        console.print(f"{name:34} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if figures["failed requests"] else 0


@dataclass(frozen=True)
class Address:
    """Where a server is called."""

    http: str
    grpc: str


def addresses(client: Client) -> list[Address]:
    """Those of the servers that serve the endpoint."""
    serving = [
        one.raw
        for one in client.servers()
        if any(held.get("name") == ENDPOINT for held in client.server(one.name).raw["models"])
    ]
    return [Address(one["http"], one["grpc"]) for one in serving]


def measure(
    client: Client,
    servers: Sequence[Address],
    changes: int,
    clients: int,
    console: Console,
    *,
    pause_s: float = 0.0,
) -> dict[str, float | int | str]:
    """The figures of `changes` changes of weights under the load of `clients` clients, two of them
    at least on each server."""
    each = max(2, clients // len(servers))
    loads = [
        Load(one.http, one.grpc, ENDPOINT, INPUTS, clients=each, pause_s=pause_s) for one in servers
    ]
    switch(client, newest=True)
    waits: list[float] = []
    healthy: list[float] = []
    marks: list[tuple[float, str]] = []
    with ExitStack() as running:
        for load in loads:
            running.enter_context(load)
        for number in track(range(changes), description="changing weights", console=console):
            put = time.monotonic()
            old = switch(client, newest=bool(number % 2))
            healthy.append(time.monotonic() - put)
            marks.append((put, old))
        end = time.monotonic()
    edges = [put for put, _ in marks[1:]] + [end]
    answers = sorted((a for load in loads for a in load.answers), key=lambda answer: answer.sent)
    failures = [failure for load in loads for failure in load.failures]
    for (put, old), until in zip(marks, edges, strict=True):
        lingering = [a.sent - put for a in answers if put <= a.sent < until and a.arm == old]
        waits.append(max(lingering, default=0.0))
    return {
        "servers": len(servers),
        "changes": changes,
        "requests": len(answers),
        "failed requests": len(failures),
        "first failure": failures[0].error if failures else "-",
        "PUT to last on old weights, median ms": round(statistics.median(waits) * 1e3, 1),
        "PUT to last on old weights, p99 ms": _p99(waits),
        "PUT to last on old weights, worst ms": round(max(waits) * 1e3, 1),
        "PUT to Healthy, median ms": round(statistics.median(healthy) * 1e3, 1),
        "PUT to Healthy, p99 ms": _p99(healthy),
        "PUT to Healthy, worst ms": round(max(healthy) * 1e3, 1),
    }


def _p99(seconds: list[float]) -> float:
    return round(statistics.quantiles(seconds, n=100, method="inclusive")[-1] * 1e3, 1)


def switch(client: Client, *, newest: bool) -> str:
    """Sends all traffic to version 2 (or 1), waits for it; returns the other's physical name."""
    policy = {
        "arms": [
            {"model": "digits", "version": 1, "weight": 0 if newest else 100, "primary": True},
            {"model": "digits", "version": 2, "weight": 100 if newest else 0},
        ]
    }
    accepted = client.put_policy(ENDPOINT, policy, etag="*")
    endpoint = client.wait_endpoint(ENDPOINT, generation=accepted.generation)
    return next(str(arm.physical) for arm in endpoint.arms if arm.weight == 0)


if __name__ == "__main__":
    raise SystemExit(main())
