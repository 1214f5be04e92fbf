"""What a stack holds after an hour, after a thousand publications, after a storm of reloads.

    python -m tests.chaos.soak [minutes|publications|storm] [--for N] [--servers 3] [--no-edge]

`make soak` is this. It starts a stack of its own on free ports and calls two endpoints all the
while over HTTP and gRPC, through the edge, as `make chaos` does, and looks at the memory of each
process every ten seconds.

  minutes       60 of them: weights change each second, one version after the other is rolled out
  publications  1,000 of them: an arm served otherwise than before, published, loaded, switched to;
                what served before is retired
  storm         60 seconds: every server's router is reloaded as fast as its Triton takes it, while
                weights change as fast as the API takes them

It ends with 1 where a request failed, a change was lost, anything was left over, or a process went
on growing: its last third holds more than the middle one by 3 % and 3 MiB, and Triton beyond the
10 KiB that it keeps of every model that came and went. Ctrl-C (or SIGTERM)
ends it early, with a report of what was done until then.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from control_plane.adapters.triton.control import ApiTritonControl
from control_plane.ports.triton import TritonError
from tests.chaos.changes import CHANGED, Changes
from tests.chaos.convergence import converge, endpoint
from tests.chaos.load import Callers
from tests.chaos.memory import EVERY_S, Growth, Memory
from tests.chaos.orphans import gates, orphans
from tests.chaos.trial import called
from tests.support.ended_early import ended_by_a_signal
from tests.support.processes import eventually
from tests.support.serving import ServingStack
from tests.support.until_the_end import until_the_end

OUT = Path("build/soak")
TIDY_S = 120.0
PUBLISHED_S = 120.0
TOLD_S = 60.0


@dataclass
class Site:
    """What the work is done to, and where it says how far it is."""

    stack: ServingStack
    changes: Changes
    report: Callable[[float], None]
    done: dict[str, float | int] = field(default_factory=dict)


def minutes(site: Site, much: float) -> None:
    """Changes and rollouts, for so many minutes."""
    began = time.monotonic()
    with site.changes.going_on():
        while (passed := (time.monotonic() - began) / 60) < much:
            time.sleep(1)
            site.report(passed)
    site.done |= {
        "changes": len(site.changes.accepted),
        "rollouts": len(site.changes.rollouts),
        "refused": site.changes.refused,
    }


def publications(site: Site, much: float) -> None:
    """So many physical models, one after the other, each until it serves on every server."""
    took = []
    for number in range(round(much)):
        began = time.monotonic()
        delay = {"dynamic_batching": {"max_queue_delay_microseconds": 100 + number}}
        generation = site.changes.put(overrides=delay).generation
        assert eventually(lambda wanted=generation: _serves(site.stack, wanted), PUBLISHED_S), (
            f"publication {number}: {endpoint(site.stack)['reason']}"
        )
        took.append(time.monotonic() - began)
        site.report(number + 1)
    site.done |= {
        "publications": len(took),
        "median s": round(statistics.median(took), 2),
        "longest s": round(max(took), 2),
    }


def storm(site: Site, much: float) -> None:
    """Reloads of every server's router, and changes, for so many seconds."""
    over, reloads = threading.Event(), dict.fromkeys(site.stack.servers, 0)
    key = json.loads((site.stack.home / "secrets.json").read_text())["control_key"]

    def reload(name: str) -> None:
        server = site.stack.servers[name]
        config = Path(server["repository"]) / CHANGED / "config.pbtxt"
        with contextlib.closing(ApiTritonControl(server["http"], server["grpc"], key)) as triton:
            while not over.is_set():
                # What was not written since it was loaded, Triton leaves as it is. The node may
                # be putting another directory in its place.
                with contextlib.suppress(FileNotFoundError, TritonError):
                    os.utime(config)
                    triton.load(CHANGED)
                    reloads[name] += 1

    threads = [threading.Thread(target=reload, args=(name,), daemon=True) for name in reloads]
    began, before = time.monotonic(), len(site.changes.accepted)
    with until_the_end(threads, over, join_s=30):
        while (passed := time.monotonic() - began) < much:
            site.changes.put()
            site.report(passed)
    site.done |= {f"reloads of {name}": count for name, count in reloads.items()}
    site.done["changes"] = len(site.changes.accepted) - before


WORKS: Mapping[str, tuple[Callable[[Site, float], None], float]] = {
    "minutes": (minutes, 60),
    "publications": (publications, 1000),
    "storm": (storm, 60),
}


@dataclass
class Report:
    """What one soak came to."""

    work: str
    done: dict[str, float | int]
    seconds: float
    requests: int
    retried: int
    failures: list[str]
    lost: list[str]
    left: list[str]
    growth: list[Growth]
    ended: str = ""
    """Why it ended before all was done; empty: it did not."""

    @property
    def growing(self) -> list[Growth]:
        return [one for one in self.growth if not one.flat]

    @property
    def held(self) -> bool:
        return not (self.failures or self.lost or self.left or self.growing or self.ended)


def soak(
    home: Path,
    work: str,
    much: float,
    *,
    servers: int,
    edge: bool,
    report: Callable[[float], None],
    every_s: float = EVERY_S,
) -> tuple[Report, Memory]:
    """Does the work on a stack of its own, and waits until everything is tidy again."""
    with called(home, servers=servers, edge=edge) as (stack, callers, changes):
        site, memory, began = Site(stack, changes, report), Memory(stack, every_s), time.monotonic()
        callers.drain()
        ended = ""
        with memory.watching():
            try:
                WORKS[work][0](site, much)
            except KeyboardInterrupt:
                ended = "Ctrl-C"
            except (AssertionError, httpx.HTTPError) as error:
                ended = f"{type(error).__name__}: {error}"
        seconds = time.monotonic() - began
        converge(stack, changes.put_until_accepted().generation, TIDY_S)
        left = _left(stack, changes)
        report_ = _reported(work, site, seconds, callers, left, memory)
        return replace(report_, ended=ended), memory


def _reported(
    work: str, site: Site, seconds: float, callers: Callers, left: list[str], memory: Memory
) -> Report:
    counted = callers.drain()
    return Report(
        work,
        site.done,
        seconds,
        counted.requests,
        counted.retried,
        counted.failures,
        site.changes.lost(),
        left,
        memory.growth(site.done.get("publications", 0)),
    )


def _serves(stack: ServingStack, generation: int) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        seen = endpoint(stack)
        return seen["status"] == "Healthy" and seen["observed_generation"] >= generation
    return False


def _left(stack: ServingStack, changes: Changes) -> list[str]:
    """What is left, or shut, when everybody had the time to tidy up."""
    left: list[str] = []

    def tidy() -> bool:
        left[:] = changes.unfinished() or gates(stack) or orphans(stack)
        return not left

    eventually(tidy, TIDY_S)
    return left


def shown(report: Report) -> Table:
    """The processes, for a terminal."""
    columns = ("process", "first third", "middle", "last", "files", "threads", "")
    table = Table(*columns, title="MiB held beside files, at rest", title_justify="left")
    for one in report.growth:
        files, threads = (f"{a} → {b}" for a, b in (one.files, one.threads))
        mark = "[green]flat[/]" if one.flat else "[red]grows[/]"
        mib = (f"{value:.1f}" for value in (one.first, one.middle, one.last))
        table.add_row(one.name, *mib, files, threads, mark + (" restarted" * one.restarted))
    return table


def _write(folder: Path, report: Report, memory: Memory) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    series = {name: [asdict(held) for held in seen] for name, seen in memory.series().items()}
    path = folder / f"{report.work}.json"
    path.write_text(json.dumps(asdict(report) | {"series": series}, indent=2) + "\n")
    return path


def _say(console: Console, report: Report) -> None:
    console.print(shown(report))
    done = ", ".join(f"{what}: {value}" for what, value in report.done.items())
    console.print(f"{report.work}: {done}; {report.seconds:.0f} s")
    console.print(
        f"{len(report.failures)} of {report.requests:,} requests failed, "
        f"{report.retried} asked again; {len(report.lost)} changes lost, "
        f"{len(report.left)} things left over"
    )
    for said in (*report.failures[:5], *report.lost[:5], *report.left[:5]):
        console.print(f"  {said}", markup=False)
    if report.ended:
        console.print(f"it ended early: {report.ended}", markup=False)


class _Told:
    """How far it is: a bar on a terminal, elsewhere a line a minute."""

    def __init__(self, console: Console, progress: Progress, work: str, much: float) -> None:
        self._console, self._progress = console, progress
        self._work, self._much = work, much
        self._task = progress.add_task(work, total=much)
        self._due = time.monotonic() + TOLD_S

    def __call__(self, so_far: float) -> None:
        self._progress.update(self._task, completed=so_far)
        if not self._console.is_terminal and time.monotonic() >= self._due:
            self._due = time.monotonic() + TOLD_S
            self._console.print(f"{so_far:.0f} of {self._much:g} {self._work}", highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Soaks, and prints what it came to; 1 where a promise was broken or memory grows."""
    parser = argparse.ArgumentParser(
        prog="make soak", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("work", nargs="?", choices=WORKS, default="minutes")
    parser.add_argument("--for", dest="much", type=float, metavar="N", help="so much of it")
    parser.add_argument("--servers", type=int, default=3)
    parser.add_argument("--no-edge", action="store_true", help="call the servers themselves")
    parser.add_argument("--out", type=Path, default=OUT, help="where the report goes")
    options = parser.parse_args(arguments)
    much = options.much or WORKS[options.work][1]
    console = Console()
    with (
        ended_by_a_signal(),
        tempfile.TemporaryDirectory(prefix="nereid-soak-") as folder,
        Progress(console=console) as progress,
    ):
        report, memory = soak(
            Path(folder) / "home",
            options.work,
            much,
            servers=options.servers,
            edge=not options.no_edge,
            report=_Told(console, progress, options.work, much),
        )
    _say(console, report)
    console.print(f"report: {_write(options.out, report, memory)}")
    return 0 if report.held else 1


if __name__ == "__main__":
    raise SystemExit(main())
