"""`manage.py backup FOLDER`: all state, while everything runs."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from control_plane import wiring
from control_plane.adapters.backup.manifest import BackupError, Manifest
from control_plane.adapters.backup.taking import take
from control_plane.adapters.backup.verifying import verify


class Command(BaseCommand):
    """Takes a backup, or reads one that is there."""

    help = (
        "Makes FOLDER, which must not be there yet, a backup of all state: database, artifacts, "
        "recordings and keys. Everything may go on meanwhile. It is for its owner's eyes alone: it "
        "holds keys, and what callers sent."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", metavar="FOLDER", type=Path)
        parser.add_argument(
            "--verify",
            action="store_true",
            help="make nothing: read every file of the backup FOLDER, and say whether it is whole",
        )
        parser.add_argument(
            "--without-secrets",
            action="store_true",
            help="leave the keys out; without them the secrets of webhooks cannot be read again",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()
        folder: Path = options["folder"]
        try:
            if options["verify"]:
                manifest, wrong = verify(folder)
                if wrong:
                    raise CommandError("\n".join([f"{folder} is not whole:", *wrong]))
            else:
                manifest = take(
                    wiring.state(), folder, with_secrets=not options["without_secrets"], tell=_tell
                )
        except BackupError as error:
            raise CommandError(str(error)) from error
        for one in manifest.missing:
            self.stderr.write(f"warning: not in the backup: {one}")
        word = "is whole" if options["verify"] else "is made"
        self.stdout.write(f"{folder} {word}: {_contents(manifest)}, {_seconds(began)}")


def _tell(what: str) -> None:
    print(f"  {what}", file=sys.stderr, flush=True)


def _contents(manifest: Manifest) -> str:
    counts = ", ".join(f"{len(files)} {name}" for name, files in manifest.stores.items())
    return f"{manifest.size / 1e6:,.1f} MB of {manifest.made_at}, {counts}"


def _seconds(began: float) -> str:
    return f"{time.monotonic() - began:.1f} s"
