"""A supervised process is seen ready, comes back when it dies, and goes when it is told to."""

import asyncio
import dataclasses
import io
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from stack.child import tied
from stack.logs import ProcessLog, Show
from stack.processes import Service, StartError, SupervisedProcess, run_once
from stack.terminal import Terminal
from tests.support.processes import is_gone

READY = "import sys, time; print('all set', flush=True); time.sleep(600)"
DIES_AT_ONCE = "import sys; print('no such model', file=sys.stderr); sys.exit(3)"
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('all set', flush=True);" + (
    "time.sleep(600)"
)
# A child that keeps the pipe open when its parent is gone.
WITH_CHILD = (
    "import subprocess, time; kid = subprocess.Popen(['sleep', '600']);"
    "print('kid', kid.pid, flush=True); print('all set', flush=True); time.sleep(600)"
)


class Bench:
    """Makes supervised processes, keeps what is said, stops them at the end."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.said: list[str] = []
        self.screen = io.StringIO()
        self.terminal = Terminal(Console(file=self.screen, width=200))
        self.processes: list[SupervisedProcess] = []

    def log(self, show: Show = Show.NONE) -> ProcessLog:
        return ProcessLog("worker", self.home / "logs", self.terminal, show)

    def __call__(
        self, code: str, *, within_s: float = 10, show: Show = Show.NONE, stop_within_s: float = 10
    ) -> SupervisedProcess:
        service = Service(
            name="worker",
            command=lambda: tied([sys.executable, "-c", code]),
            environment={},
            cwd=self.home,
            ready_line=re.compile("all set"),
            ready_within_s=within_s,
            stop_within_s=stop_within_s,
        )
        process = SupervisedProcess(
            service, self.log(show), self.home, say=self.said.append, changed=lambda: None
        )
        self.processes.append(process)
        return process


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    hurry = asyncio.Event()
    hurry.set()
    for process in bench.processes:
        await process.stop(hurry)
        process.log.close()


async def until(condition: Callable[[], bool], patience_s: float = 15.0) -> None:
    async with asyncio.timeout(patience_s):
        while not condition():
            await asyncio.sleep(0.02)


async def test_it_is_ready_when_it_says_so(bench: Bench) -> None:
    process = bench(READY)
    await process.start()
    assert process.pid is not None
    assert psutil.pid_exists(process.pid)
    assert process.log.path.read_text() == "all set\n"


async def test_it_comes_back_when_it_is_killed(bench: Bench) -> None:
    process = bench(READY)
    await process.start()
    first = process.pid
    assert first is not None
    psutil.Process(first).kill()
    await until(lambda: any("is back" in line for line in bench.said))
    assert bench.said[0] == "worker was ended by SIGKILL; starting it again"
    assert process.pid not in (None, first)


async def test_its_death_is_seen_while_a_grandchild_holds_its_pipe(bench: Bench) -> None:
    process = bench(WITH_CHILD)
    await process.start()
    kid = int(process.log.tail[0].split()[1])
    assert process.pid is not None
    psutil.Process(process.pid).kill()
    await until(lambda: any("is back" in line for line in bench.said))
    assert is_gone(kid)


async def test_one_that_dies_at_the_start_is_an_error_with_its_last_words(bench: Bench) -> None:
    with pytest.raises(StartError, match=r"worker ended with exit status 3(.|\n)*no such model"):
        await bench(DIES_AT_ONCE).start()


async def test_one_that_is_never_ready_is_an_error(bench: Bench) -> None:
    with pytest.raises(StartError, match="worker not ready in 0 s"):
        await bench("import time; time.sleep(600)", within_s=0.2).start()


async def test_a_program_that_is_not_there_is_an_error(bench: Bench) -> None:
    process = bench("")
    absent = Service(
        name="worker",
        command=lambda: tied(["/no/such/program"]),
        environment={},
        cwd=bench.home,
        ready_line=re.compile("all set"),
    )
    process.service = absent
    with pytest.raises(StartError, match="cannot run /no/such/program"):
        await process.start()


async def test_a_preparation_that_fails_is_an_error_in_its_own_words(bench: Bench) -> None:
    def refuse() -> None:
        raise PermissionError(13, "Permission denied", "/data/postgres")

    process = bench(READY)
    process.service = dataclasses.replace(process.service, prepare=refuse)
    with pytest.raises(StartError, match=r"could not be started: .*Permission denied.*/data"):
        await process.start()


async def test_stopping_leaves_nothing_of_it(bench: Bench) -> None:
    process = bench(WITH_CHILD)
    await process.start()
    pid, kid = process.pid, int(process.log.tail[0].split()[1])
    await process.stop(asyncio.Event())
    assert pid is not None
    assert is_gone(pid)
    assert is_gone(kid)
    assert bench.said == []


async def test_one_that_does_not_listen_is_killed_in_time(bench: Bench) -> None:
    process = bench(DEAF, stop_within_s=0.3)
    await process.start()
    pid = process.pid
    await process.stop(asyncio.Event())
    assert pid is not None
    assert is_gone(pid)
    assert bench.said == ["worker did not stop in time; killed"]


async def test_a_hurry_cuts_the_wait_short(bench: Bench) -> None:
    process = bench(DEAF, stop_within_s=600)
    await process.start()
    hurry = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, hurry.set)
    async with asyncio.timeout(10):
        await process.stop(hurry)


async def test_the_terminal_gets_what_matters_and_the_file_gets_all(bench: Bench) -> None:
    code = (
        "print('INFO: tick'); print('Traceback (most recent call last):');"
        "print('  File x, line 1'); print('INFO: tock'); print('all set', flush=True);"
        "import time; time.sleep(600)"
    )
    process = bench(code, show=Show.IMPORTANT)
    await process.start()
    shown = bench.screen.getvalue().splitlines()
    assert shown == [
        "worker    | Traceback (most recent call last):",
        "worker    |   File x, line 1",
    ]
    assert "INFO: tock\n" in process.log.path.read_text()


async def test_the_log_of_the_run_before_is_kept(bench: Bench) -> None:
    first = bench.log()
    first.line("of the first run")
    first.close()
    second = bench.log()
    second.line("of the second run")
    second.close()
    assert first.path.read_text() == "of the second run\n"
    assert first.path.with_name("worker.log.1").read_text() == "of the first run\n"


async def test_a_step_returns_what_it_printed_and_logs_the_rest(bench: Bench) -> None:
    log = bench.log()
    output = await run_once(
        tied([sys.executable, "-c", "import sys; print('{}'); print('note', file=sys.stderr)"]),
        environment={},
        cwd=bench.home,
        home=bench.home,
        log=log,
    )
    log.close()
    assert output == "{}\n"
    assert log.path.read_text() == "note\n"


async def test_a_step_that_fails_says_why(bench: Bench) -> None:
    log = bench.log()
    with pytest.raises(StartError, match=r"worker ended with exit status 3:\n  no such model"):
        await run_once(
            tied([sys.executable, "-c", DIES_AT_ONCE]),
            environment={},
            cwd=bench.home,
            home=bench.home,
            log=log,
        )
    log.close()


async def test_a_step_that_is_cancelled_is_killed(bench: Bench) -> None:
    log = bench.log()
    pid_file = bench.home / "pid"
    code = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    step = asyncio.create_task(
        run_once(
            tied([sys.executable, "-c", code]),
            environment={},
            cwd=bench.home,
            home=bench.home,
            log=log,
        )
    )
    await until(lambda: pid_file.exists() and pid_file.read_text() != "")
    step.cancel()
    await asyncio.gather(step, return_exceptions=True)
    await until(lambda: is_gone(int(pid_file.read_text())))
    log.close()


def test_children_are_tied_to_the_thread_that_stays() -> None:
    command = tied(["true"], death_signal=signal.SIGINT, user=(1, 2))
    assert command[-3:] == ["1", "2", "true"]
