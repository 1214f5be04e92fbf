"""The embedded PostgreSQL: keeps its data, survives kills, dies with its parent."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import sql

from stack.postgres import SOCKET_NAME, EmbeddedPostgres, PostgresError
from tests.support.processes import eventually, is_gone

ORPHAN = """
import sys
from stack.postgres import EmbeddedPostgres
server = EmbeddedPostgres(sys.argv[1], durable=False)
server.start()
print(server.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="nereid-") as name:
        yield Path(name)


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(folder / "data", durable=False)
    yield postgres
    postgres.stop()


def ask(server: EmbeddedPostgres, statement: str) -> object:
    with psycopg.connect(server.url, autocommit=True) as link:
        cursor = link.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def test_it_keeps_its_data_over_a_restart(server: EmbeddedPostgres) -> None:
    server.start()
    ask(server, "create table kept as select 42 as answer")
    server.stop()
    server.start()
    assert ask(server, "select answer from kept") == 42
    assert ask(server, "select current_database()") == "nereid"


def test_its_log_has_no_rows(postgres: str) -> None:
    with psycopg.connect(postgres, autocommit=True) as link:
        link.execute("create temporary table people (name text unique, password text not null)")
        for values in ("'ada', 'hidden-word'", "'ada', 'hidden-word'", "'hidden-name', null"):
            with contextlib.suppress(psycopg.errors.IntegrityError):
                # As Django sends it: with its values in it.
                link.execute(sql.SQL("insert into people values ({})").format(sql.SQL(values)))
        [folder] = link.execute("show data_directory").fetchone() or [""]
    said = (Path(folder) / "server.log").read_text()
    assert "violates not-null constraint" in said
    assert "hidden" not in said


def test_it_is_durable_unless_told_otherwise(folder: Path) -> None:
    with EmbeddedPostgres(folder / "data") as server:
        assert ask(server, "show fsync") == "on"
        assert ask(server, "show listen_addresses") == ""


def test_only_its_owner_opens_the_socket(server: EmbeddedPostgres) -> None:
    server.start()
    assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.data_dir.stat().st_mode) == 0o700


def test_what_was_committed_survives_a_kill(folder: Path) -> None:
    with EmbeddedPostgres(folder / "data") as server:
        ask(server, "create table kept as select 42 as answer")
        assert server.pid is not None
        psutil.Process(server.pid).kill()
        server.stop()
        assert (server.data_dir / "postmaster.pid").exists()
        server.start()
        assert ask(server, "select answer from kept") == 42


def test_a_stale_pid_file_that_names_a_living_process_does_not_stop_it(
    server: EmbeddedPostgres,
) -> None:
    server.start()
    pid_file = server.data_dir / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    assert server.pid is not None
    psutil.Process(server.pid).kill()
    server.stop()
    # As after a restart of a container, where another program has got the old pid. It must not
    # be an ancestor of the server: those it knows to be no servers.
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        for path in (pid_file, server.socket_dir / f"{SOCKET_NAME}.lock"):
            path.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        server.start()
        assert ask(server, "select 1") == 1
        assert stranger.poll() is None
        stranger.kill()


def test_a_server_left_on_the_data_is_ended_first(server: EmbeddedPostgres) -> None:
    server.start()
    left = server.pid
    assert left is not None
    with contextlib.closing(psycopg.connect(server.url)):
        again = EmbeddedPostgres(server.data_dir, durable=False)
        with again:
            assert again.pid != left
            assert is_gone(left)
            assert ask(again, "select 1") == 1


def test_it_dies_with_the_process_that_started_it(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN, str(folder / "data")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not is_gone(pid)
        parent.send_signal(signal.SIGKILL)
    assert eventually(lambda: is_gone(pid))


def test_a_long_path_gets_a_short_socket(folder: Path) -> None:
    deep = folder / ("long" * 15) / ("path" * 15)
    with EmbeddedPostgres(deep / "data", durable=False) as server:
        assert len(os.fsencode(server.socket_dir)) < 100
        assert ask(server, "select 1") == 1


def test_an_initialisation_that_was_cut_short_is_done_again(server: EmbeddedPostgres) -> None:
    half = server.data_dir.with_name("data.new")
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    server.start()
    assert ask(server, "select 1") == 1


def test_data_it_cannot_use_is_an_error_with_its_own_words(server: EmbeddedPostgres) -> None:
    server.data_dir.mkdir(parents=True, mode=0o700)
    (server.data_dir / "PG_VERSION").write_text("9.6\n")
    if server.user_ids:
        os.chown(server.data_dir, *server.user_ids)
    with pytest.raises(PostgresError, match=r"postgresql\.conf|PG_VERSION"):
        server.start()
