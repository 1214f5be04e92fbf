"""`python -m stack backup` and `restore`: of the stack that runs here, or of its home alone."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from control_plane.adapters.private_files import write_private
from stack import leftovers, lock, stackfile
from stack.postgres import EmbeddedPostgres, PostgresError
from stack.settings import (
    CHECKOUT,
    Secrets,
    SettingsError,
    StackSettings,
    child_environment,
    load_secrets,
)

SECRETS_FILE = "secrets.json"
"""The keys in a backup: the same names as in a home's own."""


def backup(settings: StackSettings, arguments: Sequence[str]) -> int:
    """Takes one, or verifies one; the exit status.

    Where a stack runs, it goes on. Where none does, its database is started for this alone.

    Raises:
        SettingsError: nothing was ever started in this home, or something else is at work there.
    """
    if "--verify" in arguments:
        # Files are read, and nothing else. Django wants to be told of both, and nobody uses them.
        unused = {"NEREID_SECRET_KEY": "unused", "DATABASE_URL": "postgresql://"}
        return _manage({**settings.environment, **unused}, "backup", arguments)
    if (holder := lock.holder(settings.home)) is not None:
        return _manage(
            {**settings.environment, **_variables(settings, holder)}, "backup", arguments
        )
    if settings.embeds_postgres and not (settings.home / "postgres").exists():
        raise SettingsError(
            f"nothing was ever started in {settings.home}: NEREID_HOME says which home is meant"
        )
    with _database(settings) as address:
        return _manage(_environment(settings, load_secrets(settings), address), "backup", arguments)


def _variables(settings: StackSettings, holder: int) -> dict[str, str]:
    """Those of the stack that runs in the home.

    Raises:
        SettingsError: what is at work there is no stack that is up.
    """
    found = stackfile.read(settings.environment_file)
    if found is None:
        raise SettingsError(
            f"process {holder} is at work in {settings.home}: a stack that starts or stops, a "
            "backup or a restore. Try again when it is done"
        )
    return found


def restore(settings: StackSettings, folder: Path, *, replace: bool) -> int:
    """Puts one back into this home, keys and all; the exit status.

    Raises:
        lock.AlreadyRunningError: the stack runs.
        SettingsError: the home has another stack's state, and it is not to be replaced.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    with _database(settings) as address:
        keys = _keys(settings, folder)
        arguments = [str(folder), *(["--replace"] if replace else [])]
        status = _manage(_environment(settings, keys, address), "restore", arguments)
        if status == 0:
            write_private(settings.secrets_file, json.dumps(vars(keys), indent=2) + "\n")
    return status


def _keys(settings: StackSettings, folder: Path) -> Secrets:
    """Those of the backup; where it has none, this home's own. The environment's go first."""
    path, given = folder / SECRETS_FILE, settings.environment
    try:
        kept: Mapping[str, str] = json.loads(path.read_text())
        return Secrets(
            secret_key=given.get("NEREID_SECRET_KEY") or kept["secret_key"],
            control_key=given.get("NEREID_TRITON_CONTROL_KEY") or kept["control_key"],
            shm_key=given.get("NEREID_TRITON_SHM_KEY") or kept["shm_key"],
        )
    except FileNotFoundError:
        return load_secrets(settings)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path} cannot be read: {error!r}") from error


@contextlib.contextmanager
def _database(settings: StackSettings) -> Iterator[str]:
    """The database of a home that nothing runs on: somebody else's, or ours, started for this.

    Raises:
        lock.AlreadyRunningError: a stack runs after all.
        SettingsError: it cannot be started.
    """
    with contextlib.ExitStack() as kept:
        kept.enter_context(lock.HomeLock(settings.home))
        leftovers.clean(settings.home, settings.stack_file)
        if settings.database_url:
            yield settings.database_url
            return
        server = EmbeddedPostgres(settings.home / "postgres")
        try:
            kept.enter_context(server)
        except PostgresError as error:
            raise SettingsError(str(error)) from error
        yield server.url


def _environment(settings: StackSettings, keys: Secrets, address: str) -> dict[str, str]:
    broker = settings.broker_url or ""
    own = child_environment(settings, keys, database_url=address, broker_url=broker)
    return {**settings.environment, **own}


def _manage(environment: Mapping[str, str], command: str, arguments: Sequence[str]) -> int:
    line = [sys.executable, str(CHECKOUT / "manage.py"), command, *arguments]
    return subprocess.run(line, env=dict(environment), check=False).returncode
