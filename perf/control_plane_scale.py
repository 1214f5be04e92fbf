"""What a thousand endpoints cost the control plane: a change of each, and a look at each.

    python -m perf.control_plane_scale [--endpoints 1000] [--servers 1] [--json figures.json]

Seeds a throw-away PostgreSQL and works in this process, without workers, without Triton. *Plan and
compile* reads the versions and profiles of a policy of two arms and compiles it, writing nothing.
*First policy* and *change of weights* are the whole of a policy's PUT: checked, compiled, its
revision, diff and audit event written. *No-op reconcile* is a look at an endpoint that serves
what it should, *sweep* the question which endpoints are due, asked every two seconds. `cpu` is the
median of what this process worked for it, which a busy machine leaves as it is; the database's is
not in it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from perf.registry_scale import NoQueue, prepare
from stack.postgres import EmbeddedPostgres

PREFIX = "seeded-"
"""What `registry.seeding` calls its models, which cannot be imported before Django is there."""

SWEEPS = 50
VERSIONS = 3
"""Of each model, for a registry has versions that were rejected: two of them serve."""


@dataclass(frozen=True)
class Figure:
    """One kind of work, done for each endpoint: seconds in all, and milliseconds of one."""

    what: str
    count: int
    seconds: float
    p50: float
    p99: float
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoints", type=int, default=1000)
    parser.add_argument("--servers", type=int, default=1, help="each endpoint is on all of them")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console = Console()
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedPostgres(Path(folder) / "data", durable=False) as postgres,
    ):
        prepare(postgres.url, folder)
        names = fill(options.endpoints, options.servers)
        figures = list(measure(names, console))
    show(figures, options.endpoints, options.servers, console)
    if options.json:
        options.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")


def fill(count: int, servers: int) -> list[str]:
    """Models of two versions, servers, and an endpoint without a policy for each model."""
    from control_plane import wiring
    from control_plane.endpoints.services import create_endpoint
    from control_plane.fleet.models import Server
    from control_plane.fleet.services import register_server
    from control_plane.registry.seeding import seed

    seed(models=count, versions=VERSIONS)
    for number in range(1, servers + 1):
        register_server(
            name=f"perf-{number}",
            http="127.0.0.1:1",
            grpc="127.0.0.1:2",
            metrics="http://127.0.0.1:3/metrics",
            accelerator="cpu",
            actor="perf",
        )
    Server.objects.update(ready=True, last_seen_at=wiring.clock().now())
    names = [f"endpoint-{i:05}" for i in range(1, count + 1)]
    for name in names:
        create_endpoint(
            name=name,
            actor="perf",
            queue=wiring.queue(),
            print_config=wiring.print_config,
        )
    return names


def measure(names: list[str], console: Console) -> Iterable[Figure]:
    """Every kind of work in turn; each needs what the one before has left."""
    from control_plane import wiring
    from control_plane.endpoints.intent import draft, set_policy
    from control_plane.endpoints.models import Endpoint
    from control_plane.endpoints.reconcile import reconcile, sweep
    from control_plane.endpoints.selectors import get_endpoint

    clock, queue = wiring.clock(), NoQueue()

    def plan(name: str) -> None:
        draft(get_endpoint(name), policy(name, 90))

    def change(percent: float) -> Callable[[str], None]:
        def put(name: str) -> None:
            set_policy(
                name=name,
                document=policy(name, percent),
                actor="perf",
                queue=queue,  # type: ignore[arg-type] # nobody works behind it
                print_config=wiring.print_config,
            )

        return put

    def look(name: str) -> None:
        found = reconcile(
            endpoint_id=ids[name],
            clock=clock,
            queue=queue,  # type: ignore[arg-type] # nobody works behind it
            print_config=wiring.print_config,
        )
        if found is None or found.actions or found.status != "Healthy":
            raise RuntimeError(f"{name} is not as it should be: {found}")

    for name in names:  # which versions are ready is found out beforehand
        policy(name, 90)
    yield timed("plan and compile", names, plan, console)
    yield timed("first policy", names, change(90), console)
    yield timed("change of weights", names, change(80), console)
    settle()
    ids = dict(Endpoint.objects.values_list("name", "id"))
    for name in names:  # the first look says that it is healthy now
        heard()
        look(name)
    yield timed("no-op reconcile", names, look, console, heard)

    def nothing_due(_: str) -> None:
        if sweep(clock=clock, queue=queue):  # type: ignore[arg-type]
            raise RuntimeError("an endpoint is due that serves what it should")

    yield timed("sweep of all of them", [""] * SWEEPS, nothing_due, console, heard)


def policy(name: str, percent: float) -> dict[str, Any]:
    """The first two versions of the endpoint's own model that are ready."""
    first, second = ready_versions(f"{PREFIX}{name[-5:]}")
    return {
        "arms": [
            {**first, "weight": percent, "primary": True},
            {**second, "weight": 100 - percent},
        ]
    }


@cache
def ready_versions(model: str) -> list[dict[str, Any]]:
    from control_plane.registry.models import ModelVersion, VersionState

    ready = ModelVersion.objects.filter(model__name=model, state=VersionState.READY)
    numbers = ready.order_by("number").values_list("number", flat=True)[:2]
    return [{"model": model, "version": number} for number in numbers]


def settle() -> None:
    """As if the node had prepared, switched and retired everything."""
    from control_plane.endpoints.models import Endpoint, Placement
    from control_plane.fleet.models import Server

    Placement.objects.all().delete()
    Placement.objects.bulk_create(
        Placement(
            endpoint=endpoint,
            server=server,
            prepared=endpoint.generation,
            switched=endpoint.generation,
            retired=endpoint.generation,
        )
        for endpoint in Endpoint.objects.all()
        for server in Server.objects.all()
    )


def heard() -> None:
    """A node that is silent would make every endpoint due."""
    from control_plane import wiring
    from control_plane.fleet.models import Server

    Server.objects.update(last_seen_at=wiring.clock().now())


def timed(
    what: str,
    names: list[str],
    work: Callable[[str], None],
    console: Console,
    before: Callable[[], None] = lambda: None,
) -> Figure:
    """The work for each of the names, one after the other; what comes before each is not timed."""
    times, worked = [], []
    for name in track(names, description=what, console=console, transient=True):
        before()
        at, cpu = time.perf_counter(), time.thread_time()
        work(name)
        times.append(1000 * (time.perf_counter() - at))
        worked.append(1000 * (time.thread_time() - cpu))
    p99 = statistics.quantiles(times, n=100, method="inclusive")[-1]
    median = statistics.median
    return Figure(what, len(names), sum(times) / 1000, median(times), p99, median(worked))


def show(figures: list[Figure], endpoints: int, servers: int, console: Console) -> None:
    title = f"{endpoints:,} endpoints of two arms, one process, servers: {servers}"
    table = Table("what", "times", "in all s", "p50 ms", "p99 ms", "cpu ms", title=title)
    for one in figures:
        rest = (f"{ms:.2f}" for ms in (one.p50, one.p99, one.cpu))
        table.add_row(one.what, f"{one.count:,}", f"{one.seconds:.1f}", *rest)
    console.print(table)


if __name__ == "__main__":
    main()
