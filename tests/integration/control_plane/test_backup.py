"""Backups: taken while others write, verified, refused where they do not fit, put back."""

from __future__ import annotations

import io
import json
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from control_plane import wiring
from control_plane.adapters.artifacts import FileArtifactStore
from control_plane.adapters.backup.manifest import DUMP, MANIFEST, SECRETS, BackupError
from control_plane.adapters.backup.putting_back import put_back
from control_plane.adapters.backup.taking import HOLD_LOCK, State, take
from control_plane.adapters.backup.verifying import verify
from control_plane.api.management.commands.restore import _known_migrations
from control_plane.registry.collection import collect_artifacts
from control_plane.registry.models import Artifact, Model
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
            stores={name: tmp_path / "elsewhere" / name for name in state.stores},
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
    assert FileArtifactStore(elsewhere.stores["artifacts"]).digests() == named
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
    assert stat.S_IMODE((target / SECRETS).stat().st_mode) == 0o600
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
    with pytest.raises(psycopg.OperationalError):
        take(replace(state, address="postgresql://nobody@127.0.0.1:1/none"), folder / "one")
    assert list(folder.iterdir()) == []


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


def call_command_fails(said: str, *arguments: str) -> None:
    with pytest.raises(CommandError, match=said):
        call_command(*arguments)
