"""`python -m stack backup` and `restore`: of the stack that runs here, or of its home alone."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from control_plane.adapters.private_files import write_private
from stack import leftovers, lock
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
    """
    if lock.holder(settings.home) is not None:
        variables = json.loads(settings.environment_file.read_text())
        return _manage({**os.environ, **variables}, "backup", arguments)
    with _database(settings) as address:
        return _manage(_environment(settings, load_secrets(settings), address), "backup", arguments)


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
    return {**os.environ, **own}


def _manage(environment: Mapping[str, str], command: str, arguments: Sequence[str]) -> int:
    line = [sys.executable, str(CHECKOUT / "manage.py"), command, *arguments]
    return subprocess.run(line, env=dict(environment), check=False).returncode
