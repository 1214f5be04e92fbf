"""`manage.py restore FOLDER`: all state put back, and brought to this version's schema."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections, transaction
from django.db.migrations.loader import MigrationLoader

from control_plane import wiring
from control_plane.adapters.backup.manifest import BackupError, Manifest, secret_mark
from control_plane.adapters.backup.putting_back import put_back
from control_plane.audit.services import record
from control_plane.endpoints.observations import look_anew
from control_plane.telemetry import migrate as telemetry


class Command(BaseCommand):
    """Puts a backup back."""

    help = (
        "Puts the backup FOLDER back, and migrates it to this version. The database must be empty "
        "or --replace be given, and nobody else may be connected to it; Tritons may go on serving, "
        "and are led back to what the backup says when their nodes are started."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", metavar="FOLDER", type=Path)
        parser.add_argument(
            "--replace",
            action="store_true",
            help="put it in the place of what is in the database, which is gone then",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()
        folder: Path = options["folder"]
        connections.close_all()
        try:
            manifest = put_back(
                wiring.state(),
                folder,
                known_migrations=_known_migrations(),
                replace=options["replace"],
                tell=_tell,
            )
        except BackupError as error:
            raise CommandError(str(error)) from error
        _tell("migrations")
        call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
        telemetry.migrate(settings.DATABASE_URL)
        with transaction.atomic():
            look_anew(now=wiring.clock().now())
            _note(manifest)
        if manifest.secret_mark != secret_mark(settings.SECRET_KEY):
            self.stderr.write(
                "warning: NEREID_SECRET_KEY is not the one that this was made with: give the one "
                "in the backup's secrets.json, or rotate the secret of every webhook"
            )
        for one in manifest.missing:
            self.stderr.write(f"warning: was not in the backup: {one}")
        took = time.monotonic() - began
        self.stdout.write(f"{folder} of {manifest.made_at} is put back, {took:.1f} s")


def _known_migrations() -> set[str]:
    disk = MigrationLoader(None, ignore_no_migrations=True).disk_migrations
    script = ScriptDirectory.from_config(telemetry.alembic_config(settings.DATABASE_URL))
    return {f"{app}.{name}" for app, name in disk} | {
        one.revision for one in script.walk_revisions()
    }


def _note(manifest: Manifest) -> None:
    record(
        actor="restore",
        action="system.restore",
        object_type="system",
        object_id="",
        object_name="control plane",
        after={"made_at": manifest.made_at, "version": manifest.version},
        reason="a backup was put back; what was done since it was made is gone",
    )


def _tell(what: str) -> None:
    print(f"  {what}", file=sys.stderr, flush=True)
