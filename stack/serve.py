"""`python -m stack serve`: brings everything up in order, watches over it, takes it down."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Coroutine
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from control_plane.adapters.private_files import write_private
from stack import leftovers, services, stackfile, triton
from stack.banner import banner
from stack.broker import EmbeddedBroker
from stack.first_prediction import SampleChoice
from stack.lock import HomeLock
from stack.logs import ProcessLog, Show
from stack.ports import require_free
from stack.postgres import EmbeddedPostgres
from stack.processes import StartError
from stack.settings import Secrets, StackSettings, child_environment, load_secrets, ours
from stack.steps import Bootstrap, Steps
from stack.supervisor import Supervisor
from stack.terminal import Progress, Terminal
from stack.upgrading import UPGRADE_SIGNAL, Upgrading

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STEPS = ("migrate", "bootstrap")


def serve(settings: StackSettings, terminal: Terminal, *, samples: SampleChoice, show: Show) -> int:
    """Run the stack until a signal; returns the exit status."""
    began = time.monotonic()
    settings.home.mkdir(parents=True, exist_ok=True)
    with HomeLock(settings.home):
        found = leftovers.clean(settings.home, settings.stack_file)
        if found:
            terminal.say(f"cleared what a killed stack left: {', '.join(found)}", "yellow")
        require_free(settings.bind, settings.ports())
        stack = Stack(settings.settled(), terminal, samples=samples, show=show, began=began)
        return asyncio.run(stack.run())


class Stack:
    """One run of the whole stack."""

    def __init__(
        self,
        settings: StackSettings,
        terminal: Terminal,
        *,
        samples: SampleChoice,
        show: Show,
        began: float,
    ) -> None:
        self._settings = settings
        self._terminal = terminal
        self._samples = samples
        self._began = began
        self._keys: Secrets = load_secrets(settings)
        self._logs = {
            name: ProcessLog(name, settings.log_dir, terminal, show)
            for name in (*services.names(settings), *STEPS)
        }
        self._postgres = EmbeddedPostgres(settings.home / "postgres")
        self._broker = EmbeddedBroker(settings.home / "broker")
        addresses = {
            "database_url": settings.database_url or self._postgres.url,
            "broker_url": settings.broker_url or self._broker.url,
        }
        self._variables = ours(settings, self._keys, **addresses)
        self._environment = child_environment(settings, self._keys, **addresses)
        self._steps = Steps(settings, self._environment, self._logs)
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        self._supervisor = Supervisor(self._settings, self._terminal, self._logs)
        for number in STOP_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        upgrading = Upgrading(
            self._settings, self._keys, self._steps, self._supervisor, self._terminal
        )
        # Before stack.json says that it is ready: who reads that may ask at once, and a signal that
        # nobody handles would end us.
        asyncio.get_running_loop().add_signal_handler(UPGRADE_SIGNAL, upgrading.begin)
        up = asyncio.create_task(self._bring_up())
        stop = asyncio.create_task(self._stopping.wait())
        status = 0
        try:
            await asyncio.wait({up, stop}, return_when=asyncio.FIRST_COMPLETED)
            if up.done() and not self._stopping.is_set():
                up.result()
                await stop
        except* StartError as failures:
            for failure in failures.exceptions:
                self._terminal.print(Text(f"\n{failure}", "red"))
            status = 1
        finally:
            asyncio.get_running_loop().add_signal_handler(UPGRADE_SIGNAL, lambda: None)
            up.cancel()
            await asyncio.gather(up, upgrading.ended(), return_exceptions=True)
            await self._take_down()
        return status

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            self._terminal.say("killing what is left", "red")
            self._supervisor.hurry.set()
            return
        self._stopping.set()
        self._terminal.say("stopping (again to kill)")

    async def _bring_up(self) -> None:
        with Progress(self._terminal) as progress:
            boot = await self._start_everything(progress)
            progress.pause()
        sample = await self._first_prediction(boot) if self._samples != SampleChoice.NONE else None
        if self._samples == SampleChoice.ALL:
            self._terminal.print(await self._ask_samples(boot))
        pids = {"supervisor": os.getpid(), **self._supervisor.pids()}
        content = stackfile.describe(self._settings, self._keys, token=boot.token, pids=pids)
        self._supervisor.publish(content)
        seconds = time.monotonic() - self._began
        to_a_person = self._terminal.console.is_terminal
        self._terminal.print(
            banner(self._settings, boot.admin, seconds, sample, to_a_person=to_a_person)
        )

    async def _start_everything(self, progress: Progress) -> Bootstrap:
        """Each part starts as soon as what it needs is there; the first failure ends them all."""
        settings, environment = self._settings, self._environment
        write_private(settings.environment_file, json.dumps(self._variables))
        async with asyncio.TaskGroup() as group:

            def begin(name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
                return group.create_task(progress.step(name, work))

            launch = self._supervisor.launch
            for server in settings.servers if settings.embeds_triton else ():
                options = services.triton_options(server, settings, self._keys)
                service = services.triton_service(server, options, settings)
                begin(service.name, launch(service))
            if settings.embeds_broker:
                broker = begin("broker", launch(services.broker_service(self._broker, settings)))
            if settings.embeds_postgres:
                postgres = services.postgres_service(self._postgres, settings)
                await begin("postgres", launch(postgres))
            await begin("migrations", self._steps.migrate())
            boot = begin("bootstrap", self._steps.bootstrap())
            begin("api", launch(services.api_service(settings, environment)))
            if settings.embeds_broker:
                await broker
            begin("worker", launch(services.worker_service(environment)))
            begin("beat", launch(services.beat_service(settings, environment)))
            for server in settings.servers:
                service = services.node_service(server, environment)
                begin(service.name, launch(service))
            if settings.edge:
                await begin(
                    "edge files", launch(services.edge_files_service(settings.edge, environment))
                )
                begin("edge", launch(services.edge_service(settings.edge, settings)))
        result: Bootstrap = boot.result()
        if len(settings.servers) > 1:
            await progress.step("servers", self._steps.joined(result.token))
        if settings.edge:
            await progress.step("behind the edge", self._steps.behind(settings.edge))
        return result

    async def _first_prediction(self, boot: Bootstrap) -> RenderableType:
        try:
            shown = await self._steps.first_prediction(boot.token)
        except OSError as error:
            return Text(f"The sample could not be run: {error}", "yellow")
        return shown or Text("The sample failed (its reason is above); the stack works.", "yellow")

    async def _ask_samples(self, boot: Bootstrap) -> RenderableType:
        try:
            shown = await self._steps.samples(boot.token)
        except OSError as error:
            return Text(f"The samples could not be run: {error}", "yellow")
        return shown or Text("A sample failed (its reason is above); the stack works.", "yellow")

    async def _take_down(self) -> None:
        await self._supervisor.take_down()
        for server in self._settings.servers if self._settings.embeds_triton else ():
            await asyncio.to_thread(triton.clean_leftovers, server.name)
        self._settings.environment_file.unlink(missing_ok=True)
        self._supervisor.close()
        self._terminal.say("stopped")
