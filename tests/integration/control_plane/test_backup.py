"""Backups: taken while others write, verified, refused where they do not fit, put back."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from control_plane import wiring
from control_plane.adapters.artifacts import FileArtifactStore
from control_plane.adapters.backup import postgres_programs
from control_plane.adapters.backup.manifest import DUMP, MANIFEST, SECRETS, BackupError
from control_plane.adapters.backup.putting_back import put_back
from control_plane.adapters.backup.taking import HOLD_LOCK, State, take
from control_plane.adapters.backup.verifying import verify
from control_plane.api.management.commands.restore import _known_migrations
from control_plane.audit.models import AuditEvent
from control_plane.endpoints.models import Endpoint, Placement
from control_plane.fleet.models import Server
from control_plane.registry.collection import collect_artifacts
from control_plane.registry.models import Artifact, Model
from tests.support.buckets import bucket_server, bucket_store
from tests.support.fakes import FakeClock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def state(tmp_path: Path, postgres: str, settings: Any) -> State:
    """This control plane's state: the tests' database, and stores of its own."""
    name = connection.settings_dict["NAME"]
    settings.NEREID_ARTIFACTS = tmp_path / "artifacts"
    settings.NEREID_RECORDING_STORE = tmp_path / "recordings"
    settings.DATABASE_URL = postgres.replace("/nereid?", f"/{name}?")
    return wiring.state()


@pytest.fixture
def elsewhere(state: State, tmp_path: Path, postgres: str) -> Iterator[State]:
    """An empty control plane."""
    with psycopg.connect(postgres, autocommit=True) as link:
        link.execute("CREATE DATABASE elsewhere")
        yield replace(
            state,
            address=postgres.replace("/nereid?", "/elsewhere?"),
            stores={n: FileArtifactStore(tmp_path / "elsewhere" / n) for n in state.stores},
        )
        link.execute("DROP DATABASE elsewhere WITH (FORCE)")


def upload(content: str) -> str:
    """As an upload does: the file first, then its row."""
    sha256, size = wiring.artifact_store().add(io.BytesIO(content.encode()))
    with transaction.atomic():
        Artifact.objects.get_or_create(sha256=sha256, defaults={"size": size})
        Model.objects.get_or_create(name=content.replace(" ", "-"))
    return sha256


def ask(state: State, query: Any) -> list[Any]:
    with psycopg.connect(state.address) as link:
        return [row[0] for row in link.execute(query).fetchall()]


def test_taken_while_others_write_it_comes_back_whole(
    state: State, elsewhere: State, tmp_path: Path
) -> None:
    first = upload("first")
    done, uploaded = threading.Event(), threading.Event()

    def write() -> None:
        number = 0
        while not done.is_set():
            upload(f"more {number}")
            uploaded.set()
            number += 1
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    uploaded.wait(10)
    try:
        manifest = take(state, tmp_path / "backup")
    finally:
        done.set()
        writer.join()

    assert manifest.missing == ()
    assert verify(tmp_path / "backup")[1] == []
    put_back(elsewhere, tmp_path / "backup", known_migrations=_known_migrations())
    named = ask(elsewhere, "SELECT sha256 FROM registry_artifact ORDER BY 1")
    assert first in named
    assert len(named) > 1
    assert elsewhere.stores["artifacts"].digests() == named
    assert len(ask(elsewhere, "SELECT name FROM registry_model")) == len(named)
    applied = ask(elsewhere, "SELECT app || '.' || name FROM django_migrations ORDER BY 1")
    assert tuple(applied) == manifest.registry
    # The records that may not be changed still may not.
    events = ask(elsewhere, "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'audit_event%'")
    assert sorted(events) == sorted(
        ask(state, "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'audit_event%'")
    )
    assert events


def test_nothing_is_collected_meanwhile(state: State) -> None:
    sha256 = upload("about to go")
    os.utime(wiring.artifact_store().path(sha256), (0, 0))
    with psycopg.connect(state.address, autocommit=True) as link:
        link.execute("SELECT pg_advisory_lock_shared(%s)", [HOLD_LOCK])
        assert collect_artifacts(store=wiring.artifact_store(), clock=FakeClock()) == 0
    assert collect_artifacts(store=wiring.artifact_store(), clock=FakeClock()) == 1


def test_it_is_for_its_owner_alone(state: State, tmp_path: Path) -> None:
    target = tmp_path / "backup"
    take(state, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    for name in (SECRETS, DUMP, MANIFEST):
        assert stat.S_IMODE((target / name).stat().st_mode) == 0o600, name
    assert json.loads((target / SECRETS).read_text())["secret_key"] == "only-for-tests"
    assert "only-for-tests" not in (target / MANIFEST).read_text()
    with pytest.raises(BackupError, match="there already"):
        take(state, target)

    public = tmp_path / "public"
    public.mkdir()
    public.chmod(0o777)
    with pytest.raises(BackupError, match="everybody may write"):
        take(state, public / "backup")
    bare = tmp_path / "bare"
    assert take(state, bare, with_secrets=False).secrets is None
    assert not (bare / SECRETS).exists()


def test_what_cannot_be_taken_leaves_nothing(state: State, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    away = replace(state, address="postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(BackupError, match="the database cannot be read: connection"):
        take(away, folder / "one")
    with psycopg.connect(state.address, autocommit=True) as link:
        link.execute("CREATE DATABASE nothing_in_it")
    try:
        address = state.address.replace(f"/{connection.settings_dict['NAME']}?", "/nothing_in_it?")
        with pytest.raises(BackupError, match=r'relation "registry_artifact" does not exist$'):
            take(replace(state, address=address), folder / "one")
    finally:
        with psycopg.connect(state.address, autocommit=True) as link:
            link.execute("DROP DATABASE nothing_in_it WITH (FORCE)")
    assert list(folder.iterdir()) == []


def test_what_an_address_leaves_open_is_found_as_by_all_others(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL's own programs would ask another server than the one that was looked at."""
    said = psycopg.conninfo.conninfo_to_dict(state.address)
    monkeypatch.setenv("PGHOST", str(said.pop("host")))
    monkeypatch.setenv("PGAPPNAME", "another")
    address = psycopg.conninfo.make_conninfo(**said, application_name="a backup")
    take(replace(state, address=address), tmp_path / "backup")
    assert verify(tmp_path / "backup")[1] == []
    environment = postgres_programs._environment(address)
    assert environment["PGAPPNAME"] == "a backup"
    assert environment["PGHOST"]


def test_files_of_others_beside_it_are_none_of_its_business(state: State, tmp_path: Path) -> None:
    (tmp_path / "dangling.tar").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    take(state, tmp_path / "backup")
    assert verify(tmp_path / "backup")[1] == []


def test_a_file_that_is_gone_or_spoilt_is_told_of(state: State, tmp_path: Path) -> None:
    gone, spoilt = upload("gone"), upload("spoilt")
    store = wiring.artifact_store()
    store.path(gone).unlink()
    store.path(spoilt).chmod(0o644)
    store.path(spoilt).write_text("else")
    manifest = take(state, tmp_path / "backup")
    assert len(manifest.missing) == 2
    assert any(gone in one and "not there" in one for one in manifest.missing)
    assert any(spoilt in one and "damaged" in one for one in manifest.missing)


def test_what_is_in_a_bucket_is_copied_and_comes_back_into_another(
    state: State, elsewhere: State, tmp_path: Path
) -> None:
    with bucket_server("artifacts") as server:
        store = bucket_store(server.address, tmp_path / "cache")
        held, spoilt = (
            store.add(io.BytesIO(content))[0] for content in (b"held", b"spoilt in the bucket")
        )
        for sha256 in (held, spoilt):
            Artifact.objects.create(sha256=sha256, size=1)
        key = f"team/sha256/{spoilt[:2]}/{spoilt}"
        server.client.put_object(Bucket="artifacts", Key=key, Body=b"else")
        apart = bucket_store(server.address, tmp_path / "operator")
        bucketed = replace(state, stores={**state.stores, "artifacts": apart})
        manifest = take(bucketed, tmp_path / "backup")
        assert [one.sha256 for one in manifest.stores["artifacts"]] == [held]
        [missing] = manifest.missing
        assert spoilt in missing
        assert "damaged" in missing

        theirs = bucket_store(server.address, tmp_path / "c", owner="theirs")
        into = replace(elsewhere, stores={**elsewhere.stores, "artifacts": theirs})
        with pytest.raises(BackupError, match="belongs to another Nereid"):
            put_back(into, tmp_path / "backup", known_migrations=_known_migrations())
        other = bucket_store(server.address, tmp_path / "d", place="s3://artifacts/other")
        into = replace(elsewhere, stores={**elsewhere.stores, "artifacts": other})
        put_back(into, tmp_path / "backup", known_migrations=_known_migrations())
        assert list(other.digests()) == [held]

        away = replace(
            state,
            stores={**state.stores, "artifacts": bucket_store(server.address, tmp_path / "e")},
        )
        folder = tmp_path / "backups"
        folder.mkdir()
        with server.away(), pytest.raises(BackupError, match="nothing was kept: the bucket of"):
            take(away, folder / "one")
        assert list(folder.iterdir()) == []


def test_a_damaged_backup_is_found_and_not_put_back(
    state: State, elsewhere: State, tmp_path: Path
) -> None:
    upload("first")
    folder = tmp_path / "backup"
    take(state, folder)
    whole = (folder / DUMP).read_bytes()
    (folder / DUMP).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    call_command_fails("is damaged", "backup", str(folder), "--verify")
    with pytest.raises(BackupError, match="not whole"):
        put_back(elsewhere, folder, known_migrations=_known_migrations())
    assert ask(elsewhere, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'") == []
    (folder / DUMP).write_bytes(whole)
    (folder / MANIFEST).unlink()
    call_command_fails("no backup", "backup", str(folder), "--verify")


def test_what_does_not_fit_is_refused(state: State, elsewhere: State, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    upload("kept")
    take(state, folder)
    known = _known_migrations()
    with pytest.raises(BackupError, match="newer Nereid"):
        put_back(elsewhere, folder, known_migrations=known - {"registry.0001_initial"})
    put_back(elsewhere, folder, known_migrations=known)
    with psycopg.connect(elsewhere.address, autocommit=True) as link:
        link.execute("CREATE TABLE of_a_newer_schema ()")
        link.execute("DELETE FROM registry_model")
        with pytest.raises(BackupError, match="others are connected"):
            put_back(elsewhere, folder, known_migrations=known, replace=True)
    with pytest.raises(BackupError, match="not empty"):
        put_back(elsewhere, folder, known_migrations=known)
    put_back(elsewhere, folder, known_migrations=known, replace=True)
    assert ask(elsewhere, "SELECT name FROM registry_model") == ["kept"]
    assert ask(elsewhere, "SELECT 1 FROM pg_tables WHERE tablename = 'of_a_newer_schema'") == []


def test_the_command_leaves_nothing_under_way_and_says_what_it_did(
    state: State, tmp_path: Path, settings: Any
) -> None:
    now = wiring.clock().now()
    upload("kept")
    held = {"lease_owner": "a worker", "lease_expires_at": now + timedelta(seconds=10)}
    digits = Endpoint.objects.create(name="digits", **held)
    server = Server.objects.create(name="a", http="h:1", grpc="h:2", metrics="http://h:3/m")
    Placement.objects.create(endpoint=digits, server=server, sent_verb="switch", sent_at=now)
    take(state, tmp_path / "backup")
    upload("too late")
    settings.SECRET_KEY = "another"
    said = io.StringIO()
    call_command_fails("not empty", "restore", str(tmp_path / "backup"))
    call_command("restore", str(tmp_path / "backup"), "--replace", stderr=said)

    assert [one.name for one in Model.objects.all()] == ["kept"]
    digits.refresh_from_db()
    assert (digits.lease_owner, digits.lease_expires_at) == ("", None)
    assert digits.look_at is not None
    assert digits.look_at >= now
    assert Placement.objects.get().sent_at is None
    assert AuditEvent.objects.get(action="system.restore").after["version"] == state.version
    assert "NEREID_SECRET_KEY is not the one" in said.getvalue()


def test_who_connects_while_files_are_put_back_is_found(
    state: State, elsewhere: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload("kept")
    take(state, tmp_path / "backup")
    monkeypatch.setattr(
        postgres_programs, "_EMPTIED", postgres_programs._EMPTIED.replace(b"1..50", b"1..2")
    )
    intruders: list[Any] = []

    def come(what: str) -> None:
        if what == "database":
            intruders.append(psycopg.connect(elsewhere.address))

    with pytest.raises(BackupError, match="others have connected"):
        put_back(elsewhere, tmp_path / "backup", known_migrations=_known_migrations(), tell=come)
    intruders[0].close()
    assert ask(elsewhere, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'") == []
    put_back(elsewhere, tmp_path / "backup", known_migrations=_known_migrations())
    assert ask(elsewhere, "SELECT name FROM registry_model") == ["kept"]


def test_a_file_that_is_there_and_spoilt_is_put_right(
    state: State, elsewhere: State, tmp_path: Path
) -> None:
    sha256 = upload("right")
    take(state, tmp_path / "backup")
    store = elsewhere.stores["artifacts"]
    assert isinstance(store, FileArtifactStore)
    store.add(io.BytesIO(b"right"))
    store.path(sha256).chmod(0o644)
    store.path(sha256).write_text("wrong")
    put_back(elsewhere, tmp_path / "backup", known_migrations=_known_migrations())
    assert store.path(sha256).read_text() == "right"


def test_what_cannot_be_put_back_is_told_in_words(
    state: State, elsewhere: State, tmp_path: Path
) -> None:
    upload("kept")
    take(state, tmp_path / "backup")
    (tmp_path / "no-folder").write_text("")
    no_store = FileArtifactStore(tmp_path / "no-folder")
    nowhere = replace(elsewhere, stores=dict.fromkeys(state.stores, no_store))
    away = replace(elsewhere, address="postgresql://nobody@127.0.0.1:1/none")
    for target, said in ((nowhere, "a file cannot be put back"), (away, "cannot be asked")):
        with pytest.raises(BackupError, match=said):
            put_back(target, tmp_path / "backup", known_migrations=_known_migrations())
    call_command_fails("cannot be read", "backup", str(tmp_path / "no-folder"), "--verify")


def passed_on(script: str, server: int) -> tuple[bool, str]:
    """Whether all of what a program says was passed on, and what came."""
    with tempfile.TemporaryFile() as written:
        with (
            subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE) as reader,
            subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=written) as writer,
        ):
            whole = postgres_programs._pass_on(reader, writer, server)
        written.seek(0)
        return whole, written.read().decode()


@pytest.mark.parametrize(("server", "told"), [(16, False), (17, True)])
def test_an_older_server_is_not_told_what_it_does_not_know(server: int, told: bool) -> None:
    """`pg_restore` of 17 and newer sets it whatever server it writes for."""
    said = r"printf 'SET lock_timeout = 0;\nSET transaction_timeout = 0;\nSELECT 1;\n'"
    whole, found = passed_on(said, server)
    assert whole
    assert ("transaction_timeout" in found) is told
    assert "SET lock_timeout = 0;\n" in found
    assert found.endswith("SELECT 1;\n\nCOMMIT;\n")


def test_what_was_not_read_to_its_end_is_rolled_back() -> None:
    whole, found = passed_on("printf 'SELECT 1;'; exit 1", 18)
    assert not whole
    assert found.endswith("SELECT 1;\nROLLBACK;\n")


def call_command_fails(said: str, *arguments: str) -> None:
    with pytest.raises(CommandError, match=said):
        call_command(*arguments)
