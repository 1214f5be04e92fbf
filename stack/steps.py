"""The steps between a running database and a stack that can be used: each a program that ends."""

import asyncio
import json
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from control_plane.adapters.private_files import write_private
from stack import first_prediction, leftovers, migrations, services
from stack.banner import Admin
from stack.child import tied
from stack.edge import StackEdge, healthy
from stack.logs import ProcessLog
from stack.processes import StartError, run_once
from stack.settings import CHECKOUT, StackSettings
from stack.spawn import Child

JOINED_WITHIN_S = 60.0


@dataclass(frozen=True)
class Bootstrap:
    admin: Admin
    token: str


class Steps:
    """Runs the steps of one stack with its environment."""

    def __init__(
        self, settings: StackSettings, environment: dict[str, str], logs: dict[str, ProcessLog]
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._logs = logs

    async def _run(self, log: str, *arguments: str) -> str:
        return await run_once(
            tied([sys.executable, *arguments]),
            environment=self._environment,
            cwd=CHECKOUT,
            home=self._settings.home,
            log=self._logs[log],
        )

    async def migrate(self) -> None:
        """Bring both stores to the newest schema, unless they are known to be there."""
        url = self._environment["DATABASE_URL"]
        if await asyncio.to_thread(migrations.is_current, url):
            return
        # Without Django's checks: the admin theme's ask tables that only the migration makes.
        # Two stores, two schemas, two version tables: neither waits for the other.
        await asyncio.gather(
            self._run("migrate", "manage.py", "migrate", "--noinput", "--skip-checks"),
            self._run("migrate", "-m", "control_plane.telemetry.migrate"),
        )
        await asyncio.to_thread(migrations.note_current, url)

    async def bootstrap(self) -> Bootstrap:
        """The administrator, a fresh token for this start, and this machine as a server."""
        output = await self._run("bootstrap", "manage.py", "bootstrap")
        try:
            said = json.loads(output.strip().splitlines()[-1])
            username, password, token = said["username"], said["password"], said["token"]
        except (ValueError, LookupError, TypeError):
            raise StartError("manage.py bootstrap did not end with its line of JSON") from None
        path = self._settings.credentials_file
        if password:
            content = {"username": username, "password": password}
            write_private(path, json.dumps(content, indent=2) + "\n")
        return Bootstrap(Admin(username, password, path.exists()), token)

    async def joined(self, token: str) -> None:
        """Return when every node has made its server known; raises StartError when one does not."""
        missing = {server.name for server in self._settings.servers}
        deadline = time.monotonic() + JOINED_WITHIN_S
        while missing:
            if time.monotonic() > deadline:
                names = ", ".join(sorted(missing))
                raise StartError(f"not heard of within {JOINED_WITHIN_S:.0f} s: {names}")
            missing -= await asyncio.to_thread(services.heard_of, self._settings, token)
            await asyncio.sleep(0.1)

    async def behind(self, own: StackEdge) -> None:
        """Return when the edge sends to every server; raises StartError when it leaves one out."""
        missing = {server.name for server in self._settings.servers}
        deadline = time.monotonic() + JOINED_WITHIN_S
        while missing:
            if time.monotonic() > deadline:
                names = ", ".join(sorted(missing))
                raise StartError(f"the edge sends nothing to {names} after {JOINED_WITHIN_S:.0f} s")
            missing -= await asyncio.to_thread(healthy, own)
            await asyncio.sleep(0.1)

    async def first_prediction(self, token: str) -> Text | None:
        """Deploy the sample and make one prediction; returns what to show, None if it failed."""
        return await self._shown("first_prediction", token)

    async def samples(self, token: str) -> Text | None:
        """Deploy every sample and ask each; returns what to show, None if one failed."""
        return await self._shown("samples", token)

    async def _shown(self, module: str, token: str) -> Text | None:
        """What a module of the stack's shows in the end; its progress is seen as it runs."""
        settings = self._settings
        result = settings.run_dir / f"{module}.txt"
        result.unlink(missing_ok=True)
        environment = {
            **self._environment,
            **leftovers.marker(settings.home),
            first_prediction.API: settings.api_origin,
            first_prediction.TOKEN: token,
            first_prediction.GRPC: settings.triton_grpc,
        }
        process = Child(
            tied([sys.executable, "-m", f"stack.{module}", result]),
            environment=environment,
            cwd=CHECKOUT,
            inherit_output=True,
        )
        try:
            code = await process.wait()
        finally:
            process.signal(signal.SIGKILL)
        if code != 0:
            return None
        return Text.from_ansi(_take(result))


def _take(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    path.unlink()
    return text
